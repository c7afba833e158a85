"""What a plugin may do: permissions as words, such as `network:api.example.com`, and as sentences.

Rules this module keeps:
- one permission is one word, and one set has one list of words, whatever its order and repetition;
- words are sorted by danger, the worst first;
- a variable of the environment is optional: a plugin runs without it. Every other word is needed;
- the set has one digest, from a canonical form that ignores order and repetition;
- a red combination is said in a sentence of its own: alone or together its words let a plugin
  escape its sandbox, or carry away what the user would not give it.

It imports nothing at first but types, because listing what is installed must be cheap.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from marketplace_db.manifest import Manifest
    from signing.digests import Digest

__all__ = [
    "Red",
    "danger_sentences",
    "in_order",
    "is_optional",
    "permission_digest",
    "permission_sentences",
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
        what = _with_port(what)
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


def permission_sentences(manifest: Manifest) -> tuple[list[str], list[str]]:
    """Say what the plugin can do and what it can NOT do, the most dangerous first.

    Each entry completes "It can …" and "It can NOT …".
    """
    asked = manifest.permissions
    can: list[str] = []
    cannot: list[str] = []

    def sort(granted: object, yes: str, no: str) -> None:
        if granted:
            can.append(yes)
        if no and (not granted or no.startswith(("connect to any other", "read any other"))):
            cannot.append(no)

    sort(
        asked.subprocess,
        f"start these programs with your rights: {', '.join(sorted(set(asked.subprocess)))}",
        "start other programs",
    )
    sort(
        asked.native_code,
        "load compiled libraries into its own process",
        "load compiled libraries",
    )
    programs = ", ".join(sorted(set(manifest.programs)))
    sort(
        manifest.programs,
        f"run compiled programs that it brings, locked up as it is itself: {programs}",
        "",
    )
    hosts = ", ".join(sorted({_with_port(host) for host in asked.network}))
    sort(
        asked.network,
        f"connect to {hosts}",
        "connect to any other host" if asked.network or asked.target else "use the network",
    )
    variables = ", ".join(sorted(set(asked.env)))
    sort(
        asked.env,
        f"read these environment variables, each only if you grant it: {variables}",
        "read any other environment variable" if asked.env else "read your environment variables",
    )
    sort(asked.target, "send requests to the target that you name for a run", "")
    sort(
        asked.files == "project",
        "read every file of the project that is scanned",
        "read any other file on this machine"
        if asked.files == "project"
        else "open files of the project or of this machine by itself",
    )
    if manifest.requires_plugins:
        others = ", ".join(sorted(need.full_id for need in manifest.requirements))
        can.append(f"run the code of {others} in its own process, with the same permissions")
    can.append(_handed(manifest))
    cannot.append("change files outside of its own empty scratch folder")
    return can, cannot


def permission_digest(manifest: Manifest) -> Digest:
    """Hash the permission set in canonical form: sorted, without repetition, limits left out.

    The plugins whose code gets these permissions too are part of it, and the programs that it
    brings, where there are some.
    """
    import msgspec

    from signing.digests import Digest

    asked = manifest.permissions
    canonical: dict[str, Any] = {
        "env": sorted(set(asked.env)),
        "files": asked.files,
        "native_code": asked.native_code,
        "network": sorted({_with_port(host) for host in asked.network}),
        "subprocess": sorted(set(asked.subprocess)),
        "target": asked.target,
    }
    if manifest.requires_plugins:
        canonical["plugins"] = sorted(need.full_id for need in manifest.requirements)
    if manifest.programs:
        canonical["programs"] = sorted(set(manifest.programs))
    return Digest.of(b"tavo-permissions/1\n" + msgspec.json.encode(canonical, order="sorted"))


def _handed(manifest: Manifest) -> str:
    if manifest.plugin_type == "dynamic":
        return "see the answers of the target that the host asks for it"
    if manifest.plugin_type == "proxy":
        return "see and change the requests and responses that pass the proxy"
    if manifest.plugin_type == "log":
        return "see the log entries that are analysed"
    parts = []
    if manifest.languages:
        parts.append(f"the text of {', '.join(manifest.languages)} files")
    elif not manifest.file_patterns:
        parts.append("the text of every file")
    if manifest.file_patterns:
        parts.append(f"the bytes of files named {', '.join(manifest.file_patterns)}")
    seen = f"see {', and '.join(parts)}, as the scan hands them over"
    if manifest.literals:
        seen += f", of those that hold {' or '.join(map(repr, manifest.literals))}"
    return seen


def _with_port(host: str) -> str:
    return host if ":" in host else host + _HTTPS


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
