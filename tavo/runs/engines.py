"""Another engine's scan as a part of a run: its findings, its row, and what it did not do.

Rules this module keeps:
- the engine is named with its version in every report; its findings are named as its own;
- whatever it did not do makes the run incomplete.

Units: times in seconds.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from tavo.progress import Reporter
from tavo.results.values import Notice, PluginRun
from tavo.runs.combined import CombinedRun, notices_of_rules
from tavo.scan.external import Engine, scan_external
from tavo.scan.files import SourceFile
from tavo.scan.rule_source import RuleSource

__all__ = ["run_engine"]


def run_engine(
    run: CombinedRun, engine: Engine, files: Sequence[SourceFile], rules: RuleSource, *,
    jobs: int, largest: int, reporter: Reporter,
) -> None:  # fmt: skip
    """Let an engine scan the files, and add what it says to the run."""
    reporter.begin(f"scanning with {engine.name}", 1)
    began, before = time.monotonic(), os.times()
    scan = scan_external(engine, files, rules.paths, jobs=jobs, largest=largest)
    after = os.times()
    spent = sum(after[2:4]) - sum(before[2:4])
    run.note(notices_of_rules(scan.problems))
    run.note([Notice(kind="engine", subject=engine.name, reason=one) for one in scan.failures])
    for result in scan.results:
        run.add_result(result, scan, tool=engine.name)
    looked = sum(result.scanned for result in scan.results)
    run.add_engine(PluginRun(
        plugin=engine.name, version=engine.version, package="", sandbox="L0", files=looked,
        calls=1, findings=sum(len(result.hits) for result in scan.results),
        skipped=len(scan.results) - looked, worker_cpu_s=spent, wall_s=time.monotonic() - began,
    ))  # fmt: skip
    reporter.advance()
    reporter.end()
