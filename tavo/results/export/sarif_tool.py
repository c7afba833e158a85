"""The tool of a SARIF run: who found it, its rules, and what the rules are about.

Rules this module keeps:
- built-in rules belong to the driver, a plugin and its rules are an extension;
- CWE and OWASP entries are taxonomies, and each rule names its relations to them;
- a reference to a component or a rule carries its index, as the consumer looks it up by that.

Source: OASIS SARIF 2.1.0, sections 3.18, 3.19, 3.49 to 3.54.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from tavo.plugins import Confidence, Rule, Severity
from tavo.results.values import Reported, Run

__all__ = [
    "LEVELS",
    "MOST_TAGS",
    "NOTICE_KINDS",
    "SCORES",
    "Components",
    "notice_id",
    "tags_of",
]

LEVELS = {
    Severity.CRITICAL: "error", Severity.HIGH: "error", Severity.MEDIUM: "warning",
    Severity.LOW: "note", Severity.INFO: "note",
}  # fmt: skip
SCORES = {
    Severity.CRITICAL: "9.5", Severity.HIGH: "8.0", Severity.MEDIUM: "5.5",
    Severity.LOW: "3.0", Severity.INFO: "0.0",
}  # fmt: skip
NOTICE_KINDS = {
    "file": "A file was not looked at, or not in full.",
    "rule": "A rule could not be used, or was stopped.",
    "plugin": "A plugin failed, or could not be run.",
    "comment": "An ignore comment does not hold.",
    "engine": "Another engine failed, or did not do all of it.",
    "step": "A step of a pipeline did not run.",
    "suppression": "An entry of a suppressions file does not count, or is not used.",
    "policy": "A policy said something, or failed.",
    "report": "This report leaves something out.",
}
_PRECISION = {Confidence.HIGH: "high", Confidence.MEDIUM: "medium", Confidence.LOW: "low"}
MOST_TAGS = 20
_LONGEST_NAME = 255
_LONGEST_DESCRIPTION = 1024


class _Taxonomy:
    """Where entries such as CWE-94 come from. `guid` is ours and never changes."""

    def __init__(self, name: str, organization: str, guid: str, uri: str, title: str) -> None:
        self.name, self.organization, self.guid = name, organization, guid
        self.uri, self.title = uri, title


_TAXONOMIES = {
    "CWE-": _Taxonomy(
        "CWE", "MITRE", "a2c0a5e2-6c36-4f0e-9d0b-3d9f5f8c7e11", "https://cwe.mitre.org/",
        "Common Weakness Enumeration",
    ),
    "LLM": _Taxonomy(
        "OWASP-LLM-Top-10", "OWASP", "0b6f5a0c-8e57-4a53-8d5e-8f1f4a2b6c22",
        "https://genai.owasp.org/llm-top-10/", "OWASP Top 10 for LLM Applications",
    ),
    "ASI": _Taxonomy(
        "OWASP-Agentic-Top-10", "OWASP", "c7d94c3a-1d0f-4f7b-9a46-5b3e9d7a8f33",
        "https://genai.owasp.org/", "OWASP Top 10 for Agentic Applications",
    ),
}  # fmt: skip


class Components:
    """The tool components of a run, and where in them each rule stands.

    `plugins` names the extensions; each result is of one of them, or of `tavo`.
    """

    def __init__(self, run: Run, items: Sequence[Reported], plugins: Sequence[str]) -> None:
        tools: dict[str, dict[str, Rule]] = {"tavo": {}, **{name: {} for name in plugins}}
        for one in items:
            tools[one.tool][one.rule.id] = one.rule
        self._index = {
            (tool, rule_id): number
            for tool, rules in tools.items()
            for number, rule_id in enumerate(sorted(rules))
        }
        self._extension = {tool: number for number, tool in enumerate(plugins)}
        entries = _entries(one.rule for one in items)
        self._taxonomy = {prefix: number for number, prefix in enumerate(entries)}
        self.taxonomies = [_taxonomy(_TAXONOMIES[p], ids) for p, ids in entries.items()]
        runs = {ran.plugin: ran for ran in run.plugins}
        self.driver: dict[str, Any] = {
            "name": "tavo",
            "version": run.info.tool_version,
            "semanticVersion": run.info.tool_version,
            "shortDescription": {"text": "Scans the code of AI applications."},
            "rules": self._rules(tools["tavo"]),
            "notifications": [
                {"id": notice_id(kind), "shortDescription": {"text": text}}
                for kind, text in NOTICE_KINDS.items()
            ],
            "supportedTaxonomies": [
                {"name": _TAXONOMIES[p].name, "guid": _TAXONOMIES[p].guid, "index": number}
                for p, number in self._taxonomy.items()
            ],
        }
        self.extensions: list[dict[str, Any]] = []
        for tool in plugins:
            ran = runs.get(tool)
            extension: dict[str, Any] = {"name": tool, "rules": self._rules(tools[tool])}
            if ran is not None:
                extension["version"] = ran.version
                extension["properties"] = {"package": ran.package, "sandbox": ran.sandbox}
            self.extensions.append(extension)

    def reference(self, one: Reported) -> dict[str, Any]:
        """Return how a result names its rule."""
        index = self._index[one.tool, one.rule.id]
        if one.tool == "tavo":
            return {"ruleIndex": index, "rule": {"id": one.rule.id, "index": index}}
        component = {"name": one.tool, "index": self._extension[one.tool]}
        return {"rule": {"id": one.rule.id, "index": index, "toolComponent": component}}

    def _rules(self, rules: dict[str, Rule]) -> list[dict[str, Any]]:
        return [self._rule(rules[rule_id]) for rule_id in sorted(rules)]

    def _rule(self, rule: Rule) -> dict[str, Any]:
        help_text = rule.help or rule.description or rule.title
        value: dict[str, Any] = {
            "id": rule.id,
            "name": _pascal_case(rule.id)[:_LONGEST_NAME],
            "shortDescription": {"text": _cut(rule.title)},
            "fullDescription": {"text": _cut(rule.description or rule.title)},
            "help": {"text": help_text, "markdown": help_text},
            "defaultConfiguration": {"level": LEVELS[rule.severity]},
            "properties": {
                "security-severity": SCORES[rule.severity],
                "precision": _PRECISION[rule.confidence],
                "tags": tags_of(rule)[:MOST_TAGS],
            },
        }
        relationships = [
            {
                "target": {
                    "id": _taxon(entry),
                    "toolComponent": {
                        "name": _TAXONOMIES[_prefix(entry)].name,
                        "guid": _TAXONOMIES[_prefix(entry)].guid,
                        "index": self._taxonomy[_prefix(entry)],
                    },
                },
                "kinds": ["superset"],
            }
            for entry in dict.fromkeys((*rule.cwe, *rule.owasp))
        ]
        if relationships:
            value["relationships"] = relationships
        uri = next((r for r in rule.references if r.startswith("https://")), None)
        if uri is not None:
            value["helpUri"] = uri
        return value


def tags_of(rule: Rule) -> list[str]:
    """Return the tags of a rule, of which GitHub takes `MOST_TAGS`, the first ones."""
    weaknesses = [f"external/cwe/{entry.lower()}" for entry in rule.cwe]
    return list(dict.fromkeys(["security", *weaknesses, *rule.owasp, *rule.tags]))


def notice_id(kind: str) -> str:
    """Return the id of the descriptor that notices of a kind refer to."""
    return f"tavo/{kind}-not-done"


def _cut(text: str) -> str:
    """Return what GitHub shows of a description; the help has everything that is needed."""
    return text if len(text) <= _LONGEST_DESCRIPTION else f"{text[: _LONGEST_DESCRIPTION - 1]}…"


def _entries(rules: Iterable[Rule]) -> dict[str, list[str]]:
    """Return the entries that rules name, by the prefix of their taxonomy."""
    found: dict[str, set[str]] = {}
    for rule in rules:
        for entry in (*rule.cwe, *rule.owasp):
            found.setdefault(_prefix(entry), set()).add(entry)
    return {prefix: sorted(found[prefix], key=_number) for prefix in _TAXONOMIES if prefix in found}


def _prefix(entry: str) -> str:
    return next(prefix for prefix in _TAXONOMIES if entry.startswith(prefix))


def _number(entry: str) -> tuple[int, str]:
    digits = re.search(r"[0-9]+", entry)
    return (int(digits.group()) if digits else 0, entry)


def _taxon(entry: str) -> str:
    return entry.removeprefix("CWE-")


def _taxonomy(taxonomy: _Taxonomy, entries: Sequence[str]) -> dict[str, Any]:
    return {
        "name": taxonomy.name,
        "guid": taxonomy.guid,
        "organization": taxonomy.organization,
        "informationUri": taxonomy.uri,
        "shortDescription": {"text": taxonomy.title},
        "isComprehensive": False,
        "taxa": [_described(entry) for entry in entries],
    }


def _described(entry: str) -> dict[str, Any]:
    value: dict[str, Any] = {"id": _taxon(entry), "name": entry}
    if entry.startswith("CWE-"):
        value["helpUri"] = f"https://cwe.mitre.org/data/definitions/{_taxon(entry)}.html"
    return value


def _pascal_case(rule_id: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in re.split(r"[^A-Za-z0-9]+", rule_id))
