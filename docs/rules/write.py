"""Write tavo-ai.md out of the rule files: `python docs/rules/write.py`. A test compares them."""

import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from tavo.scan.rules import PACK, ScanRule, load_rules  # noqa: E402

HEAD = """\
# Rules of the pack tavo-ai

Written by `docs/rules/write.py` from the files in `tavo/scan/packs/tavo_ai/`: change those.
A rule marked *flow* follows data from where it enters to where it does harm,
through calls and files.
To accept one finding, write `# tavo: ignore[rule-id] the reason` on its line or the line before.
"""


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


if __name__ == "__main__":
    (HERE / "tavo-ai.md").write_text(page(), encoding="utf-8")
