"""The system under test: what the user named, as something that takes a request and answers.

Rules this module keeps:
- credentials come from the environment by name, stay in this process, and are in no message, no
  record and no error;
- redirects are not followed: a target is what the user named and nothing else;
- an answer is hostile: bounded in size and time, and its text is data; where it repeats the
  credential that it was sent, that is taken out before anybody sees it.

A target is an address of an OpenAI-compatible API (`http://localhost:8000/v1`), or a YAML file:

    kind: openai            # or anthropic, gemini, ollama, http, command, python, mcp
    url: https://api.example.com/v1
    model: small
    key: EXAMPLE_API_KEY    # the name of an environment variable
    headers: {X-Team: red}
    body: {input: "{{prompt}}", history: "{{messages}}"}     # http
    body: {instances: ["{{json}}"]}  # http: the prompt read as JSON, for what takes no text
    answer: $.output.text                                     # http
    command: [python3, agent.py]    # command: JSON with the messages on standard input
    call: package.module:answer     # python: takes a list of messages, returns text
    calls: careful          # mcp: or all, also tools that may destroy something
    leave_alone: [publish]  # mcp: tools that are never called
    timeout_s: 60
    application: true         # it has a system prompt and tools of its own: plant nothing
    secrets: [SPRING-77]      # what it must never tell, besides what is planted

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Meta

from tavo.attack.json_path import JsonPath, PathError, parse_path
from tavo.attack.providers import PROVIDERS
from tavo.errors import ConfigError, InputError
from tavo.llm.openai_chat import DialectError, Usage, usage_of
from tavo.plugins.values import ChatMessage, ChatRequest, ChatResponse

if TYPE_CHECKING:
    import httpx

__all__ = [
    "PASSING", "HttpTarget", "Target", "TargetFailedError", "TargetFile", "address_of",
    "check_headers", "concealed", "key_of", "named", "open_target", "read_target",
]  # fmt: skip

_LONGEST_ANSWER = 8 << 20
_LONGEST_FILE = 256 << 10
_SHOWN_OF_ANSWER = 200
_REFUSING = frozenset({400, 403, 422, 451})
_GUARD = re.compile(
    r"(?i)content[_ -]?(?:filter|policy)|polic(?:y|ies)|guard|moderation|blocked|jailbreak"
    r"|injection|safety|responsible"
)
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may be answered later."""

Send = Callable[[ChatRequest], tuple[ChatResponse, Usage]]


class TargetFailedError(Exception):
    """The target gave no answer that could be used. The message is one sentence without secrets.

    `unreachable` tells that no connection could be made, `passing` that the same request may be
    answered later, `refused` that a guard in front of the model did not let it through, `denied`
    that who asks may not; `hint` is the next step, or empty.
    """

    def __init__(
        self,
        message: str,
        *,
        unreachable: bool = False,
        passing: bool = False,
        refused: bool = False,
        denied: bool = False,
        hint: str = "",
    ) -> None:
        super().__init__(f"{message}. {hint}" if hint else message)
        self.unreachable = unreachable
        self.passing = passing or unreachable
        self.refused = refused
        self.denied = denied
        self.hint = hint


class TargetFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A target's description, as a YAML file has it."""

    url: Annotated[str, Meta(max_length=2000)] = ""
    kind: Literal["openai", "anthropic", "gemini", "ollama", "http", "command", "python", "mcp"] = (
        "openai"
    )
    name: Annotated[str, Meta(max_length=100)] = ""
    model: Annotated[str, Meta(max_length=200)] = ""
    key: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$|^$")] = ""
    headers: dict[str, str] = {}
    method: Literal["POST", "PUT"] = "POST"
    body: Any = None
    answer: str = ""
    command: tuple[str, ...] = ()
    call: Annotated[str, Meta(max_length=500)] = ""
    calls: Literal["careful", "all"] = "careful"
    leave_alone: tuple[str, ...] = ()
    timeout_s: Annotated[float, Meta(gt=0, le=600)] = 60.0
    application: bool = False
    secrets: tuple[Annotated[str, Meta(min_length=4, max_length=500)], ...] = ()


class Target(Protocol):
    """Something that takes a request and answers. May be used from several threads."""

    @property
    def name(self) -> str:
        """Return what findings call it."""

    @property
    def model(self) -> str:
        """Return the model that is asked for, or an empty text."""

    @property
    def application(self) -> bool:
        """Tell whether it has a system prompt and tools of its own."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return what it must never tell."""

    def send(self, request: ChatRequest) -> tuple[ChatResponse, Usage]:
        """Send one request; return the answer and the tokens. Raises TargetFailedError."""

    def close(self) -> None:
        """Give back what it holds."""


class HttpTarget:
    """A target over HTTP. Close it when done.

    `bytes_out` and `bytes_in` are the bodies that were sent and came; one that was refused for its
    size counts as the largest that is taken.
    """

    def __init__(
        self,
        described: TargetFile,
        environment: Mapping[str, str],
        *,
        address: str = "",
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Prepare; nothing is sent yet. Raises ConfigError.

        `address` is what the host's name was judged to lead to: each connection goes there, and
        the name is not looked up again; name and certificate stay those of the host.
        """
        from tavo.host.bounded_http import BoundedClient

        self.model = described.model
        self.application = described.application
        self.secrets = described.secrets
        self._described = described
        self._secret = ""
        self.bytes_out = self.bytes_in = 0
        self.name = named(described, address_of(described.url))
        headers = {
            "User-Agent": "tavo", "Content-Type": "application/json", **described.headers,
        }  # fmt: skip
        self._secret = key_of(described, environment)
        self._provider = PROVIDERS.get(described.kind)
        self._path: JsonPath | None = None
        if self._provider is None:
            self._url = described.url
            self._path = _answer_path(described)
        else:
            if self._provider.needs_model and not described.model:
                raise ConfigError(
                    f"target: kind {described.kind} needs a model",
                    hint="Name it in the file, for example `model: small`.",
                )
            self._url = self._provider.address(described.url, described.model)
            headers.update(self._provider.headers)
        if self._secret:
            header = self._provider.header if self._provider else "Authorization"
            headers[header] = (self._provider.before_key if self._provider else "Bearer ") + (
                self._secret
            )
        check_headers(headers, secret=described.key)
        self._connect: dict[str, Any] = {"url": self._url}
        if address:
            import httpx

            asked = httpx.URL(self._url)
            self._connect = {
                "url": asked.copy_with(host=address),
                "headers": {"Host": asked.netloc.decode("ascii")},
                "extensions": {"sni_hostname": asked.host},
            }
        self._client = BoundedClient(headers=headers, transport=transport)

    def __repr__(self) -> str:
        return f"HttpTarget({self.name!r})"

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def send(self, request: ChatRequest) -> tuple[ChatResponse, Usage]:
        """Send one request; return the answer and the tokens. Raises TargetFailedError."""
        if self._provider is not None:
            answer = self._post(self._provider.body(request, self.model))
            try:
                return self._provider.read(answer, request), self._provider.usage(answer)
            except DialectError as error:
                raise TargetFailedError(f"{self.name}: {error}") from None
        assert self._path is not None  # noqa: S101
        try:
            body = _filled(self._described.body, request)
        except ValueError:
            raise TargetFailedError(
                f"{self.name}: the prompt is no JSON, which {{{{json}}}} in the body asks for",
                hint="Write {{prompt}} for attacks by text",
            ) from None
        answer = self._post(body)
        try:
            found = self._path.find(answer)
        except PathError as error:
            raise TargetFailedError(f"{self.name}: {error}") from None
        text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
        message = ChatMessage(role="assistant", content=text)
        return ChatResponse(request=request, messages=(message,)), usage_of(answer)

    def _post(self, body: Any) -> Any:
        import httpx

        from tavo.host.bounded_http import UnusableAnswerError

        method = self._described.method if self._described.kind == "http" else "POST"
        try:
            data = json.dumps(
                body, ensure_ascii=False, separators=(",", ":"), allow_nan=False
            ).encode()
            self.bytes_out += len(data)
            answer = self._client.exchange(
                method, content=data, timeout_s=self._described.timeout_s, most=_LONGEST_ANSWER,
                **self._connect,
            )  # fmt: skip
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise TargetFailedError(
                self._safe(f"{self.name}: cannot be reached: {error or 'no connection in time'}"),
                unreachable=True,
                hint=f"Check the address {self._url} and that something listens there",
            ) from None
        except httpx.TimeoutException:
            seconds = self._described.timeout_s
            raise TargetFailedError(
                f"{self.name}: gave no whole answer within {seconds:g} s", passing=True
            ) from None
        except UnusableAnswerError as error:
            self.bytes_in += _LONGEST_ANSWER
            raise TargetFailedError(f"{self.name}: {error}") from None
        except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
            raise TargetFailedError(self._safe(f"{self.name}: {error}")) from None
        except RecursionError:
            raise TargetFailedError(f"{self.name}: the request is nested too deep") from None
        self.bytes_in += len(answer.body)
        text = answer.body.decode("utf-8", "replace")
        if not 200 <= answer.status < 300:
            shown = self._safe(" ".join(text.split()))[:_SHOWN_OF_ANSWER]
            raise TargetFailedError(
                f"{self.name}: answered {answer.status}: {shown}",
                passing=answer.status in PASSING,
                refused=answer.status in _REFUSING and _GUARD.search(text) is not None,
                hint=self._hint(answer.status),
            )
        try:
            return concealed(json.loads(text), self._secret)
        except (ValueError, RecursionError):
            shown = self._safe(" ".join(text.split()))[:_SHOWN_OF_ANSWER]
            raise TargetFailedError(
                f"{self.name}: the answer is no JSON, it starts with {shown!r}"
            ) from None

    def _hint(self, status: int) -> str:
        if status in {401, 403}:
            return (
                "It did not take the key: check the value of the environment variable"
                f" {self._described.key}"
                if self._described.key
                else "It wants a key: name its environment variable with `key:` in a target file"
            )
        if 300 <= status < 400:
            return "Redirects are not followed: name the address where it leads, if it is yours"
        if status in {404, 405}:
            return f"Check the address: {self._url} was asked"
        return ""

    def _safe(self, text: str) -> str:
        return str(concealed(text, self._secret))


def concealed(value: Any, secret: str) -> Any:
    """Return JSON-able values without the credential, which a target may repeat."""
    if not secret:
        return value
    if isinstance(value, str):
        return value.replace(secret, "…")
    if isinstance(value, list):
        return [concealed(one, secret) for one in value]
    if isinstance(value, dict):
        return {concealed(key, secret): concealed(one, secret) for key, one in value.items()}
    return value


def open_target(name: str, environment: Mapping[str, str]) -> Target:
    """Return the target that the user named: an address, or a YAML file that describes one.

    Raises ConfigError, InputError.
    """
    described = read_target(name)
    if described.kind == "mcp":
        from tavo.attack.mcp.target import McpTarget

        return McpTarget(described, environment)
    if described.kind in {"command", "python"}:
        from tavo.attack.programs import CommandTarget, PythonTarget

        return CommandTarget(described) if described.kind == "command" else PythonTarget(described)
    return HttpTarget(described, environment)


def read_target(named: str) -> TargetFile:
    """Return the description of a target, without any credential. Raises as `open_target`."""
    if "://" in named:
        return TargetFile(url=named)
    path = Path(named)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"target: {named}: {error.strerror or error}",
            hint="Name an address like http://localhost:8000/v1, or a YAML file.",
        ) from error
    from marketplace_db.errors import ManifestError
    from marketplace_db.strict_yaml import load_yaml

    try:
        return msgspec.convert(load_yaml(data, name=named, limit=_LONGEST_FILE), TargetFile)
    except (ManifestError, msgspec.ValidationError) as error:
        raise ConfigError(
            f"target: {named}: {error}", hint="The user guide shows a complete target file."
        ) from error


def named(described: TargetFile, url: SplitResult) -> str:
    """Return what a target at an address is called in findings. Raises ConfigError."""
    if url.username or url.password:
        raise ConfigError(
            "target: the address holds a user or password",
            hint="Put the secret into an environment variable and name it as 'key' in a file.",
        )
    name = described.name or f"{url.hostname}{f':{url.port}' if url.port else ''}"
    if "/" in name or name in {".", ".."} or not name.isprintable():
        raise ConfigError(
            f"target: the name {name!r} cannot stand in findings",
            hint="Name it in the file without '/', for example `name: staging`.",
        )
    return name


def key_of(described: TargetFile, environment: Mapping[str, str]) -> str:
    """Return the credential that a target's file names, if it names one. Raises ConfigError."""
    if not described.key:
        return ""
    secret = environment.get(described.key, "")
    if not secret:
        raise ConfigError(
            f"target: the environment variable {described.key} is not set",
            hint="Set it in the shell that runs tavo.",
        )
    return secret


def address_of(text: str) -> SplitResult:
    """Take an address apart. Raises ConfigError for one that no request can go to."""
    try:
        url = urlsplit(text)
        good = url.scheme in {"http", "https"} and url.hostname and (url.port or 1) > 0
    except ValueError:  # a port above 65535, brackets that are not closed
        good = False
    if not good:
        raise ConfigError(
            f"target: {text!r} is no http or https address",
            hint="Name an address like http://localhost:8000/v1, or a YAML file.",
        )
    return url


def check_headers(headers: Mapping[str, str], *, secret: str) -> None:
    """Refuse what no header can hold before a library names it, whole, in an error.

    `secret` is the variable that the credential comes from. Raises ConfigError.
    """
    for name, value in headers.items():
        named = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
        if named and value.isascii() and value.isprintable() and value == value.strip():
            continue
        if name == "Authorization" and secret:
            raise ConfigError(
                f"target: the value of {secret} cannot be sent: it is not one line of plain text",
                hint="Often that is a line end behind it: export it without one.",
            )
        raise ConfigError(
            f"target: the header {name!r} cannot be sent",
            hint="Names are letters, digits and '-'; values are one line of plain ASCII.",
        )


def _answer_path(described: TargetFile) -> JsonPath:
    template = json.dumps(described.body, default=str)
    if not any(place in template for place in ("{{prompt}}", "{{messages}}", "{{json}}")):
        raise ConfigError(
            "target: the body holds neither {{prompt}} nor {{messages}} nor {{json}}",
            hint='Write for example `body: {input: "{{prompt}}"}`.',
        )
    try:
        return parse_path(described.answer or "$")
    except PathError as error:
        raise ConfigError(
            f"target: answer: {error}", hint="Write for example `answer: $.output.text`."
        ) from error


def _filled(template: Any, request: ChatRequest) -> Any:
    """Return the body with its places filled; a value that is a place alone keeps its type.

    Raises ValueError if the prompt is to be read as JSON and is none.
    """
    if isinstance(template, dict):
        return {key: _filled(value, request) for key, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, request) for value in template]
    if not isinstance(template, str):
        return template
    if template == "{{messages}}":
        return [{"role": one.role, "content": one.content} for one in request.messages]
    prompt = next(
        (one.content for one in reversed(request.messages) if one.role == "user"),
        request.messages[-1].content,
    )
    if template == "{{json}}":
        try:
            return json.loads(prompt)
        except RecursionError as error:
            raise ValueError("nested too deep") from error
    system = "\n".join(one.content for one in request.messages if one.role == "system")
    # one pass: a prompt that contains another place is not filled again
    pieces = template.split("{{prompt}}")
    return prompt.join(piece.replace("{{system}}", system) for piece in pieces)
