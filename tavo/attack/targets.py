"""The system under test: what the user named, as something that takes a request and answers.

Rules this module keeps:
- credentials come from the environment by name, stay in this process, and are in no message, no
  record and no error; what a header's name says is one counts as one, wherever it comes from;
- redirects are not followed: a target is what the user named and nothing else;
- an answer is hostile: bounded in size and time, and its text is data; where it repeats
  credentials that it was sent, they are taken out before anybody sees them.

A target is an address of an OpenAI-compatible API (`http://localhost:8000/v1`), or a YAML file:

    kind: openai            # or anthropic, gemini, ollama, http, command, python, mcp
    url: https://api.example.com/v1
    model: small
    key: EXAMPLE_API_KEY    # the name of an environment variable
    headers: {X-Team: red, X-Api-Key: {env: EXAMPLE_API_KEY}}
    body: {session: "{{session}}", talk: "{{messages}}"}      # http; `http_api` has all places
    message: {who: "{{role}}", text: "{{content}}"}           # http: how one of {{messages}} is
    roles: {assistant: bot}                                   # http: what it calls who speaks
    answer: $.output.text                                     # http; of a stream, in each piece
    answers: events           # http: or lines, json, text; without it what the server says
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

import difflib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, get_args
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Meta

from tavo.attack.http_api import AnswerError, Form, HttpApi, Sessions
from tavo.attack.json_path import PathError
from tavo.attack.providers import PROVIDERS
from tavo.errors import ConfigError, InputError
from tavo.llm.openai_chat import DialectError, Usage
from tavo.plugins.values import ChatMessage, ChatRequest, ChatResponse

if TYPE_CHECKING:
    import httpx

    from tavo.attack.probes import Probe
    from tavo.host.bounded_http import Answer

__all__ = [
    "PASSING", "HttpTarget", "Target", "TargetFailedError", "TargetFile", "address_of",
    "check_headers", "concealed", "headers_of", "key_of", "named", "open_target", "read_target",
]  # fmt: skip

_LONGEST_ANSWER = 8 << 20
_LONGEST_FILE = 256 << 10
_SHOWN_OF_ANSWER = 200
_HALF = re.compile("[\ud800-\udfff]")
_REFUSING = frozenset({400, 403, 422, 451})
_GUARD = re.compile(
    r"(?i)content[_ -]?(?:filter|policy)|polic(?:y|ies)|guard|moderation|blocked|jailbreak"
    r"|injection|safety|responsible"
)
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may be answered later."""

Kind = Literal["openai", "anthropic", "gemini", "ollama", "http", "command", "python", "mcp"]
Send = Callable[[ChatRequest], tuple[ChatResponse, Usage]]


class TargetFailedError(Exception):
    """The target gave no answer that could be used. The message is one sentence without secrets.

    `unreachable` tells that no connection could be made, `passing` that the same request may be
    answered later, `refused` that a guard in front of the model did not let it through, `denied`
    that who asks may not, `gone` that whoever was spoken with is not there any more; `hint` is the
    next step, or empty; `wait_s` is for how long it asked to
    be left alone.
    """

    def __init__(
        self,
        message: str,
        *,
        unreachable: bool = False,
        passing: bool = False,
        refused: bool = False,
        denied: bool = False,
        gone: bool = False,
        hint: str = "",
        wait_s: float = 0.0,
    ) -> None:
        super().__init__(f"{message}. {hint}" if hint else message)
        self.unreachable = unreachable
        self.passing = passing or unreachable
        self.refused = refused
        self.denied = denied
        self.gone = gone
        self.hint = hint
        self.wait_s = wait_s


_NAMED_CREDENTIAL = re.compile(r"(?i)auth|key|token|secret|cookie|passw|credential|session")
_SHORTEST_CREDENTIAL = 6
_ENV = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"


class FromEnvironment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A header's value that stands in an environment variable."""

    env: Annotated[str, Meta(pattern=_ENV)]


class TargetFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A target's description, as a YAML file has it."""

    url: Annotated[str, Meta(max_length=2000)] = ""
    kind: Kind = "openai"
    name: Annotated[str, Meta(max_length=100)] = ""
    model: Annotated[str, Meta(max_length=200)] = ""
    key: Annotated[str, Meta(pattern=rf"{_ENV}|^$")] = ""
    headers: dict[str, str | FromEnvironment] = {}
    method: Literal["POST", "PUT"] = "POST"
    body: Any = None
    message: Any = None
    roles: dict[Literal["system", "developer", "user", "assistant", "tool"], str] = {}
    answer: str = ""
    answers: Form = ""
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
        self.bytes_out = self.bytes_in = 0
        self.name = named(described, address_of(described.url))
        own, self._secrets = headers_of(described, environment)
        headers = {"User-Agent": "tavo", "Content-Type": "application/json", **own}
        secret = key_of(described, environment)
        self._provider = PROVIDERS.get(described.kind)
        self._api: HttpApi | None = None
        self._sessions = Sessions()
        if self._provider is None:
            self._url = described.url
            self._api = HttpApi(
                described.body, described.answer, form=described.answers,
                message=described.message, roles=described.roles,
            )  # fmt: skip
            self.application = described.application or not self._api.plants
        else:
            _check_fields(described)
            if self._provider.needs_model and not described.model:
                raise ConfigError(
                    f"target: kind {described.kind} needs a model",
                    hint="Name it in the file, for example `model: small`.",
                )
            self._url = self._provider.address(described.url, described.model)
            headers.update(self._provider.headers)
        if secret:
            header = self._provider.header if self._provider else "Authorization"
            headers[header] = (self._provider.before_key if self._provider else "Bearer ") + secret
            self._secrets = (secret, *self._secrets)
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
        assert self._api is not None  # noqa: S101
        session = self._sessions.take(request.messages) if self._api.has_session else ""
        try:
            text, usage = self._asked(self._api, request, session)
        except TargetFailedError:
            if session:
                self._sessions.give_back(request.messages, session)
            raise
        if session:
            self._sessions.keep(request.messages, text, session)
        message = ChatMessage(role="assistant", content=text)
        return ChatResponse(request=request, messages=(message,)), usage

    def lacks(self, probe: Probe) -> str:
        """Return why a probe would not reach it as it is meant; empty if it would."""
        if self._api is None:
            return ""
        if probe.takes == "conversation" and self._api.takes != "conversation":
            return (
                "its body has no {{messages}}, and what somebody else is to have said reaches it"
                " in no other way"
            )
        if probe.takes == "turns" and self._api.takes == "message":
            return (
                "its body has neither {{messages}} nor {{session}}, so each turn would be a"
                " conversation of its own"
            )
        if probe.tools and not self.application and not self._api.lends:
            return "its body has no {{tools}}, and it is no `application` with tools of its own"
        return ""

    def leaves_out(self, request: ChatRequest) -> str:
        """Return why not all of a request would reach it; empty if it would."""
        if self._api is None:
            return ""
        if reason := self._api.leaves_out(request):
            return reason
        if self._api.takes == "turns" and not self._sessions.knows(request.messages):
            return "the body has no {{messages}}, and no session has heard how it began"
        return ""

    def _asked(self, api: HttpApi, request: ChatRequest, session: str) -> tuple[str, Usage]:
        try:
            body = api.body(request, session)
        except ValueError:
            raise TargetFailedError(
                f"{self.name}: the prompt is no JSON, which {{{{json}}}} in the body asks for",
                hint="Write {{prompt}} for attacks by text",
            ) from None
        answer = self._exchange(body)
        text = answer.body.decode("utf-8", "replace")
        try:
            said, usage = api.read(text, answer.headers.get("content-type", ""))
        except AnswerError as error:
            raise TargetFailedError(
                f"{self.name}: {error}, it starts with {self._beginning(text)!r}"
            ) from None
        except PathError as error:
            raise TargetFailedError(f"{self.name}: {error}") from None
        return str(concealed(said, self._secrets)), usage

    def _post(self, body: Any) -> Any:
        text = self._exchange(body).body.decode("utf-8", "replace")
        try:
            return concealed(json.loads(text), self._secrets)
        except (ValueError, RecursionError):
            raise TargetFailedError(
                f"{self.name}: the answer is no JSON, it starts with {self._beginning(text)!r}"
            ) from None

    def _exchange(self, body: Any) -> Answer:
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
            refused = answer.status in _REFUSING and _GUARD.search(text) is not None
            raise TargetFailedError(
                f"{self.name}: answered {answer.status}: {self._beginning(text)}",
                passing=answer.status in PASSING,
                refused=refused,
                hint="" if refused else self._hint(answer.status),
                wait_s=_asked_to_wait(answer),
            )
        return answer

    def _beginning(self, text: str) -> str:
        return self._safe(" ".join(text.split()))[:_SHOWN_OF_ANSWER]

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
        return str(concealed(text, self._secrets))


def _asked_to_wait(answer: Answer) -> float:
    """Return the seconds for which an answer asks to be left alone (RFC 9110, Retry-After)."""
    seconds = answer.headers.get("retry-after", "").strip()
    return float(seconds) if seconds.isascii() and seconds.isdigit() and len(seconds) < 7 else 0.0


def concealed(value: Any, secrets: Sequence[str]) -> Any:
    """Return JSON-able values without the credentials, which a target may repeat.

    Half characters, which JSON can spell and no file and no terminal can hold, are replaced.
    """
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "…")
        return _HALF.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return [concealed(one, secrets) for one in value]
    if isinstance(value, dict):
        return {concealed(key, secrets): concealed(one, secrets) for key, one in value.items()}
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
        raise ConfigError(f"target: {named}: {error}", hint=_next_step(str(error))) from error


def _next_step(error: str) -> str:
    """Return what to write instead of what msgspec refused, as far as that can be known."""
    if (unknown := re.fullmatch(r"Object contains unknown field `([^`]*)`", error)) and (
        near := difflib.get_close_matches(unknown[1], TargetFile.__struct_fields__, n=1)
    ):
        return f"Did you mean {near[0]}?"
    if " - at `$.kind`" in error:
        return f"A kind is one of {', '.join(get_args(Kind))}."
    if " - at `$.answers`" in error:
        return f"Answers are one of {', '.join(filter(None, get_args(Form)))}."
    if "$.headers" in error:
        return "A header is a text, or {env: NAME} for one that an environment variable holds."
    return "docs/attack.md shows a complete target file."


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


def headers_of(
    described: TargetFile, environment: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the headers of a target's file, and what of them is a credential.

    A credential is what comes from the environment, and what the name of a header says is one; of
    `Basic abc` that is the whole and `abc`. Raises ConfigError.
    """
    headers: dict[str, str] = {}
    secrets: set[str] = set()
    for name, given in described.headers.items():
        value = given if isinstance(given, str) else _variable(given.env, environment)
        headers[name] = value
        if isinstance(given, FromEnvironment) or _NAMED_CREDENTIAL.search(name):
            found = {value, value.rpartition(" ")[2]}
            secrets |= {one for one in found if len(one) >= _SHORTEST_CREDENTIAL}
    return headers, tuple(sorted(secrets, key=len, reverse=True))


def key_of(described: TargetFile, environment: Mapping[str, str]) -> str:
    """Return the credential that a target's file names, if it names one. Raises ConfigError."""
    return _variable(described.key, environment) if described.key else ""


def _variable(name: str, environment: Mapping[str, str]) -> str:
    value = environment.get(name, "")
    if not value:
        raise ConfigError(
            f"target: the environment variable {name} is not set",
            hint="Set it in the shell that runs tavo.",
        )
    return value


def _check_fields(described: TargetFile) -> None:
    """Raise ConfigError for fields that only `kind: http` has, which would be without effect."""
    for field in ("body", "message", "roles", "answer", "answers"):
        if getattr(described, field):
            raise ConfigError(
                f"target: {field} is for kind http; kind {described.kind} has a form of its own",
                hint=f"Say `kind: http`, or leave out {field}.",
            )


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
