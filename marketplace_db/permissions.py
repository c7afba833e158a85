"""A permission set as words, such as `network:api.example.com`: compared, asked for, explained.

Rules this module keeps:
- one permission is one word, and one set has one list of words, whatever its order and repetition;
- words are sorted by danger, the worst first;
- a variable of the environment is optional: a plugin runs without it. Every other word is needed;
- a red combination is said in a sentence of its own: alone or together its words let a plugin
  escape its sandbox, or carry away what the user would not give it.

It imports nothing but types, because listing what is installed must be cheap.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from marketplace_db.manifest import Manifest

__all__ = [
    "Red",
    "danger_sentences",
    "in_order",
    "is_optional",
    "permission_words",
    "red_combinations",
    "word_sentence",
    "words_of_json",
]

_KINDS = ("subprocess", "native_code", "program", "network", "env", "plugin", "target", "files")
_HTTPS = ":443"
_FULL_ID = re.compile("[a-z0-9-]+/[a-z0-9-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Red:
    """Words that are dangerous together, and the sentence that says why."""

    words: tuple[str, ...]
    sentence: str


def permission_words(manifest: Manifest) -> tuple[str, ...]:
    """Return what a manifest asks for, one word for each permission, the most dangerous first."""
    asked = manifest.permissions
    words = [*_words({name: getattr(asked, name) for name in asked.__struct_fields__})]
    words += [f"program:{name}" for name in manifest.programs]
    return in_order([*words, *(f"plugin:{need.full_id}" for need in manifest.requirements)])


def words_of_json(manifest: str) -> tuple[str, ...]:
    """Return the words of what `manifest_to_json` wrote, without reading the rest of it."""
    told = json.loads(manifest)
    words = [
        *_words(told["permissions"]),
        *(f"program:{name}" for name in told.get("programs", ())),
    ]
    needs = [_FULL_ID.match(entry) for entry in told.get("requires_plugins", ())]
    return in_order([*words, *(f"plugin:{need[0]}" for need in needs if need)])


def in_order(words: Iterable[str]) -> tuple[str, ...]:
    """Return the words without repetition, the most dangerous first."""
    return tuple(sorted(set(words), key=lambda word: (_KINDS.index(_kind(word)), word)))


def is_optional(word: str) -> bool:
    """Tell whether a plugin runs without this: true for environment variables only."""
    return _kind(word) == "env"


def word_sentence(word: str) -> str:
    """Say what one word allows; the sentence completes "It can …"."""
    kind, _, what = word.partition(":")
    if kind == "network":
        what = what if ":" in what else what + _HTTPS
    return {
        "subprocess": f"start the program {what} with your rights",
        "native_code": "load compiled libraries into its own process",
        "program": f"run the compiled program {what}, which it brings, locked up as it is itself",
        "network": f"connect to {what}",
        "env": f"read the environment variable {what}",
        "plugin": f"run the code of {what} in its own process, with the same permissions",
        "target": "send requests to the target that you name for a run",
        "files": "read every file of the project that is scanned",
    }[kind]


def red_combinations(words: Collection[str]) -> tuple[Red, ...]:
    """Return which of the words are dangerous together, or alone, the worst first."""
    of = {kind: tuple(w for w in in_order(words) if _kind(w) == kind) for kind in _KINDS}
    hosts = ", ".join(_what(word) for word in of["network"])
    found = []
    if of["subprocess"]:
        programs = ", ".join(_what(word) for word in of["subprocess"])
        way = f", and {hosts} is a way to send it away" if hosts else ""
        found.append(Red(
            words=of["subprocess"] + of["network"],
            sentence=f"{programs} runs outside of the sandbox: it can read and change whatever you"
            f" can{way}",
        ))  # fmt: skip
    if not hosts:
        return tuple(found)
    if of["native_code"]:
        found.append(Red(
            words=of["native_code"] + of["network"],
            sentence="compiled code, which a review cannot read line by line, can send whatever the"
            f" plugin sees to {hosts}",
        ))  # fmt: skip
    if of["env"]:
        variables = ", ".join(_what(word) for word in of["env"])
        found.append(Red(
            words=of["network"] + of["env"],
            sentence=f"if you let it read {variables}, it can send that to {hosts}",
        ))  # fmt: skip
    if of["files"]:
        found.append(Red(
            words=of["network"] + of["files"],
            sentence=f"it can send every file of your project to {hosts}",
        ))  # fmt: skip
    return tuple(found)


def danger_sentences(manifest: Manifest) -> tuple[str, ...]:
    """Return what is dangerous about all that a manifest asks for, the worst first."""
    return tuple(one.sentence for one in red_combinations(permission_words(manifest)))


def _words(asked: Mapping[str, Any]) -> tuple[str, ...]:
    words = [f"subprocess:{program}" for program in asked["subprocess"]]
    words += [f"network:{host.removesuffix(_HTTPS)}" for host in asked["network"]]
    words += [f"env:{name}" for name in asked["env"]]
    words += [kind for kind in ("native_code", "target") if asked[kind]]
    if asked["files"] != "none":
        words.append("files")
    return in_order(words)


def _kind(word: str) -> str:
    return word.partition(":")[0]


def _what(word: str) -> str:
    return word.partition(":")[2]
