"""Make the single file from the lock, our packages and the embedded repository.

    python -m tavo.operator.pack --root . --work .build --embedded FOLDER --out dist/tavo.pyz
        --target linux-x86_64 --interpreters at-hand

Rules this module keeps:
- the outcome appears under its name only when it is complete;
- one environment in, one file out: SOURCE_DATE_EPOCH is the only clock.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tavo import __version__, version_line
from tavo.operator.embed import build_time
from tavo.operator.pack.archive import keep
from tavo.operator.pack.code import find_interpreters
from tavo.operator.pack.contents import OWN, collect
from tavo.operator.pack.layout import Facts, write
from tavo.operator.pack.targets import (
    MINORS,
    PackError,
    all_targets,
    install,
    locked_packages,
    parse_targets,
)
from tavo.registry.embedded import is_development
from tavo.scan.rule_files import compiled_pack
from tavo.scan.rule_source import COMPILED
from tavo.scan.rules import PACK

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the build; print one sentence and return 1 when the file cannot be made."""
    parser = argparse.ArgumentParser(prog="tavo.operator.pack")
    parser.add_argument("--root", type=Path, required=True, help="the checkout")
    parser.add_argument(
        "--work", type=Path, required=True, help="where intermediate files are kept"
    )
    parser.add_argument("--embedded", type=Path, required=True, help="the embedded repository")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--lock", type=Path, required=True)
    parser.add_argument("--target", action="append", default=[], help="such as linux-x86_64-cp311")
    parser.add_argument("--full", action="store_true", help="with the optional engines")
    given = parser.parse_args(arguments)
    try:
        _pack(given)
    except PackError as error:
        sys.stderr.write(f"pack: {error}\n")
        return 1
    return 0


def _pack(given: argparse.Namespace) -> None:
    root, work = given.root.resolve(), given.work.resolve()
    targets = parse_targets(given.target) if given.target else all_targets()
    minors = sorted({target.minor for target in targets}, key=MINORS.index)
    work.joinpath("targets").mkdir(parents=True, exist_ok=True)
    trees = install(targets, given.lock.resolve(), work / "targets", full=given.full)
    own = {name: root / name for name in OWN}
    contents = collect(trees, own, work)
    contents.add_tree("tavo/embedded", given.embedded)
    compiled = keep(work / COMPILED, compiled_pack(PACK))
    contents.data[f"tavo/scan/packs/{PACK.name}/{COMPILED}"] = compiled
    interpreters = find_interpreters(minors)
    for minor in minors:
        if minor not in interpreters:
            sys.stderr.write(
                f"pack: no CPython 3.{minor[1:]} is here: its users compile at each start\n"
            )
    facts = Facts(
        version=__version__,
        line=version_line(development=is_development(given.embedded)),
        when=int(build_time().timestamp()),
        full=given.full,
        packages=locked_packages(given.lock),
    )
    given.out.parent.mkdir(parents=True, exist_ok=True)
    partial = given.out.with_name(f".new-{given.out.name}")
    with partial.open("wb") as stream:
        manifest = write(stream, contents, interpreters, facts, work)
    partial.chmod(0o755)
    partial.replace(given.out)
    size = given.out.stat().st_size
    sys.stderr.write(
        f"pack: {given.out.name}, {size / 1e6:.1f} MB, build {manifest['build'][:12]},"
        f" {len(targets)} target{'s' if len(targets) != 1 else ''}\n"
    )
    given.out.with_suffix(".json").write_text(json.dumps(manifest, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
