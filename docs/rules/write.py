"""Write tavo-ai.md and coverage.md out of the rule files: `python docs/rules/write.py`.

A test compares them.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from tavo.scan.languages import CODE  # noqa: E402
from tavo.scan.rule import ScanRule  # noqa: E402
from tavo.scan.rules import PACK, load_rules  # noqa: E402

HEAD = """\
# Rules of the pack tavo-ai

Written by `docs/rules/write.py` from the files in `tavo/scan/packs/tavo_ai/`: change those.
A rule marked *flow* follows data from where it enters to where it does harm,
through calls and files.
To accept one finding, write `# tavo: ignore[rule-id] the reason` on its line or the line before.
"""

COVERAGE_HEAD = """\
# What the pack tavo-ai covers

Written by `docs/rules/write.py` from the files in `tavo/scan/packs/tavo_ai/`: change those.
Each rule names the risks of the OWASP lists and the techniques of MITRE ATLAS that it is about;
`tavo rules list --owasp LLM05`, `--atlas AML.T0051` and `--language python` list them.
A risk with rules is not ruled out: a scan sees the code and configuration, not what a
model says.
"""
OWASP = {
    "LLM01:2025": "Prompt injection",
    "LLM02:2025": "Sensitive information disclosure",
    "LLM03:2025": "Supply chain",
    "LLM04:2025": "Data and model poisoning",
    "LLM05:2025": "Improper output handling",
    "LLM06:2025": "Excessive agency",
    "LLM07:2025": "System prompt leakage",
    "LLM08:2025": "Vector and embedding weaknesses",
    "LLM09:2025": "Misinformation",
    "LLM10:2025": "Unbounded consumption",
    "ASI01:2026": "Agent goal hijack",
    "ASI02:2026": "Tool misuse and exploitation",
    "ASI03:2026": "Identity and privilege abuse",
    "ASI04:2026": "Agentic supply chain vulnerabilities",
    "ASI05:2026": "Unexpected code execution",
    "ASI06:2026": "Memory and context poisoning",
    "ASI07:2026": "Insecure communication between agents",
    "ASI08:2026": "Cascading failures",
    "ASI09:2026": "Exploitation of people's trust in agents",
    "ASI10:2026": "Rogue agents",
}
"""The risks of the OWASP Top 10 for LLM Applications (2025) and for Agentic Applications (2026)."""

COLUMNS = ("python", "javascript", "configuration")


def page() -> str:
    """Return the page: a table of all rules, then a section for each."""
    rules = sorted(load_rules([PACK]).rules.values(), key=lambda entry: entry.rule.id)
    return "\n".join([HEAD, *_table(rules), *(line for rule in rules for line in _section(rule))])


def _table(rules: list[ScanRule]) -> Iterator[str]:
    yield "| rule | what it finds | severity | confidence | kind |"
    yield "|---|---|---|---|---|"
    for entry in rules:
        rule = entry.rule
        kind = "flow" if entry.taint is not None else "pattern"
        yield (
            f"| [`{rule.id}`](#{rule.id}) | {rule.title} | {rule.severity.value}"
            f" | {rule.confidence.value} | {kind} |"
        )
    yield ""


def _section(entry: ScanRule) -> Iterator[str]:
    rule = entry.rule
    yield f"## {rule.id}"
    yield ""
    yield f"**{rule.title}.** {rule.description}"
    yield ""
    yield f"{rule.severity.value} severity, {rule.confidence.value} confidence; " + ", ".join(
        (*rule.cwe, *rule.owasp, *(tag for tag in rule.tags if tag.startswith("AML.")))
    )
    yield ""
    yield rule.help
    yield ""
    yield "See also: " + ", ".join(f"<{link}>" for link in rule.references)
    yield ""


def coverage() -> str:
    """Return the page of risks and techniques, each with its rules by language."""
    rules = sorted(load_rules([PACK]).rules.values(), key=lambda entry: entry.rule.id)
    techniques = sorted({tag for entry in rules for tag in _techniques(entry)})
    llm = [name for name in OWASP if name.startswith("LLM")]
    asi = [name for name in OWASP if name.startswith("ASI")]
    count = f"{len(rules)} rules cover {sum(map(bool, covered().values()))} of {len(OWASP)} risks."
    return "\n".join([
        COVERAGE_HEAD, count, "",
        "## OWASP Top 10 for LLM applications, 2025", "", *_risks(rules, llm),
        "## OWASP Top 10 for agentic applications, 2026", "", *_risks(rules, asi),
        "## MITRE ATLAS", "", "| technique | rules |", "|---|---|",
        *(f"| {tag} | {_links(e for e in rules if tag in _techniques(e))} |" for tag in techniques),
        "",
    ])  # fmt: skip


def covered() -> dict[str, list[str]]:
    """Return the ids of the rules for each risk."""
    rules = load_rules([PACK]).rules.values()
    return {
        name: sorted(entry.rule.id for entry in rules if name in entry.rule.owasp) for name in OWASP
    }


def _risks(rules: Sequence[ScanRule], names: Sequence[str]) -> Iterator[str]:
    yield f"| risk | {' | '.join(COLUMNS)} |"
    yield "|---|" + "---|" * len(COLUMNS)
    for name in names:
        about = [entry for entry in rules if name in entry.rule.owasp]
        cells = (
            _links(entry for entry in about if column in _columns(entry)) for column in COLUMNS
        )
        yield f"| **{name}** {OWASP[name]} | {' | '.join(cells)} |"
    yield ""


def _columns(entry: ScanRule) -> set[str]:
    """Return where a rule belongs: the languages of code, or configuration for all others."""
    languages = {one.language for one in (entry, *entry.others)}
    return {name if name in CODE else "configuration" for name in languages}


def _techniques(entry: ScanRule) -> list[str]:
    return [tag for tag in entry.rule.tags if tag.startswith("AML.")]


def _links(rules: Iterator[ScanRule]) -> str:
    return ", ".join(f"[`{one.rule.id}`](tavo-ai.md#{one.rule.id})" for one in rules)


if __name__ == "__main__":
    (HERE / "coverage.md").write_text(coverage(), encoding="utf-8")
    (HERE / "tavo-ai.md").write_text(page(), encoding="utf-8")
