"""A plugin author: folders with plugins as the kit writes them, and with such that are broken."""

from __future__ import annotations

from pathlib import Path

from tavo.kit.start import write_plugin

TYPES = ("static", "dynamic", "proxy", "log")
ACCEPT = ("L2:acme/sample",)
"""Where there is no L3, a local plugin of these tests may run at L2."""


def author_plugin(
    folder: Path, plugin_type: str = "static", *, name: str = "sample", **files: str
) -> Path:
    """Write a plugin `acme/NAME` of a type; `files` replaces some: `main_py="…"`."""
    write_plugin(name, folder, plugin_type=plugin_type, publisher="acme")
    for name, content in files.items():
        stem, _, suffix = name.replace("__", "/").rpartition("_")
        path = folder / f"{stem}.{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return folder


def static_main(body: str, *, before: str = "", rules: str = "('word',)") -> str:
    """Return a main.py whose analyze_file has this body, with a rule for each name."""
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    return (
        "from tavo.plugins import *\n"
        "from tavo.plugins import Finding, Location, Region, Rule, Severity, StaticAnalysisPlugin\n"
        f"{before}\n"
        "class Sample(StaticAnalysisPlugin):\n"
        f"    rules = tuple(Rule(id=r, title=r, severity=Severity.LOW) for r in {rules})\n"
        "    def found(self, path, rule='word', line=1):\n"
        "        return Finding(rule_id=rule, message='m', severity=Severity.LOW,\n"
        "            location=Location(path=path, region=Region(start_line=line, end_line=line,\n"
        "            end_column=2)))\n"
        "    def analyze_file(self, file_path, content):\n"
        f"{lines}\n"
        "        return ()\n"
    )
