"""Policy files and their data, read and looked at before anything evaluates them.

Rules this module keeps:
- what can be said about a policy without evaluating it is said before the scan: a package without a
  rule of ours, a rule of the old form, a call of what leaves this machine or reads its environment;
- only the text's tokens are looked at: comments and strings are none, and nothing is interpreted;
- data is JSON or YAML, and a folder's files stand below their folders' names, as with OPA.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tavo.errors import ConfigError, InputError
from tavo.printable import printable

__all__ = ["CONVENTIONS", "WORDS", "Module", "PolicyFiles", "Token", "read_policy", "tokens_of"]

CONVENTIONS = (
    "A policy is `package main` with rules such as `deny contains msg if { … }`, also `violation`"
    " and `warn`, with any `_suffix`."
)
_LARGEST = 1 << 20
_LARGEST_DATA = 16 << 20
_MOST_FILES = 500
_KINDS = re.compile(r"(deny|violation|warn)(?:_[A-Za-z0-9_]+)?\Z")
_TOKEN = re.compile(
    r"#[^\n]*|\"(?:\\.|[^\"\\\n])*\"|`[^`]*`|(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)"
    r"|(?P<number>\d[\w.]*)|(?P<sign>:=|==|!=|<=|>=|[^\s\w])|(?P<line>\n)"
)
WORDS = frozenset({
    "package", "import", "default", "if", "else", "contains", "some", "every", "in", "not", "with",
    "as", "null", "true", "false",
})  # fmt: skip
_FORBIDDEN = {
    "http.send": "asks the network",
    "net.lookup_ip_addr": "asks the network",
    "opa.runtime": "reads the environment",
    "rego.parse_module": "reads other policies",
}


class Module(NamedTuple):
    """One policy file: its name, its text, its package, its rules and what it calls, by line."""

    name: str
    text: str
    package: str
    rules: tuple[str, ...]
    functions: frozenset[str]
    aliases: frozenset[str]
    calls: tuple[tuple[str, int], ...]


class PolicyFiles(NamedTuple):
    """All modules and data of a policy; `rules` are those of `main` that are evaluated."""

    names: tuple[str, ...]
    modules: tuple[Module, ...]
    rules: tuple[str, ...]
    has_exceptions: bool
    data: dict[str, Any]


def read_policy(paths: Sequence[Path], data: Sequence[Path] = ()) -> PolicyFiles:
    """Read policies and data. Raises InputError for unreadable files, ConfigError for the rest."""
    modules = [_module(name, text) for path in paths for name, text in _texts(path)]
    main = [module for module in modules if module.package == "main"]
    if not main:
        found = ", ".join(sorted({module.package for module in modules})) or "none"
        raise ConfigError(
            f"--policy {_shown(paths)}: no file of it is `package main` (found:"
            f" {printable(found)})",
            hint=CONVENTIONS,
        )
    rules = sorted({rule for module in main for rule in module.rules if _KINDS.match(rule)})
    if not rules:
        raise ConfigError(
            f"--policy {_shown(paths)}: package main has no rule deny, violation or warn, so it"
            " would pass everything",
            hint=CONVENTIONS,
        )
    for module in modules:
        _check_calls(module)
    return PolicyFiles(
        names=tuple(str(path) for path in paths),
        modules=tuple(modules),
        rules=tuple(rules),
        has_exceptions=any("exception" in module.rules for module in main),
        data=_data(data),
    )


def _shown(paths: Sequence[Path]) -> str:
    return ", ".join(str(path) for path in paths)


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    files = [path]
    if path.is_dir():
        found = sorted(path.rglob("*.rego"))
        files = [file for file in found if not file.name.endswith("_test.rego") and file.is_file()]
        if not files:
            raise ConfigError(f"--policy {path}: there is no .rego file in it", hint=CONVENTIONS)
        if len(files) > _MOST_FILES:
            raise ConfigError(f"--policy {path}: holds more than {_MOST_FILES} .rego files")
    for file in files:
        yield str(file), _read(file, "--policy", _LARGEST)


def _read(path: Path, option: str, largest: int) -> str:
    try:
        with path.open("rb") as stream:
            data = stream.read(largest + 1)
    except OSError as error:
        raise InputError(
            f"{option} {path}: cannot be read: {error.strerror or error}", hint="Check the path."
        ) from error
    if len(data) > largest:
        raise ConfigError(f"{option} {path}: is larger than {largest >> 20} MB")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{option} {path}: is not UTF-8 (byte {error.start})") from None
    if "\0" in text:
        raise ConfigError(f"{option} {path}: holds a NUL character, so it is no text")
    return text


class Token(NamedTuple):
    """A part: a `name` with its dots, a `number`, a `string`, a `sign` or the end of a `line`."""

    kind: str
    text: str
    line: int


def tokens_of(text: str) -> list[Token]:
    """Return the tokens of a policy, without its comments."""
    out: list[Token] = []
    line = 1
    for found in _TOKEN.finditer(text):
        if found.lastgroup is None:
            if not found.group().startswith("#"):
                out.append(Token("string", found.group(), line))
            line += found.group().count("\n")
            continue
        out.append(Token(found.lastgroup, found.group(), line))
        line += found.lastgroup == "line"
        _join(out)
    return out


def _join(out: list[Token]) -> None:
    """Make `opa["runtime"]` the name `opa.runtime`, which it is to an evaluator."""
    if len(out) < 4 or out[-1].text != "]" or out[-3].text != "[" or out[-4].kind != "name":
        return
    inner = out[-2].text[1:-1]
    if out[-2].kind == "string" and inner.isidentifier():
        out[-4:] = [Token("name", f"{out[-4].text}.{inner}", out[-4].line)]


def _module(name: str, text: str) -> Module:
    tokens = tokens_of(text)
    package, rules, functions, aliases = "", [], set(), {"data", "input"}
    calls: list[tuple[str, int]] = []
    depth, fresh = 0, True
    for at, token in enumerate(tokens):
        after = tokens[at + 1] if at + 1 < len(tokens) else Token("line", "\n", token.line)
        if token.kind == "line":
            fresh = depth == 0
            continue
        if token.text in {"{", "[", "("}:
            depth += 1
        elif token.text in {"}", "]", ")"}:
            depth = max(depth - 1, 0)
        elif token.kind == "name":
            if token.text == "package" and fresh:
                package = after.text
            elif token.text == "import" and fresh:
                aliases.add(_alias(tokens, at))
            elif token.text == "default" and fresh:
                continue  # the head comes next
            elif after.text == "(" and token.text not in WORDS:
                if fresh:
                    functions.add(token.text)
                else:
                    calls.append((token.text, token.line))
            elif fresh and token.text not in WORDS:
                rules.append(token.text.partition(".")[0])
                _check_form(name, tokens, at)
        fresh = False
    mine = {call for call in calls if call[0].partition(".")[0] not in aliases}
    return Module(
        name, text, package, tuple(dict.fromkeys(rules)), frozenset(functions),
        frozenset(aliases), tuple(sorted(mine, key=lambda call: call[1])),
    )  # fmt: skip


def _alias(tokens: Sequence[Token], at: int) -> str:
    path = tokens[at + 1].text if at + 1 < len(tokens) else ""
    if at + 3 < len(tokens) and tokens[at + 2].text == "as":
        return tokens[at + 3].text
    return path.rpartition(".")[2]


def _check_form(name: str, tokens: Sequence[Token], at: int) -> None:
    """Refuse `deny[msg] { … }`: the two evaluators read that old form differently."""
    head = tokens[at]
    if _KINDS.match(head.text) and tokens[at + 1 : at + 2] and tokens[at + 1].text == "[":
        raise ConfigError(
            f"{name}: line {head.line}: `{head.text}[…]` is the form before Rego v1",
            hint=f"Write `{head.text} contains msg if {{ … }}`; `opa fmt --rego-v1` does it.",
        )


def _check_calls(module: Module) -> None:
    for call, line in module.calls:
        if call in _FORBIDDEN:
            raise ConfigError(
                f"{module.name}: line {line}: calls {call}, which {_FORBIDDEN[call]}; a policy sees"
                " what it is given, and nothing else",
                hint="Hand it in as data: --data FILE.",
            )


# -- data


def _data(paths: Sequence[Path]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for path in paths:
        if path.is_dir():
            kinds = {".json", ".yaml", ".yml"}
            found = [f for f in sorted(path.rglob("*")) if f.suffix in kinds and f.is_file()]
            if len(found) > _MOST_FILES:
                raise ConfigError(f"--data {path}: holds more than {_MOST_FILES} files")
            for file in found:
                _merge(out, _document(file), file, file.parent.relative_to(path).parts)
        else:
            _merge(out, _document(path), path, ())
    return out


def _document(path: Path) -> dict[str, Any]:
    text = _read(path, "--data", _LARGEST_DATA)
    if path.suffix == ".json":
        try:
            value = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"--data {path}: is not JSON: {error}") from None
    else:
        from marketplace_db.errors import MarketplaceError
        from marketplace_db.strict_yaml import load_yaml

        try:
            value = load_yaml(text.encode(), name=f"--data {path}", limit=_LARGEST_DATA)
        except MarketplaceError as error:
            raise ConfigError(str(error), hint="Write plain YAML: no anchors, no tags.") from None
    if not isinstance(value, dict):
        raise ConfigError(
            f"--data {path}: is no object at the top",
            hint='Give it a name: {"allowed": [...]} is data.allowed in the policy.',
        )
    return value


def _merge(into: dict[str, Any], value: dict[str, Any], path: Path, folders: Sequence[str]) -> None:
    for folder in folders:
        into = into.setdefault(folder, {})
        if not isinstance(into, dict):
            raise ConfigError(f"--data {path}: {folder} is data of another file already")
    for key, content in value.items():
        if key == "main" and not folders:
            raise ConfigError(f"--data {path}: data.main is the policy's own package")
        known = into.get(key)
        if isinstance(known, dict) and isinstance(content, dict):
            _merge(known, content, path, ())
        elif key in into:
            raise ConfigError(f"--data {path}: {key} is data of another file already")
        else:
            into[key] = content
