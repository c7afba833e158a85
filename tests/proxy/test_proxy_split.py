"""A value that is cut over events, parts or names is seen, whoever puts it together."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.fakes.any_reader import heard_anyhow
from tests.fakes.dialect_traffic import SPEAKERS, Speaker, compact
from tests.proxy.driving import Done, answered, asked, chain_of, cut

IDS = [one.name for one in SPEAKERS]
CHAT, RESPONSES, ANTHROPIC, GEMINI, ARRAY, OLLAMA, MCP = SPEAKERS
SECRET = "AKIAQ7TR2MXL5ZB3NC4D"
HALVES = ("see AKIAQ7TR2M", "XL5ZB3NC4D ok")
CALLED = {"arguments", "args", "input"}
STRICT = chain_of({"filter": "secrets", "mode": "remove"})


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(entry, dict | list):
            yield from leaves(entry, (*path, key))
        elif isinstance(entry, str):
            yield (*path, key)


def folders(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the ways to all objects in a document."""
    if isinstance(value, dict):
        yield path
    for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(entry, dict | list):
            yield from folders(entry, (*path, key))


def put(document: Any, path: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(document)
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    return changed


def pairs(document: Any, called: set[str]) -> Iterator[tuple[Any, Any]]:
    """Yield two documents that hold a half each, at every text and under new names."""
    paths = [*leaves(document)]
    for folder in folders(document):
        paths += [(*folder, "novel"), (*folder, "url")]
    for path in paths:
        if called & set(path):
            continue  # of calls that stand whole, nobody puts two together
        yield put(document, path, HALVES[0]), put(document, path, HALVES[1])
        yield put(document, path, [HALVES[0]]), put(document, path, [HALVES[1]])
        yield put(document, path, [{"t": HALVES[0]}]), put(document, path, [{"t": HALVES[1]}])


def said_by(speaker: Speaker, body: bytes, chain: Any = STRICT, **options: Any) -> Done:
    path = speaker.whole_path if options.get("whole") else b""
    done = asked(chain, speaker, speaker.request("hi"), path=path)
    return answered(done, speaker, cut(body, [70] * len(body)), **options)


def leaks(done: Done) -> bool:
    return any(SECRET in text for text in heard_anyhow(done.out))


@pytest.mark.parametrize("speaker", SPEAKERS, ids=IDS)
def test_halves_in_two_events_are_never_put_together(speaker: Speaker) -> None:
    call = ("f", '{"a": "b"}') if speaker.has_calls else None
    events = speaker.stream([(0, "hello "), (0, "you")], call, 4)
    called = set() if speaker is CHAT else CALLED  # only there they come in pieces of a text
    tried = 0
    for number, event in enumerate(events):
        start, end = event.find(b"{"), event.rfind(b"}") + 1
        if start < 0:
            continue
        before, after = event[:start], event[end:]
        for one, two in pairs(json.loads(event[start:end]), called):
            more = (before if not before.startswith(b"[") else b",") if before else b""
            twice = before + compact(one) + after + more + compact(two) + after
            done = said_by(speaker, b"".join([*events[:number], twice, *events[number + 1 :]]))
            assert not leaks(done), (one, two)
            assert done.out or done.refusal
            tried += 1
    assert tried > 20


def doubled(document: Any, path: tuple[Any, ...] = ()) -> Iterator[Any]:
    """Yield the document with one entry of a list twice, a half of the secret in each."""
    items = document.items() if isinstance(document, dict) else enumerate(document)
    for key, entry in items:
        if isinstance(entry, list) and key not in {"choices", "candidates"}:
            for number, element in enumerate(entry):
                if isinstance(element, str):
                    both = list(HALVES)
                    yield (*path, key), [*entry[:number], *both, *entry[number + 1 :]]
                elif isinstance(element, dict):
                    for leaf in leaves(element):
                        if CALLED & set(leaf):
                            continue
                        both = [put(element, leaf, half) for half in HALVES]
                        yield (*path, key), [*entry[:number], *both, *entry[number + 1 :]]
        if isinstance(entry, dict | list):
            yield from doubled(entry, (*path, key))


@pytest.mark.parametrize("speaker", SPEAKERS, ids=IDS)
def test_halves_in_two_parts_of_an_answer_are_put_together(speaker: Speaker) -> None:
    call = ("f", '{"a": "b"}') if speaker.has_calls else None
    document = json.loads(speaker.whole(["hello"], call))
    for path, value in doubled(document):
        body = compact(put(document, path, value))
        done = said_by(speaker, body, whole=True)
        assert not leaks(done), body
        assert done.out or done.refusal
