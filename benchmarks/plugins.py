"""Write docs/plugins.md: a row for each official plugin, out of what it really does.

    python3 build.py pyz && .venv/cp311/bin/python benchmarks/plugins.py [--only ID]... [--print]

Each plugin is installed by dist/tavo.pyz into an account with nothing in it (out of the file, or
from dist/repository) and runs on the input of tests/examples/shown/<id>.yaml. Version, type and
permissions are those of its manifest; size and platforms are those of its catalog row, the size for
this machine; the time is from typing `registry install` to the end of the command that finds
something, both with the start of the process. A plugin whose wheels are not here (heavy ones:
`python3 build.py plugins --heavy --here`) keeps the row that the page has, or is called "built, not
run here". `--only` measures some and keeps the other rows.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from measure import ROOT, machine

sys.path.insert(0, str(ROOT))

from marketplace_db.manifest import Manifest, parse_manifest
from marketplace_db.permissions import permission_sentences
from tavo.registry.origin import SYSTEMS, lacking
from tests.fakes.shown import REPOSITORY, SHELF, Outcome, Shown, carry_out, is_here, read
from tests.fakes.single_file import Machine

PAGE = ROOT / "docs" / "plugins.md"
PLANNED: dict[str, str] = {}
HEAD = """\
# Official plugins

Made by `benchmarks/plugins.py`; do not edit. Each row is a run of the built `tavo.pyz` on a new
account: the plugin was installed from the signed catalog and did what the last two columns say.
Plugins "in the file" need no network; the packages of others come from a marketplace or a mirror of
it (`tavo registry show` says which, and how large). Sizes are those of package and wheels for
the machine that made this page. Times are wall clock, from `registry install` to the end of the
command, with the starts of both processes.
"""
COLUMNS = (
    "plugin", "type", "library, licence", "it may", "sandbox", "size", "no wheels for", "seconds",
    "state", "was run on, as", "found",
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", default=[], metavar="ID")
    parser.add_argument("--print", action="store_true", help="Print the page, do not write it.")
    given = parser.parse_args(arguments)
    before = rows_of(PAGE.read_text("utf-8")) if PAGE.exists() else {}
    rows = []
    for plugin in SHELF.chosen(()):
        kept = before.get(plugin)
        if kept and (not is_here(plugin) or (given.only and plugin not in given.only)):
            rows.append(kept)
            continue
        rows.append(row_of(plugin))
        print(rows[-1], file=sys.stderr)
    rows += [
        f"| `{plugin}` |" + " |" * 7 + f" planned | {why} | |" for plugin, why in PLANNED.items()
    ]
    lines = [
        HEAD, f"{machine()}.", "", f"| {' | '.join(COLUMNS)} |", "|" + "---|" * len(COLUMNS), *rows,
    ]  # fmt: skip
    text = "\n".join(lines) + "\n"
    if given.print:
        print(text)
    else:
        PAGE.write_text(text, "utf-8")
    return 0


def row_of(plugin: str) -> str:
    """Return the row of a plugin, run if that can be done here."""
    shown = read(plugin)
    manifest = parse_manifest((SHELF.folder / plugin / "plugin.yaml").read_bytes())
    missing = lacking(one.filename for one in SHELF.lock(plugin))
    none_for = "; ".join(missing) if len(missing) < len(SYSTEMS) else "any system"
    if is_here(plugin):
        with tempfile.TemporaryDirectory(prefix="tavo-plugins-") as folder:
            outcome = carry_out(shown, Path(folder))
            size = size_of(plugin, Path(folder))
        check(shown, outcome)
        level = outcome.level or "-"
        took = f"{outcome.install_s + outcome.run_s:.1f}"
        state, found = "tested here", found_of(outcome, shown)
    else:
        level = took = size = "-"
        state, found = "built, not run here", "-"
    if plugin in SHELF.embedded:
        size += ", in the file"
    return "| " + " | ".join((
        f"`{plugin}` {manifest.version}", manifest.plugin_type, cell(shown.library),
        cell(permissions_of(manifest)), level, size, none_for or "-", took, state,
        f"{cell(shown.input)} `tavo {cell(shown.run)}`", cell(found),
    )) + " |"  # fmt: skip


def permissions_of(manifest: Manifest) -> str:
    """Return what it may, as the sentences that an install shows."""
    can, _ = permission_sentences(manifest)
    return "; ".join(can) or "nothing but compute"


def check(shown: Shown, outcome: Outcome) -> None:
    """Stop where the page would say something else than the test demands."""
    if outcome.exit != shown.exit or set(outcome.found) != set(shown.found):
        said = f"{outcome.said}\n{outcome.complaints}"
        raise SystemExit(f"{shown.plugin}: exit {outcome.exit}, {dict(outcome.found)}\n{said}")


def found_of(outcome: Outcome, shown: Shown) -> str:
    """Return what was found, with the exit code."""
    parts = [f"{count} x `{rule}`" for rule, count in sorted(outcome.found.items())]
    parts += [f"“{text}”" for text in shown.says]
    return f"{', '.join(parts) or 'nothing'}; exit {outcome.exit}"


def size_of(plugin: str, folder: Path) -> str:
    """Return the size that the catalog gives for this machine."""
    there = Machine(folder / "home")
    mirror = () if plugin in SHELF.embedded else ("--mirror", REPOSITORY)
    done = there.run("--json", "registry", "show", plugin, *mirror)
    return f"{json.loads(done.stdout)['origin']['size'] / 1e6:.2f} MB"


def rows_of(page: str) -> dict[str, str]:
    """Return the rows of a page by plugin."""
    found = (re.match(r"\| `([a-z0-9-]+)` [0-9]", line) for line in page.splitlines())
    return {match[1]: match.string for match in found if match}


def cell(text: str) -> str:
    """Return a text that a cell of a table can hold."""
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
