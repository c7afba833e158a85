"""The commands and global options as a table, and the help that is drawn from it alone.

Rules this module keeps:
- it imports nothing: `tavo --help` needs neither typer nor any command;
- a command's module is imported when the command is called; a test compares the table with what
  the modules register and with the options of the root command.
"""

from __future__ import annotations

__all__ = ["COMMANDS", "OPTIONS", "PLANNED", "command_of", "in_front", "root_help"]

COMMANDS = {
    "demo": ("tavo.cli.demo", "See all of it on example agents, in a minute, without a network."),
    "scan": ("tavo.cli.scan", "Scan files and folders; exit 0 clean, 1 findings, 4 not complete."),
    "explain": (
        "tavo.cli.explain",
        "Say why a rule or finding matters, the way to it, how to mend and how to accept it.",
    ),
    "attack": (
        "tavo.cli.attack", "Attack what you named; exit 0 it held, 1 it gave in, 4 not complete.",
    ),
    "logs": ("tavo.cli.logs", "Logs of AI systems: rules, incidents, formats."),
    "registry": ("tavo.cli.registry", "Plugins from the signed catalog."),
    "rules": ("tavo.cli.rules", "The rules of a scan."),
    "results": ("tavo.cli.results", "Stored results of scans."),
    "pipeline": ("tavo.cli.pipeline", "Chains of steps and plugins as one run."),
    "plugin": ("tavo.cli.plugin", "Write, test, pack and sign plugins."),
    "lsp": ("tavo.cli.lsp", "Serve an editor over the Language Server Protocol."),
    "proxy": ("tavo.cli.proxy", "Filter, meter and record traffic to models."),
    "key": ("tavo.cli.key", "Keys with which people sign."),
    "market": ("tavo.cli.market", "Run a marketplace of plugins."),
    "mirror": ("tavo.cli.mirror", "Copies of a repository that verify like the original."),
    "trust": ("tavo.cli.trust", "Whom this machine trusts, and what it believes about the time."),
    "doctor": ("tavo.cli.doctor", "Say what works here, what does not, and why."),
    "self": ("tavo.cli.itself", "This file of tavo: verify, update, unpack, completion."),
}  # fmt: skip
"""Command to the module that registers it, and its one line of help."""

PLANNED: frozenset[str] = frozenset()
"""Commands of later versions, which refuse by name."""

OPTIONS = {
    "--config FILE": "Read this file instead of ./tavo.toml.",
    "--offline": "Never use the network.",
    "-q, --quiet": "Only results and errors.",
    "-v, --verbose": "Say more.",
    "--no-color": "No colours.",
    "--json": "Print results that are data as JSON.",
    "--version": "Print the version and stop.",
    "-h, --help": "Show this message and exit.",
}
_WITH_VALUE = frozenset({"--config"})
_ANYWHERE = frozenset({"--offline", "--quiet", "-q", "--verbose", "-v", "--no-color", "--json"})


def command_of(words: list[str]) -> str:
    """Return the command among the words of a command line; empty if there is only options."""
    skip = False
    for word in words:
        if skip:
            skip = False
        elif word in _WITH_VALUE:
            skip = True
        elif not word.startswith("-"):
            return word
    return ""


def in_front(words: list[str]) -> list[str]:
    """Put global flags that stand behind the command in front of it, where they are read."""
    end = words.index("--") if "--" in words else len(words)
    flags = [word for word in words[:end] if word in _ANYWHERE]
    return flags + [word for word in words[:end] if word not in _ANYWHERE] + words[end:]


def root_help(width: int) -> str:
    """Return the help of the root command for a terminal of this width."""
    width = max(40, min(width, 100))
    lines = [
        "Usage: tavo [OPTIONS] COMMAND [ARGS]...",
        "",
        "  One file that secures AI systems.",
        "",
    ]
    lines += ["Options:", *_table(OPTIONS, width), ""]
    lines += ["Commands:", *_table({name: text for name, (_, text) in COMMANDS.items()}, width)]
    return "\n".join(lines)


def _table(rows: dict[str, str], width: int) -> list[str]:
    column = max(map(len, rows)) + 4
    lines = []
    for name, text in rows.items():
        line, room = f"  {name}".ljust(column), width - column
        for word in text.split():
            if len(line) - column + len(word) > room and line.strip() != name:
                lines.append(line.rstrip())
                line = " " * column
            line += word + " "
        lines.append(line.rstrip())
    return lines
