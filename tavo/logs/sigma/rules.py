"""Sigma rule files -> rules that can be run, and why others cannot.

Rules this module keeps:
- a rule file is hostile: bounded in size, aliases and depth; no tags of YAML;
- a rule that cannot be used is named with the reason, and the others are used;
- `samples` beside a detection hold records that the rule must match and must not match: they are
  our addition, which other tools read over.

Source: the Sigma specification 2.1.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml

from tavo.errors import ConfigError
from tavo.logs.event import LogEvent
from tavo.logs.sigma.conditions import Any_, Tree, parse_condition, selection
from tavo.logs.sigma.correlation import Correlation, read_correlation
from tavo.logs.sigma.gates import Gate, gate_of, matcher
from tavo.logs.sigma.naming import check_keys, check_names, check_source, is_ours, named_fields
from tavo.logs.sigma.tests import SigmaError
from tavo.plugins import Confidence, Rule, Severity

__all__ = ["PACK", "LogRule", "RuleProblem", "Rules", "load_rules"]

PACK = Path(__file__).parents[1] / "packs" / "tavo_genai"
_LARGEST = 1 << 20
_MOST_FILES = 20_000
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?\Z")
_LEVELS = {
    "informational": Severity.INFO, "low": Severity.LOW, "medium": Severity.MEDIUM,
    "high": Severity.HIGH, "critical": Severity.CRITICAL,
}  # fmt: skip
_STATUS = {"stable": Confidence.HIGH, "test": Confidence.MEDIUM}
_OWASP = re.compile(r"owasp\.(llm|asi)(\d\d)-(20\d\d)\Z")
_ATLAS = re.compile(r"atlas\.(aml\.t\d{4}(?:\.\d{3})?)\Z")
_CWE = re.compile(r"cwe\.(\d+)\Z")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_LOADER):  # type: ignore[misc, valid-type]
    """Reads YAML, and refuses a map that has a key twice: only the last of them would count."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """Return the map of a node."""
        known: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in known:
                raise SigmaError(
                    f"line {key.start_mark.line + 1}: the key {key.value!r} stands twice in one"
                    " map; give both values as a list, or name one of them otherwise"
                )
            known.add(key.value)
        made: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return made


class RuleProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a rule cannot be used."""

    file: Path
    rule_id: str
    reason: str

    def __str__(self) -> str:
        name = f": {self.rule_id}" if self.rule_id else ""
        return f"{self.file}{name}: {self.reason}"


class LogRule:
    """One rule: its test of an event and its gate, or a correlation of other rules."""

    def __init__(
        self,
        about: Rule,
        *,
        file: Path,
        names: frozenset[str],
        logsource: Mapping[str, str],
        matches: Callable[[LogEvent], bool] | None,
        gate: Gate | None,
        correlation: Correlation | None,
        samples: Mapping[str, Any],
        fields: tuple[str, ...],
        tree: Tree | None = None,
    ) -> None:
        self.tree = tree
        self.about = about
        self.file = file
        self.names = names
        self.logsource = logsource
        self.matches = matches
        self.gate = gate
        self.correlation = correlation
        self.samples = samples
        self.fields = fields
        self.reported = True

    @property
    def id(self) -> str:
        """Return its id."""
        return self.about.id


class Rules:
    """The rules of some files, in their order."""

    def __init__(self) -> None:
        self.rules: dict[str, LogRule] = {}
        self.problems: list[RuleProblem] = []

    def named(self, name: str) -> LogRule | None:
        """Return the rule with a name, an id or a title."""
        found = self.rules.get(name)
        if found is not None:
            return found
        return next((rule for rule in self.rules.values() if name in rule.names), None)


def load_rules(paths: Iterable[Path]) -> Rules:
    """Read rule files and folders of them. Raises ConfigError for a path that is not there."""
    out = Rules()
    generate: set[str] = set()
    for path in paths:
        for file in _files(path):
            documents = _documents(file, out)
            for number, document in enumerate(documents, 1):
                _add(document, file, number if len(documents) > 1 else 0, out, generate)
    _link(out, generate)
    return out


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ConfigError(f"{path}: there is no such rule file or folder")
    found = sorted(
        p for pattern in ("*.yml", "*.yaml") for p in path.rglob(pattern)
        if not any(part.startswith(".") for part in p.relative_to(path).parts)
    )  # fmt: skip
    if len(found) > _MOST_FILES:
        raise ConfigError(f"{path}: holds more than {_MOST_FILES} rule files")
    return found


def _documents(file: Path, out: Rules) -> list[Any]:
    try:
        data = file.read_bytes()
        if len(data) > _LARGEST:
            raise SigmaError("is larger than 1 MB, which no rule is")
        text = data.decode("utf-8")
        for events, token in enumerate(yaml.scan(text, Loader=_LOADER)):
            if isinstance(token, yaml.AliasToken | yaml.AnchorToken | yaml.TagToken):
                raise SigmaError("aliases and tags of YAML are not for rules")
            if events > 200_000:
                raise SigmaError("has more parts than any rule")
        return [one for one in yaml.load_all(text, Loader=_Loader) if one is not None]
    except (SigmaError, UnicodeDecodeError, yaml.YAMLError, RecursionError, OSError) as error:
        reason = " ".join(_said(error).split())[:300]
        out.problems.append(RuleProblem(file=file, rule_id="", reason=reason))
        return []


def _said(error: Exception) -> str:
    """Return what is wrong with a file, in words."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"is not YAML: line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    if isinstance(error, UnicodeDecodeError):
        return "is not UTF-8"
    return str(error)


def _add(document: Any, file: Path, number: int, out: Rules, generate: set[str]) -> None:
    name = ""
    try:
        if not isinstance(document, Mapping):
            raise SigmaError("is not a rule: expected a map with 'title' and 'detection'")
        name = _id_of(document, file, number, out.rules)
        check_keys(document)
        if name in out.rules:
            raise SigmaError(f"there is another rule with this name in {out.rules[name].file}")
        if document.get("action") is not None:
            raise SigmaError("'action' documents are of Sigma 1")
        rule = _rule(document, file, name)
    except (SigmaError, ValueError, RecursionError) as error:
        out.problems.append(RuleProblem(file=file, rule_id=name, reason=str(error)[:300]))
        return
    out.rules[name] = rule
    if document.get("generate") or _mapping(document.get("correlation")).get("generate"):
        generate.add(name)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _id_of(
    document: Mapping[str, Any], file: Path, number: int, known: Mapping[str, LogRule]
) -> str:
    """Return what a rule is called: its name, else its file, else its id.

    Of several rules in a file, from 1 on, and of files with one name, the id tells which is meant.
    """
    stem = file.stem if file.suffix else None
    given: list[Any] = [document.get("name")]
    given += [document.get("id"), f"{stem}-{number}"] if number else [stem, document.get("id")]
    names = [one for one in given if isinstance(one, str) and _NAME.match(one)]
    if not names:
        raise SigmaError("has no name, and its id is none either")
    same = known.get(names[0])
    if same is None or document.get("name") == names[0] or str(document.get("id")) in same.names:
        return names[0]
    return next((one for one in names if one not in known), names[0])


def _rule(document: Mapping[str, Any], file: Path, name: str) -> LogRule:
    about = _about(document, name)
    names = frozenset(
        str(document[key]) for key in ("id", "name", "title") if document.get(key) is not None
    )
    samples = _mapping(document.get("samples"))
    if "correlation" in document:
        return LogRule(
            about, file=file, names=names, logsource={}, matches=None, gate=None,
            correlation=read_correlation(document["correlation"]), samples=samples, fields=(),
        )  # fmt: skip
    logsource = document.get("logsource")
    if not isinstance(logsource, Mapping) or not logsource:
        raise SigmaError("has no logsource")
    detection = document.get("detection")
    if not isinstance(detection, Mapping):
        raise SigmaError("has neither a detection nor a correlation")
    named = {str(key): selection(value) for key, value in detection.items() if key != "condition"}
    condition = detection.get("condition")
    listed = condition if isinstance(condition, list) else [condition]
    conditions = [one for one in listed if isinstance(one, str) and one.strip()]
    if not named or not conditions or len(conditions) < len(listed):
        raise SigmaError("its detection lacks a condition or what it is about")
    trees = [parse_condition(one, named) for one in conditions]
    tree = trees[0] if len(trees) == 1 else Any_(list(trees))
    source = {str(k): str(v) for k, v in logsource.items() if k in _SOURCE_KEYS}
    check_source(source)
    if is_ours(source):
        check_names(named_fields(detection))
    fields = tuple(dict.fromkeys(_fields_of(detection)))
    return LogRule(
        about, file=file, names=names, logsource=source,
        matches=matcher(tree), gate=gate_of(tree), correlation=None, samples=samples, fields=fields,
        tree=tree,
    )  # fmt: skip


_SOURCE_KEYS = {"product", "category", "service"}


def _fields_of(value: Any, depth: int = 0) -> Iterable[str]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if depth and isinstance(key, str) and key.partition("|")[0]:
                yield key.partition("|")[0]
            else:
                yield from _fields_of(inner, depth + 1)
    elif isinstance(value, list):
        for one in value:
            yield from _fields_of(one, max(depth, 1))


def _about(document: Mapping[str, Any], name: str) -> Rule:
    title = document.get("title")
    if not isinstance(title, str) or not title.strip():
        raise SigmaError("has no title")
    level = document.get("level", "medium")
    if level not in _LEVELS:
        raise SigmaError(f"level {level!r} is not one of {', '.join(_LEVELS)}")
    tags = [str(one) for one in document.get("tags") or ()]
    falsepositives = [str(one) for one in document.get("falsepositives") or ()]
    help_text = str(document.get("remediation") or "").strip()
    if falsepositives:
        listed = "\n".join(f"- {one}" for one in falsepositives)
        help_text = f"{help_text}\n\nHarmless causes:\n{listed}".strip()
    return Rule(
        id=name,
        title=title.strip()[:200],
        severity=_LEVELS[level],
        confidence=_STATUS.get(str(document.get("status")), Confidence.LOW),
        description=str(document.get("description") or "").strip(),
        help=help_text,
        cwe=tuple(f"CWE-{m[1]}" for t in tags if (m := _CWE.match(t))),
        owasp=tuple(f"{m[1].upper()}{m[2]}:{m[3]}" for t in tags if (m := _OWASP.match(t))),
        tags=tuple(
            m[1].upper() if (m := _ATLAS.match(t)) else t
            for t in tags
            if not _OWASP.match(t) and not _CWE.match(t)
        ),
        references=tuple(str(one) for one in document.get("references") or ()),
    )


def _link(out: Rules, generate: set[str]) -> None:
    """Find the rules that correlations name; those report nothing by themselves."""
    for name, rule in list(out.rules.items()):
        if rule.correlation is None:
            continue
        missing = [one for one in rule.correlation.rules if out.named(one) is None]
        try:
            if missing:
                raise SigmaError(
                    f"its correlation names the rule {missing[0]!r}, which is not there"
                )
            _check_correlation(rule.correlation, out)
        except SigmaError as error:
            out.problems.append(RuleProblem(file=rule.file, rule_id=name, reason=str(error)))
            del out.rules[name]
    for name, rule in out.rules.items():
        if rule.correlation is None:
            continue
        rule.correlation.rules = tuple(
            found.id for one in rule.correlation.rules if (found := out.named(one)) is not None
        )
        if name in generate:
            continue
        for one in rule.correlation.rules:
            if one not in generate:
                out.rules[one].reported = False


def _check_correlation(correlation: Correlation, out: Rules) -> None:
    """Check what a correlation groups and measures by, if all its rules are about AI systems."""
    about = [out.named(one) for one in correlation.rules]
    if not all(one is not None and is_ours(one.logsource) for one in about):
        return
    names = [one for one in correlation.group_by if one not in correlation.aliases]
    check_names(names, "group-by: ")
    for alias in correlation.aliases.values():
        check_names(map(str, alias.values()), "aliases: ")
    check_names([correlation.field] if correlation.field else [], "condition: ")
