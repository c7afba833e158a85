"""A target over HTTP: a provider's dialect, or any JSON that the user's file describes.

Rules this module keeps:
- redirects are not followed: a target is what the user named and nothing else;
- an answer is hostile: bounded in size and time, and its text is data; where it repeats
  credentials that it was sent, they are taken out before anybody sees them.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tavo.attack.http_api import AnswerError, HttpApi, Sessions
from tavo.attack.json_path import PathError
from tavo.attack.providers import PROVIDERS
from tavo.attack.targets import (
    PASSING,
    TargetFailedError,
    TargetFile,
    address_of,
    check_headers,
    concealed,
    headers_of,
    key_of,
    named,
)
from tavo.errors import ConfigError
from tavo.llm.openai_chat import DialectError, Usage
from tavo.plugins.values import ChatMessage, ChatRequest, ChatResponse

if TYPE_CHECKING:
    import httpx

    from tavo.attack.probes import Probe
    from tavo.host.bounded_http import Answer

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


def _check_fields(described: TargetFile) -> None:
    """Raise ConfigError for fields that only `kind: http` has, which would be without effect."""
    for field in ("body", "message", "roles", "answer", "answers"):
        if getattr(described, field):
            raise ConfigError(
                f"target: {field} is for kind http; kind {described.kind} has a form of its own",
                hint=f"Say `kind: http`, or leave out {field}.",
            )
