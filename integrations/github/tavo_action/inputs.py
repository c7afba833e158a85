"""The inputs of the Action: variables in, checked values and words of a command line out.

Rules this module keeps:
- an input that cannot work is refused by name, none is dropped;
- a value stays one word: nothing is given to a shell, and no value of a list becomes an option.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from tavo_action.errors import ActionError

__all__ = ["Inputs", "read_inputs", "scan_words"]

_SHA256 = re.compile(r"[0-9a-fA-F]{64}\Z")
_FORMAT = re.compile(r"[a-z][a-z0-9-]{0,30}\Z")
_OURS = ("--save", "--format", "--output", "--help", "-h", "--")
_INPUTS = {
    "--policy": "policy", "--data": "policy-data", "--baseline": "baseline", "--diff": "diff",
    "--suppressions": "suppressions", "--rules": "rules", "--plugin-config": "plugin-config",
    "--target": "target",
}  # fmt: skip
_MOST = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the workflow asked for. Empty texts and lists were not asked for."""

    tavo: str
    sha256: str
    paths: tuple[str, ...]
    lock: str
    grants: tuple[str, ...]
    mirror: str
    static_plugins: str
    dynamic_plugins: str
    target: str
    plugin_config: str
    rules: tuple[str, ...]
    policy: tuple[str, ...]
    policy_data: tuple[str, ...]
    baseline: str
    suppressions: str
    fail_on: str
    fail_on_confidence: str
    exclude: tuple[str, ...]
    diff: str
    gate_from_base: bool
    allow_incomplete: tuple[str, ...]
    formats: tuple[str, ...]
    sarif_file: str
    category: str
    upload_sarif: bool
    annotate: bool
    summary: bool
    args: tuple[str, ...]


def read_inputs(environment: Mapping[str, str]) -> Inputs:
    """Return the checked inputs. Raises ActionError that names the input."""

    def text(name: str) -> str:
        value = environment.get("INPUT_" + name.upper().replace("-", "_"), "").strip()
        if "\0" in value or len(value) > _MOST:
            raise ActionError(f"the input {name} holds a NUL, or more than {_MOST} characters")
        return value

    def line(name: str) -> str:
        value = text(name)
        if "\n" in value or "\r" in value:
            raise ActionError(f"the input {name} has several lines, expected one")
        return value

    def lines(name: str) -> tuple[str, ...]:
        stripped = (part.strip() for part in text(name).splitlines())
        return tuple(dict.fromkeys(part for part in stripped if part))

    def listed(name: str) -> tuple[str, ...]:
        stripped = (part.strip() for part in re.split(r"[,\r\n]", text(name)))
        return tuple(dict.fromkeys(part for part in stripped if part))

    def flag(name: str) -> bool:
        value = line(name)
        if value not in {"true", "false"}:
            raise ActionError(f"the input {name} is {value!r}, expected true or false")
        return value == "true"

    sha256 = line("sha256")
    if not _SHA256.match(sha256):
        raise ActionError(
            f"the input sha256 is {sha256[:80]!r}, expected 64 hexadecimal digits",
            hint="Take it from the published SHA256SUMS: the file is run only if it is this one.",
        )
    if not line("tavo"):
        raise ActionError("the input tavo is empty, expected a path or an https:// address")
    gate_from = line("gate-from")
    if gate_from not in {"base", "checkout"}:
        raise ActionError(f"the input gate-from is {gate_from!r}, expected base or checkout")
    formats = listed("formats")
    if wrong := [name for name in formats if not _FORMAT.match(name)]:
        raise ActionError(f"the input formats names {wrong[0]!r}, which is no name of a format")
    return Inputs(
        tavo=line("tavo"),
        sha256=sha256.lower(),
        paths=lines("paths"),
        lock=line("lock"),
        grants=lines("grants"),
        mirror=line("mirror"),
        static_plugins=",".join(listed("static-plugins")),
        dynamic_plugins=",".join(listed("dynamic-plugins")),
        target=line("target"),
        plugin_config=line("plugin-config"),
        rules=lines("rules"),
        policy=lines("policy"),
        policy_data=lines("policy-data"),
        baseline=line("baseline"),
        suppressions=line("suppressions"),
        fail_on=line("fail-on"),
        fail_on_confidence=line("fail-on-confidence"),
        exclude=lines("exclude"),
        diff=line("diff"),
        gate_from_base=gate_from == "base",
        allow_incomplete=lines("allow-incomplete"),
        formats=formats,
        sarif_file=line("sarif-file"),
        category=_category(line("category")),
        upload_sarif=flag("upload-sarif"),
        annotate=flag("annotate"),
        summary=flag("summary"),
        args=_args(text("args")),
    )


def _category(value: str) -> str:
    if not value.isprintable() or len(value) > 200 or not value:
        raise ActionError("the input category is empty, too long, or holds control characters")
    return value


def _args(value: str) -> tuple[str, ...]:
    try:
        words = shlex.split(value)
    except ValueError as error:
        raise ActionError(f"the input args is not quoted as in a shell: {error}") from None
    for word in words:
        option = word.partition("=")[0]
        if option in _INPUTS:  # it would not be taken from the base of a pull request
            raise ActionError(f"the input args names {word}, which is the input {_INPUTS[option]}")
        if option in _OURS:
            raise ActionError(
                f"the input args names {word}, which the Action sets itself",
                hint="Reports are chosen with the input formats, what is scanned with paths.",
            )
    return tuple(words)


def scan_words(inputs: Inputs, *, store: str, diff: str) -> list[str]:
    """Return the words after `tavo` of the scan. `diff` is the revision, empty for none."""
    words = ["scan", "--save", store]
    for option, value in (
        ("--fail-on", inputs.fail_on),
        ("--fail-on-confidence", inputs.fail_on_confidence),
        ("--static-plugins", inputs.static_plugins),
        ("--dynamic-plugins", inputs.dynamic_plugins),
        ("--target", inputs.target),
        ("--plugin-config", inputs.plugin_config),
        ("--baseline", inputs.baseline),
        ("--suppressions", inputs.suppressions),
        ("--diff", diff),
    ):
        words += [f"{option}={value}"] if value else []
    for option, values in (
        ("--rules", inputs.rules),
        ("--policy", inputs.policy),
        ("--data", inputs.policy_data),
        ("--exclude", inputs.exclude),
        ("--allow-incomplete", inputs.allow_incomplete),
    ):
        words += [f"{option}={value}" for value in values]
    words += inputs.args
    # A name that begins with a dash stays a name.
    return words + [f"./{path}" if path.startswith("-") else path for path in inputs.paths]
