"""Any HTTP API as a target: a body by template, and where its answer's text stands.

Rules this module keeps:
- data in, data out; no I/O;
- a prompt stays where the template puts it: what it holds is not filled in again;
- what a body has no place for is said, so that nobody takes for tried what was never sent.

Places in a body: `{{prompt}}` the last thing that the user said, `{{json}}` the same read as JSON,
`{{messages}}` the whole conversation, `{{system}}` what the system said, `{{tools}}` the tools that
a probe lends, `{{session}}` a name that is new for each conversation and stays within it.

Sources: WHATWG HTML, server-sent events; JSON Lines for streams of one value a line.

Units: sizes in characters.
"""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from tavo.attack.json_path import JsonPath, PathError, parse_path
from tavo.errors import ConfigError
from tavo.llm.openai_chat import Usage, usage_of
from tavo.plugins.values import ChatMessage, ChatRequest

__all__ = ["AnswerError", "Form", "HttpApi", "Sessions", "events_of"]

Form = Literal["", "json", "events", "lines", "text"]
Takes = Literal["message", "turns", "conversation"]

_PROMPTS = ("{{prompt}}", "{{messages}}", "{{json}}")
_MOST_PIECES = 100_000
_MOST_SESSIONS = 4096
_KINDS = {"text/event-stream": "events", "application/x-ndjson": "lines",
          "application/ndjson": "lines", "application/jsonl": "lines",
          "application/stream+json": "lines"}  # fmt: skip


class AnswerError(Exception):
    """An answer has not the form that was expected. The message is a clause."""


class HttpApi:
    """How an API is asked, and how its answers are read.

    `takes` is what of a conversation reaches it: one message, the user's turns one after the other,
    or the conversation with everything in it. `plants` tells whether it can be given a system
    prompt, `lends` whether it can be given tools.
    """

    def __init__(
        self, body: Any, answer: str, *, form: Form = "", message: Any = None,
        roles: Mapping[Any, str] | None = None,
    ) -> None:  # fmt: skip
        """Check the template. Raises ConfigError."""
        template = json.dumps(body, ensure_ascii=False, default=str)
        if not any(place in template for place in _PROMPTS):
            raise ConfigError(
                "target: the body holds neither {{prompt}} nor {{messages}} nor {{json}}",
                hint='Write for example `body: {input: "{{prompt}}"}`.',
            )
        if message is not None and "{{content}}" not in json.dumps(message, default=str):
            raise ConfigError(
                "target: message holds no {{content}}",
                hint='Write for example `message: {who: "{{role}}", text: "{{content}}"}`.',
            )
        whole = "{{messages}}" in template
        if (message is not None or roles) and not whole:
            raise ConfigError(
                "target: message and roles say how {{messages}} is written, which is not in the"
                " body",
                hint='Write for example `body: {turns: "{{messages}}"}`.',
            )
        self._path: JsonPath | None = None
        try:
            self._path = parse_path(answer) if answer else None
        except PathError as error:
            raise ConfigError(
                f"target: answer: {error}", hint="Write for example `answer: $.output.text`."
            ) from error
        if form == "text" and self._path is not None:
            raise ConfigError(
                "target: answers are text, in which no path leads anywhere",
                hint="Leave out `answer`, or say `answers: json`.",
            )
        self._body = body
        self._form = form
        self._message = (
            {"role": "{{role}}", "content": "{{content}}"} if message is None else message
        )
        self._roles = dict(roles or {})
        self.has_session = "{{session}}" in template
        self.takes: Takes = "conversation" if whole else "turns" if self.has_session else "message"
        self.plants = whole or "{{system}}" in template
        self.lends = "{{tools}}" in template

    def leaves_out(self, request: ChatRequest) -> str:
        """Return for what of a request the body has no place, as a clause; empty for nothing."""
        roles = [one.role for one in request.messages]
        if self.takes == "conversation":
            return ""
        if not self.plants and "system" in roles:
            return "the body has neither {{system}} nor {{messages}} for what the system says"
        said = [role for role in roles if role != "system"]
        alone = said if self.takes == "message" else said[-1:]
        if said[-1:] != ["user"] or len(alone) > 1 or not {*said} <= {"user", "assistant"}:
            return "the body has no {{messages}} for a conversation"
        return ""

    def body(self, request: ChatRequest, session: str = "") -> Any:
        """Return the body of a request. Raises ValueError if {{json}} is to hold what is none."""
        prompt = next(
            (one.content for one in reversed(request.messages) if one.role == "user"),
            request.messages[-1].content,
        )
        system = "\n".join(one.content for one in request.messages if one.role == "system")
        values: dict[str, Callable[[], Any]] = {
            "{{messages}}": lambda: [self._written(one) for one in request.messages],
            "{{json}}": lambda: _from_json(prompt),
            "{{tools}}": lambda: list(request.parameters.get("tools") or ()),
        }
        return _filled(
            self._body, values, {"{{prompt}}": prompt, "{{system}}": system,
                                 "{{session}}": session},
        )  # fmt: skip

    def _written(self, one: ChatMessage) -> Any:
        role = self._roles.get(one.role, one.role)
        return _filled(self._message, {}, {"{{content}}": one.content, "{{role}}": role})

    def read(self, text: str, content_type: str) -> tuple[str, Usage]:
        """Return an answer's text and tokens. Raises AnswerError, PathError."""
        kind = content_type.partition(";")[0].strip().lower()
        form = self._form or _KINDS.get(kind, "")
        if form in {"events", "lines"}:
            return self._joined(events_of(text) if form == "events" else text.split("\n"))
        if form == "text" or (not form and self._path is None and kind.startswith("text/")):
            return text, (0, 0)
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            raise AnswerError("the answer is no JSON") from None
        return _as_text(value if self._path is None else self._path.find(value)), usage_of(value)

    def _joined(self, pieces: Iterable[str]) -> tuple[str, Usage]:
        """Join what the pieces of a stream hold; those that hold nothing of it are passed over."""
        texts: list[str] = []
        usage: Usage = (0, 0)
        wrong = ""
        read = 0
        for number, piece in enumerate(pieces):
            if number >= _MOST_PIECES:
                raise AnswerError(f"the answer has more than {_MOST_PIECES} pieces")
            if piece.strip() in {"", "[DONE]"} and (self._path is not None or piece.strip()):
                continue
            try:
                value = json.loads(piece)
            except (ValueError, RecursionError):
                if self._path is None:  # a stream of plain words
                    texts.append(piece)
                else:
                    wrong = wrong or f"a piece of the stream is no JSON: {piece[:60]!r}"
                continue
            if sum(counted := usage_of(value)):
                usage = counted
            try:
                found = value if self._path is None else self._path.find(value)
            except PathError as error:
                wrong = wrong or str(error)
                continue
            read += 1
            if found is not None:
                texts.append(_as_text(found))
        if not read and not texts:
            raise AnswerError(f"no piece of the stream holds the answer: {wrong or 'it is empty'}")
        return "".join(texts), usage


class Sessions:
    """In which session of the target a conversation goes on. May be used by threads.

    A conversation that begins, or that was never seen, has a new one. One that goes on behind an
    answer has the session in which that answer was given, and no other conversation has it then.
    """

    def __init__(self, new: Callable[[], str] = lambda: uuid.uuid4().hex) -> None:
        self._new = new
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, list[str]] = OrderedDict()

    def take(self, messages: Sequence[ChatMessage]) -> str:
        """Return the session for a request."""
        before = _up_to_answer(messages)
        with self._lock:
            if before and (kept := self._kept.get(_digest(before))):
                return kept.pop()
        return self._new()

    def knows(self, messages: Sequence[ChatMessage]) -> bool:
        """Tell whether a conversation begins here, or goes on behind an answer of a session."""
        before = _up_to_answer(messages)
        with self._lock:
            return not before or bool(self._kept.get(_digest(before)))

    def keep(self, messages: Sequence[ChatMessage], answer: str, session: str) -> None:
        """Note that a session has answered."""
        self._put([*messages, ChatMessage(role="assistant", content=answer)], session)

    def give_back(self, messages: Sequence[ChatMessage], session: str) -> None:
        """Note that a session did not answer, so that the same request may be made in it again."""
        if before := _up_to_answer(messages):
            self._put(before, session)

    def _put(self, messages: Sequence[ChatMessage], session: str) -> None:
        with self._lock:
            key = _digest(messages)
            self._kept.setdefault(key, []).append(session)
            self._kept.move_to_end(key)
            while len(self._kept) > _MOST_SESSIONS:
                self._kept.popitem(last=False)


def _up_to_answer(messages: Sequence[ChatMessage]) -> Sequence[ChatMessage]:
    for end in range(len(messages), 0, -1):
        if messages[end - 1].role == "assistant":
            return messages[:end]
    return ()


def _digest(messages: Sequence[ChatMessage]) -> bytes:
    digest = hashlib.sha256()
    for one in messages:
        for text in (one.role, one.content):
            data = text.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()


def _filled(
    template: Any, values: Mapping[str, Callable[[], Any]], texts: Mapping[str, str]
) -> Any:
    """Return a template with its places filled; one that is a place alone keeps its type."""
    if isinstance(template, dict):
        return {key: _filled(value, values, texts) for key, value in template.items()}
    if isinstance(template, list):
        return [_filled(value, values, texts) for value in template]
    if not isinstance(template, str):
        return template
    if template in values:
        return values[template]()
    pieces = [template]
    for place, text in texts.items():  # what was filled in is no template any more
        pieces = [
            part
            for index, piece in enumerate(pieces)
            for part in (_between(piece.split(place), text) if index % 2 == 0 else [piece])
        ]
    return "".join(pieces)


def _between(parts: Sequence[str], text: str) -> Iterator[str]:
    """Yield parts of a template at even places, what stands between them at odd ones."""
    for index, part in enumerate(parts):
        if index:
            yield text
        yield part


def _from_json(prompt: str) -> Any:
    try:
        return json.loads(prompt)
    except RecursionError as error:
        raise ValueError("nested too deep") from error


def events_of(text: str) -> Iterator[str]:
    """Yield the data of server-sent events."""
    data: list[str] = []
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    for line in [*text.split("\n"), ""]:
        if not line:
            if data:
                yield "\n".join(data)
            data = []
        elif line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
