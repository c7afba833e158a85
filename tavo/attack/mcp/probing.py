"""One attempt at a server: what it says of itself, what its tools do with odd arguments.

Rules this module keeps:
- an attempt opens sessions of its own, and ends with the first answer that shows something;
- what is asked depends on the attempt and on what the server lists, in the server's order;
- the listener's port, which changes from run to run, stands in no record: `{port}` does.

Units: sizes in characters, times in seconds.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import msgspec

from tavo.attack.evidence import judge
from tavo.attack.mcp.arguments import Place, arguments_of, places_of, wrong_arguments
from tavo.attack.mcp.target import McpTarget
from tavo.attack.mcp.wire import RefusedError, Session
from tavo.attack.probes import Planned
from tavo.attack.targets import TargetFailedError

__all__ = ["Ask", "Looked", "look"]

_MOST_PAGES = 20
_MOST_LISTED = 500
_MOST_PLACES = 12
_MOST_CALLED = 12
_MOST_READ = 20
_LONGEST = 20_000
_WAIT_S = 0.1
_STRANGER = "https://stranger.example"

Ask = Callable[[Callable[[], Any], bool], Any]
"""Carries out one request, within budget and pace; again after a passing failure, if it may."""

Lists = dict[str, list[Mapping[str, Any]]]


class Looked(msgspec.Struct, frozen=True, kw_only=True):
    """What one attempt asked and got, in its order, and why it worked; empty if it did not."""

    prompts: tuple[str, ...]
    answers: tuple[str, ...]
    worked: str


class _Found(Exception):  # noqa: N818  (it ends an attempt, and is no error)
    """Something shows that the attempt worked. The message is why."""


class _Attempt:
    """An attempt while it is made."""

    def __init__(self, target: McpTarget, plan: Planned, ask: Ask, secrets: Sequence[str]) -> None:
        self.target = target
        self.plan = plan
        self.ask = ask
        self._secrets = secrets
        self.prompts: list[str] = []
        self.answers: list[str] = []
        self._port = target.canary().port if plan.server == "url" else 0
        self._sessions: list[Session] = []

    def close(self) -> None:
        for session in self._sessions:
            session.close()

    def session(self, *, key: bool = True, origin: str = "") -> Session:
        """Return a session that has begun. Raises TargetFailedError."""
        session: Session = self.ask(
            lambda: self._opened(key=key, origin=origin), True
        )  # one request is what a session costs
        self._sessions.append(session)
        return session

    def _opened(self, *, key: bool, origin: str) -> Session:
        session = self.target.session(key=key, origin=origin)
        try:
            session.begin()
        except RefusedError as error:
            session.close()
            raise TargetFailedError(f"{self.target.name}: began no session: {error}") from None
        except BaseException:
            session.close()
            raise
        return session

    def say(self, prompt: str, answer: str, *seen: str) -> None:
        """Note what was asked and what came. Raises _Found if that shows something."""
        if self._port:
            answer = answer.replace(f":{self._port}", ":{port}")
        self.prompts.append(prompt[:_LONGEST])
        self.answers.append(answer[:_LONGEST])
        if reason := judge(self.plan, [answer], secrets=self._secrets, seen=seen):
            raise _Found(reason)

    def listed(self, session: Session, kinds: Sequence[str]) -> Lists:
        """Return what a server lists of `tools`, `prompts`, `resources`, `resourceTemplates`."""
        found: Lists = {}
        for kind in kinds:
            method = "resources/templates/list" if kind == "resourceTemplates" else f"{kind}/list"
            capability = "resources" if kind == "resourceTemplates" else kind
            entries: list[Mapping[str, Any]] = []
            cursor = ""
            for _ in range(_MOST_PAGES if capability in session.capabilities else 0):
                params = {"cursor": cursor} if cursor else {}
                try:
                    result = self.ask(partial(session.request, method, params), True)
                except RefusedError:
                    break
                page = result.get(kind)
                entries += [
                    one for one in (page if isinstance(page, list) else [])
                    if isinstance(one, dict) and isinstance(one.get(_NAMES[kind]), str)
                ]  # fmt: skip
                cursor = result.get("nextCursor") or ""
                if not isinstance(cursor, str) or not cursor or len(entries) >= _MOST_LISTED:
                    break
            found[kind] = entries[:_MOST_LISTED]
        return found

    def call(
        self, session: Session, tool: str, arguments: Mapping[str, Any], *seen: str, shown: str = ""
    ) -> None:
        """Call a tool and note it. Raises _Found, TargetFailedError for a server that is gone."""
        prompt = f"tools/call {tool} {shown or json.dumps(arguments, ensure_ascii=False)}"
        params = {"name": tool, "arguments": arguments}
        self.say(prompt, self.answer(session, "tools/call", params, text_of), *seen)

    def answer(
        self,
        session: Session,
        method: str,
        params: Mapping[str, Any],
        text: Callable[[Mapping[str, Any]], str],
    ) -> str:
        """Return what came of a request as text. Raises TargetFailedError for who is gone."""
        try:
            result = self.ask(partial(session.request, method, params), False)
        except RefusedError as error:
            return f"error: {error}"
        except TargetFailedError as error:
            if error.unreachable or error.passing or error.gone:
                raise
            return f"error: {error}"
        return text(result)

    def filled(self, text: str) -> str:
        """Return a payload with the listener's port."""
        return text.replace("{port}", str(self._port)) if self._port else text


_NAMES = {
    "tools": "name",
    "prompts": "name",
    "resources": "uri",
    "resourceTemplates": "uriTemplate",
}


def look(target: McpTarget, plan: Planned, ask: Ask, secrets: Sequence[str]) -> Looked:
    """Make one attempt. Raises TargetFailedError, and LendError when a budget is used up."""
    attempt = _Attempt(target, plan, ask, secrets)
    worked = ""
    try:
        _WAYS[plan.server](attempt)
    except _Found as found:
        worked = str(found)
    finally:
        attempt.close()
    return Looked(prompts=tuple(attempt.prompts), answers=tuple(attempt.answers), worked=worked)


# -- what is looked at


def _lists(attempt: _Attempt) -> None:
    session = attempt.session()
    if session.instructions:
        attempt.say("initialize: instructions", session.instructions)
    lists = attempt.listed(session, list(_NAMES))
    for kind, entries in lists.items():
        for entry in entries:
            name = entry[_NAMES[kind]]
            seen = ("odd name",) if kind in {"tools", "prompts"} and _is_odd(name) else ()
            attempt.say(f"{kind}: {name[:200]}", "\n".join(_texts(entry)), *seen)
    _note_asked(attempt, session)


def _lists_again(attempt: _Attempt) -> None:
    session = attempt.session()
    before = attempt.listed(session, ["tools"])["tools"]
    for tool in [one for one in before if attempt.target.may_call(one)][:3]:
        attempt.call(session, tool["name"], arguments_of(tool))
    declared = session.capabilities.get("tools")
    grows = isinstance(declared, dict) and declared.get("listChanged") is True
    again = attempt.listed(session, ["tools"])["tools"]
    _changed(attempt, before, again, "tools/list after some calls", grows=grows)
    later = attempt.listed(attempt.session(), ["tools"])["tools"]
    _changed(attempt, before, later, "tools/list in another session", grows=grows)
    _note_asked(attempt, session)


def _changed(
    attempt: _Attempt, before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]],
    prompt: str, *, grows: bool,
) -> None:  # fmt: skip
    old = {one["name"]: one for one in before}
    new = {one["name"]: one for one in now}
    for name in sorted({*old, *new}):
        first, last = old.get(name), new.get(name)
        if first == last or (grows and (first is None or last is None)):
            continue
        said = [
            "is not there" if one is None else json.dumps(one, ensure_ascii=False, sort_keys=True)
            for one in (first, last)
        ]
        attempt.say(prompt, f"{name}: at first: {said[0]}; now: {said[1]}", "changed")
    attempt.say(prompt, "the same tools, described alike")


def _results(attempt: _Attempt) -> None:
    session = attempt.session()
    lists = attempt.listed(session, ["tools", "resources"])
    for tool in _callable(attempt, lists["tools"]):
        attempt.call(session, tool["name"], arguments_of(tool))
    for resource in lists["resources"][:_MOST_READ]:
        _read(attempt, session, resource["uri"])
    _note_asked(attempt, session)


def _errors(attempt: _Attempt) -> None:
    session = attempt.session()
    tools = attempt.listed(session, ["tools"])["tools"]
    for tool in _callable(attempt, tools):
        attempt.call(session, tool["name"], wrong_arguments(tool, attempt.plan.number))
    attempt.call(session, "no-such-tool", {})


def _resources(attempt: _Attempt) -> None:
    session = attempt.session()
    lists = attempt.listed(session, ["resources", "resourceTemplates"])
    payload = attempt.plan.turns[0].content
    if "resources" not in session.capabilities:
        attempt.say("initialize", "the server has no resources")
        return
    if "://" in payload:
        _read(attempt, session, payload)
        return
    starts = [str(one["uri"]).rpartition("/")[0] for one in lists["resources"]]
    starts += [str(one["uriTemplate"]).partition("{")[0] for one in lists["resourceTemplates"]]
    for start in list(dict.fromkeys(starts))[:_MOST_READ]:
        _read(attempt, session, f"{start.rstrip('/')}/{payload}")


def _arguments(attempt: _Attempt) -> None:
    session = attempt.session()
    tools = attempt.listed(session, ["tools"])["tools"]
    allowed = {one["name"]: one for one in tools if attempt.target.may_call(one)}
    places = places_of(list(allowed.values()), attempt.plan.server)
    names: dict[str, str] = {}
    payload = attempt.plan.turns[0].content
    for number, place in enumerate(_turn(places, attempt.plan.number)):
        text = payload
        if attempt.plan.server == "url":
            name = f"{attempt.plan.token}-{number}"
            text = payload.replace("{name}", name)
            names[name] = place.tool
        shown = json.dumps(arguments_of(allowed[place.tool], place.at, text), ensure_ascii=False)
        arguments = arguments_of(allowed[place.tool], place.at, attempt.filled(text))
        attempt.call(session, place.tool, arguments, shown=shown)
        if names and (name := _heard(attempt, names)):
            attempt.say(f"{names[name]}: asked our listener", "for what it was given", "listener")
    if names and (name := _heard(attempt, names, wait_s=_WAIT_S)):
        attempt.say(f"{names[name]}: asked our listener", "for what it was given", "listener")


def _heard(attempt: _Attempt, names: Mapping[str, str], *, wait_s: float = 0.0) -> str:
    return attempt.target.canary().heard(set(names), wait_s=wait_s)


def _turn(places: Sequence[Place], number: int) -> list[Place]:
    """Return the places of one attempt: all that fit, and of the others those whose turn it is."""
    fitting = [one for one in places if one.fits]
    others = [one for one in places if not one.fits]
    room = max(2, _MOST_PLACES - len(fitting))
    if len(others) > room:
        start = number * room % len(others)
        others = [*others[start:], *others[:start]][:room]
    return [*fitting, *others]


def _without_key(attempt: _Attempt) -> None:
    _as_somebody(attempt, "tools/list without a key", "no key", key=False)


def _foreign_page(attempt: _Attempt) -> None:
    _as_somebody(attempt, f"tools/list with Origin: {_STRANGER}", "foreign page", origin=_STRANGER)


def _as_somebody(
    attempt: _Attempt, prompt: str, seen: str, *, key: bool = True, origin: str = ""
) -> None:
    try:
        session = attempt.session(key=key, origin=origin)
        tools = attempt.listed(session, ["tools"])["tools"]
    except TargetFailedError as error:
        if not error.denied:
            raise
        attempt.say(prompt, f"refused: {error}")
        return
    names = ", ".join(one["name"][:60] for one in tools[:10])
    attempt.say(prompt, f"{len(tools)} tools: {names}", seen)


# -- parts


def _callable(attempt: _Attempt, tools: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the tools that one attempt calls: with many of them, those whose turn it is."""
    allowed = [one for one in tools if attempt.target.may_call(one)]
    if len(allowed) <= _MOST_CALLED:
        return allowed
    start = attempt.plan.number * _MOST_CALLED % len(allowed)
    return [*allowed[start:], *allowed[:start]][:_MOST_CALLED]


def _read(attempt: _Attempt, session: Session, uri: str) -> None:
    def text(result: Mapping[str, Any]) -> str:
        return "\n".join(_texts(result.get("contents")))

    answer = attempt.answer(session, "resources/read", {"uri": uri}, text)
    attempt.say(f"resources/read {uri}", answer)


def _note_asked(attempt: _Attempt, session: Session) -> None:
    if session.asked:
        names = ", ".join(dict.fromkeys(session.asked))
        attempt.say("nothing", f"the server asked the client for {names}", "asks the client")


def text_of(result: Mapping[str, Any]) -> str:
    """Return the text of what a tool gave back, as a model would read it."""
    texts = list(_texts(result.get("content")))
    if result.get("structuredContent") is not None:
        texts.append(json.dumps(result["structuredContent"], ensure_ascii=False))
    return ("error: " if result.get("isError") is True else "") + "\n".join(texts)


def _texts(value: Any, depth: int = 0) -> Iterator[str]:
    """Yield all texts of a value, in its order, names of properties too."""
    if depth > 12:
        return
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, one in value.items():
            if key == "properties" and isinstance(one, dict):
                yield " ".join(one)
            if key not in {"blob", "data", "mimeType", "type"} or not isinstance(one, str):
                yield from _texts(one, depth + 1)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one, depth + 1)


def _is_odd(name: str) -> bool:
    """Tell whether a name is not what protocol and people take for one."""
    return not name.isascii() or not name.isprintable() or " " in name or len(name) > 128


_WAYS: Mapping[str, Callable[[_Attempt], None]] = {
    "lists": _lists,
    "lists-again": _lists_again,
    "results": _results,
    "errors": _errors,
    "resources": _resources,
    "without-key": _without_key,
    "foreign-page": _foreign_page,
    "path": _arguments,
    "command": _arguments,
    "query": _arguments,
    "url": _arguments,
}
