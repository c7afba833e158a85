"""A target over HTTP: a provider's dialect, or any JSON that the user's file describes.

Rules this module keeps:
- redirects are not followed: a target is what the user named and nothing else;
- an answer is hostile: bounded in size and time, and its text is data; where it repeats the
  credential that it was sent, that is taken out before anybody sees it.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tavo.attack.json_path import JsonPath, PathError, parse_path
from tavo.attack.providers import PROVIDERS
from tavo.attack.targets import (
    PASSING,
    TargetFailedError,
    TargetFile,
    address_of,
    check_headers,
    concealed,
    key_of,
    named,
)
from tavo.errors import ConfigError
from tavo.llm.openai_chat import DialectError, Usage, usage_of
from tavo.plugins.values import ChatMessage, ChatRequest, ChatResponse

if TYPE_CHECKING:
    import httpx

__all__ = ["HttpTarget"]

_LONGEST_ANSWER = 8 << 20
_SHOWN_OF_ANSWER = 200
_REFUSING = frozenset({400, 403, 422, 451})
_GUARD = re.compile(
    r"(?i)content[_ -]?(?:filter|policy)|polic(?:y|ies)|guard|moderation|blocked|jailbreak"
    r"|injection|safety|responsible"
)


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
