"""What the reports of 5,000 findings cost: size and CPU time, and for the page also the browser's.

.venv/cp311/bin/python benchmarks/report_page.py [--findings 5000] [--repeat 5]

The findings are made by tests/fakes/results.py: every third has a flow of four steps. Figures are
medians, CPU time is that of this process. In the browser: from the start of loading to the first
counted list, and from a change of a filter to the next frame that is drawn, wall time.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import zlib
from collections.abc import Callable
from pathlib import Path

from measure import machine

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tavo.results.export.github import run_to_github
from tavo.results.export.html import run_to_html
from tavo.results.export.json import run_to_json
from tavo.results.export.junit import run_to_junit
from tavo.results.export.markdown import run_to_markdown
from tavo.results.export.sarif import run_to_sarif
from tavo.results.export.sqlite import run_to_sqlite
from tavo.results.export.text import run_to_lines
from tavo.results.store import ResultStore
from tests.fakes.browser import CHROMIUM, chromium
from tests.fakes.results import many_findings, stored_run

_FILTERS = {
    "severity": "set('s', '3')",
    "path": "set('s', ''), set('p', 'area7/')",
    "two words of the text": "set('p', ''), set('q', 'value_4 question_1')",
    "order by path": "set('q', ''), set('o', 'p')",
}
_SET = """
(async () => {
  const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
  const set = (name, value) => {
    const field = document.querySelector(`form [data-filter=${name}]`);
    field.value = value;
    if (field.type !== 'search') field.dispatchEvent(new Event('input', {bubbles: true}));
  };
  const start = performance.now();
  %s;
  document.getElementById('filters').dispatchEvent(new Event('input'));
  await frame();
  return performance.now() - start;
})()
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--findings", type=int, default=5000)
    parser.add_argument("--repeat", type=int, default=5)
    given = parser.parse_args()
    store = ResultStore()
    run_id = stored_run(store, many_findings(given.findings), exit_code=1)
    run, findings = store.run(run_id), list(store.findings(run_id))
    reports: dict[str, Callable[[], str | bytes]] = {
        "text": lambda: "\n".join("".join(t for _, t in x) for x in run_to_lines(run, findings)),
        "json": lambda: run_to_json(run, findings),
        "sarif": lambda: run_to_sarif(run, findings),
        "github": lambda: run_to_github(run, findings),
        "junit": lambda: run_to_junit(run, findings),
        "markdown": lambda: run_to_markdown(run, findings),
        "html": lambda: run_to_html(run, findings),
        "sqlite": lambda: run_to_sqlite(store, run_id),
    }
    print(f"{machine()}; {given.findings} findings, medians of {given.repeat} runs\n")
    print("| report | CPU s | kB | kB compressed |")
    print("|---|---|---|---|")
    for name, make in reports.items():
        costs = []
        for _ in range(given.repeat):
            start = time.process_time()
            made = make()
            costs.append(time.process_time() - start)
        data = made if isinstance(made, bytes) else made.encode()
        size, packed = len(data) / 1000, len(zlib.compress(data)) / 1000
        print(f"| {name} | {statistics.median(costs):.2f} | {size:.0f} | {packed:.0f} |")
    _in_browser(run_to_html(run, findings), given.repeat)
    return 0


def _in_browser(page: str, repeat: int) -> None:
    print("\n| in the browser | ms |\n|---|---|")
    if CHROMIUM is None:
        print("| Chromium | not measured |")
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "report.html")
        file.write_text(page, "utf-8")
        figures: dict[str, list[float]] = {}
        with chromium(Path(folder, "profile")) as tab:
            for _ in range(repeat):
                tab.open(file.as_uri())
                loaded = "performance.getEntriesByType('navigation')[0].loadEventEnd"
                figures.setdefault("opened", []).append(tab.run(loaded))
                for name, code in _FILTERS.items():
                    figures.setdefault(f"filter: {name}", []).append(tab.run(_SET % code))
                if tab.errors:
                    raise SystemExit(f"script errors: {tab.errors}")
    for name, values in figures.items():
        print(f"| {name} | {statistics.median(values):.0f} |")


if __name__ == "__main__":
    raise SystemExit(main())
