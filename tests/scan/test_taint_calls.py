"""How taint moves through calls, within a file and across files; and what stays as it was."""

import multiprocessing
import re
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tavo.plugins import Finding
from tavo.progress import Reporter
from tavo.scan import project as across
from tavo.scan.engine import scan_source
from tavo.scan.files import SourceFile
from tavo.scan.incremental import scan_files
from tavo.scan.results import FileResult
from tavo.scan.rule import RuleSet
from tavo.scan.rule_source import RuleSource
from tavo.scan.rules import load_rules

RULE = """
rules:
  - id: flow
    mode: taint
    languages: [LANGUAGES]
    severity: ERROR
    message: $X arrives
    OPTIONS
    pattern-sources:
      - pattern: src(...)
    pattern-sinks:
      - patterns:
          - pattern: sink($X, ...)
          - focus-metavariable: $X
    pattern-sanitizers:
      - pattern: clean(...)
      - by-side-effect: true
        patterns:
          - pattern: check($V)
          - focus-metavariable: $V
"""
FOLLOWING = "options: {interfile: true}"


def load(folder: Path, *, languages: str = "python", options: str = FOLLOWING) -> RuleSet:
    file = folder / "flow.yaml"
    file.write_text(RULE.replace("LANGUAGES", languages).replace("OPTIONS", options))
    rules = load_rules([file])
    assert rules.problems == []
    return rules


def cases(name: str) -> list[tuple[str, str]]:
    text = Path(__file__).with_name(name).read_text()
    parts = re.split(r"^=== ", text, flags=re.MULTILINE)[1:]
    return [(part.partition("\n")[0], part.partition("\n")[2]) for part in parts]


def found(rules: RuleSet, source: str, suffix: str = ".py") -> tuple[set[int], tuple[str, ...]]:
    result = scan_source(source.encode(), PurePosixPath("a" + suffix), rules)
    lines = {hit.finding.location.region.start_line for hit in result.hits}  # type: ignore[union-attr]
    return lines, result.problems


def wanted(source: str, mark: str) -> set[int]:
    return {n for n, line in enumerate(source.splitlines(), 1) if line.endswith(mark)}


@pytest.mark.parametrize(
    ("name", "source"), [*cases("taint-functions.txt"), *cases("taint-indirect.txt")]
)
def test_python(name: str, source: str, tmp_path: Path) -> None:
    assert found(load(tmp_path), source) == (wanted(source, "#!"), ())


@pytest.mark.parametrize("suffix", [".js", ".ts"])
@pytest.mark.parametrize(
    ("name", "source"), [*cases("taint-functions-js.txt"), *cases("taint-indirect-js.txt")]
)
def test_javascript(name: str, source: str, suffix: str, tmp_path: Path) -> None:
    rules = load(tmp_path, languages="js, ts")
    assert found(rules, source, suffix) == (wanted(source, "//!"), ())


@pytest.mark.parametrize(("name", "source"), cases("taint-constructs.txt"))
def test_within_a_function_nothing_is_lost(name: str, source: str, tmp_path: Path) -> None:
    """The constructs of one function give the same with calls followed and without."""
    without = found(load(tmp_path, options=""), source)
    assert found(load(tmp_path), source) == without


def test_a_rule_that_does_not_ask_for_it_stays_within_functions(tmp_path: Path) -> None:
    source = "def run(x):\n    sink(x)\nrun(src())\n"
    assert found(load(tmp_path, options=""), source) == (set(), ())
    assert found(load(tmp_path), source) == ({2}, ())


# -- hostile


def test_a_thousand_functions_in_a_row(tmp_path: Path) -> None:
    body = "".join(f"def f{n}(x):\n    return f{n + 1}(x)\n" for n in range(1_000))
    lines, problems = found(load(tmp_path), f"{body}def f1000(x):\n    sink(x)\nf0(src())\n")
    assert (lines, problems) == ({2_002}, ())


def all_calling_each_other(count: int) -> str:
    calls = "".join(f"    f{n}(x, y)\n" for n in range(count))
    return "".join(f"def f{n}(x, y):\n{calls}    sink(x)\n" for n in range(count))


def test_functions_that_all_call_each_other(tmp_path: Path) -> None:
    source = f"{all_calling_each_other(40)}f0(src(), 1)\n"
    lines, problems = found(load(tmp_path), source)
    assert (len(lines), problems) == (40, ())


def test_too_many_that_all_call_each_other_are_given_up_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tavo.scan.taint.analysis.analyze.__kwdefaults__", {"budget": 20_000})
    lines, problems = found(load(tmp_path), f"{all_calling_each_other(40)}f0(src(), 1)\n")
    assert lines
    assert len(problems) == 1
    assert problems[0].startswith("rule flow was stopped: the code that begins at line ")


def test_what_is_too_large_is_given_up_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tavo.scan.taint.analysis.analyze.__kwdefaults__", {"budget": 60})
    many = "".join(f"    y{n} = x + x\n" for n in range(100))
    _, problems = found(load(tmp_path), f"def f(x):\n{many}    sink(x)\nf(src())\n")
    assert problems == (
        "rule flow was stopped: the code that begins at line 1 is too large for taint analysis",
    )


# -- across files


def project(folder: Path, rules: RuleSet, files: dict[str, str], *, jobs: int = 1) -> list[Finding]:
    sources = []
    for name, text in sorted(files.items()):
        path = folder / "project" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        sources.append(SourceFile(path, PurePosixPath(name)))
    results = list(
        scan_files(
            sources, RuleSource([folder / "flow.yaml"]), kept=None, jobs=jobs, largest=1 << 20,
            reporter=Reporter(),
        )
    )  # fmt: skip
    assert [problem for result in results for problem in result.problems] == []
    assert sum(result.scanned for result in results) == len(files)
    return [hit.finding for result in results for hit in result.hits if hit.ignore is None]


def places(findings: list[Finding]) -> set[tuple[str, int]]:
    return {
        (str(one.location.path), one.location.region.start_line)
        for one in findings
        if one.location.region is not None
    }


SINK = "def run(name, code):\n    deeper(code)\n\ndef deeper(x):\n    sink(x)\n"


def test_the_processes_of_single_files_are_gone_when_files_are_looked_at_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work: list[int] = []
    seen = across.scan_across

    def look(*arguments: Any, **named: Any) -> Iterator[FileResult]:
        at_work.append(len(multiprocessing.active_children()))
        return seen(*arguments, **named)

    monkeypatch.setattr(across, "scan_across", look)
    files = {f"m{number}.py": "x = 1\n" for number in range(50)}  # more than are done in line
    files |= {"lib.py": SINK, "app.py": "from lib import run\nrun('a', src())\n"}
    assert places(project(tmp_path, load(tmp_path), files)) == {("lib.py", 5)}
    assert at_work == [0]


def test_of_very_many_sinks_the_nearest_are_told(tmp_path: Path) -> None:
    behind = "".join(f"def f{n}(x):\n    y = x\n    sink(y)\n" for n in range(60))
    calls = "".join(f"    f{n}(code)\n" for n in range(60))
    lib = f"{behind}def run(code):\n{calls}    sink(code)\n"
    files = {"lib.py": lib, "app.py": "from lib import run\nrun(src())\n"}
    found = places(project(tmp_path, load(tmp_path), files))
    assert len(found) == 32
    assert ("lib.py", lib.count("\n")) in found


def test_what_holds_of_a_whole_is_not_told_of_its_parts(tmp_path: Path) -> None:
    lib = "def run(code):\n    sink(code.a)\n    sink(code.b)\n    sink(code)\n"
    app = "from lib import run\nrun(src())\n"
    files = {"lib.py": lib, "app.py": app}
    assert places(project(tmp_path, load(tmp_path), files)) == {("lib.py", n) for n in (2, 3, 4)}


@pytest.mark.parametrize(
    ("importing", "call"),
    [
        ("from app.tools import run", "run"),
        ("from app.tools import run as go", "go"),
        ("import app.tools", "app.tools.run"),
        ("import app.tools as t", "t.run"),
        ("from app import tools", "tools.run"),
        ("from .app.tools import run", "run"),
        ("from .app import tools", "tools.run"),
        ("from app import run", "run"),
    ],
)
def test_imports_of_python(importing: str, call: str, tmp_path: Path) -> None:
    files = {
        "app/__init__.py": "from .tools import run\n",
        "app/tools.py": SINK,
        "main.py": f"{importing}\n{call}('a', src())\n",
    }
    found = project(tmp_path, load(tmp_path), files)
    assert places(found) == {("app/tools.py", 5)}
    files["main.py"] = f"{importing}\n{call}(src(), 'a')\n"
    assert project(tmp_path, load(tmp_path), files) == []


def test_the_flow_names_each_step_in_its_file(tmp_path: Path) -> None:
    files = {"tools.py": SINK, "main.py": "from tools import run\nrun('a', src())\n"}
    (finding,) = project(tmp_path, load(tmp_path), files)
    assert finding.message == "x arrives"
    steps = [
        (str(s.location.path), s.location.region.start_line, s.message)
        for s in finding.flow
        if s.location.region is not None
    ]
    assert steps == [
        ("main.py", 2, "tainted here: src()"),
        ("tools.py", 1, "goes into parameter code of run"),
        ("tools.py", 4, "goes into parameter x of deeper"),
        ("tools.py", 5, "arrives here"),
    ]


@pytest.mark.parametrize(
    ("app", "found"),
    [
        ("HANDLERS = {'run': run}\nHANDLERS[name]('a', src())\n", True),
        ("HANDLERS = {'run': run}\nHANDLERS['show']('a', src())\n", False),
        ("import asyncio\nasync def main():\n    await asyncio.to_thread(run, 'a', src())\n", True),
        (
            "import asyncio\nasync def main():\n    await asyncio.to_thread(run, src(), 'a')\n",
            False,
        ),
        ("async def main(loop):\n    await loop.run_in_executor(None, run, 'a', src())\n", True),
        ("from functools import partial\np = partial(run, 'a')\np(src())\n", True),
        ("from functools import partial\np = partial(run, src())\np('a')\n", False),
        (
            "def main(executor):\n    f = run if q else None\n    executor.submit(f, 'a', src())\n",
            True,
        ),
    ],
)
def test_indirect_calls_of_another_file(app: str, found: bool, tmp_path: Path) -> None:
    files = {"lib.py": SINK, "app.py": f"from lib import run\n{app}"}
    ends = {("lib.py", 5)} if found else set()
    assert places(project(tmp_path, load(tmp_path), files)) == ends


@pytest.mark.parametrize(
    ("app", "found"),
    [
        ("const table = { run };\ntable[name](src());\n", True),
        ("const table = { run };\ntable.show(src());\n", False),
        ("const table = new Map([['run', run]]);\ntable.get(name)?.(src());\n", True),
        ("load(src()).then(run);\n", True),
        ("load('a').then(run);\nconst x = src();\n", False),
        ("src().map(run);\n", True),
    ],
)
def test_indirect_calls_of_another_file_of_typescript(
    app: str, found: bool, tmp_path: Path
) -> None:
    rules = load(tmp_path, languages="js, ts")
    lib = "export function run(code) {\n    sink(code);\n}\n"
    files = {"lib.ts": lib, "app.ts": f'import {{ run }} from "./lib";\n{app}'}
    ends = {("lib.ts", 2)} if found else set()
    assert places(project(tmp_path, rules, files)) == ends


def test_a_source_in_another_file(tmp_path: Path) -> None:
    files = {
        "data.py": "def get():\n    return src()\n\ndef safe():\n    return clean(src())\n",
        "main.py": "import data\nsink(data.get())\nsink(data.safe())\n",
    }
    assert places(project(tmp_path, load(tmp_path), files)) == {("main.py", 2)}


def test_through_a_file_that_has_neither_source_nor_sink(tmp_path: Path) -> None:
    files = {
        "a.py": "from b import middle\nmiddle(src())\n",
        "b.py": "from c import run\n\ndef middle(x):\n    run('a', x)\n",
        "c.py": SINK,
    }
    assert places(project(tmp_path, load(tmp_path), files)) == {("c.py", 5)}


def test_objects_of_another_file(tmp_path: Path) -> None:
    files = {
        "tool.py": (
            "class Tool:\n    def __init__(self, code, name):\n        self.code = code\n"
            "        self.name = name\n    def run(self):\n        sink(self.code)\n"
            "    def show(self):\n        sink(self.name)\n"
        ),
        "main.py": "from tool import Tool\nt = Tool(src(), 'a')\nt.run()\nt.show()\n",
    }
    assert places(project(tmp_path, load(tmp_path), files)) == {("tool.py", 6)}


def test_files_that_import_each_other(tmp_path: Path) -> None:
    files = {
        "a.py": "import b\n\ndef even(x):\n    b.odd(x)\n\neven(src())\n",
        "b.py": "import a\n\ndef odd(x):\n    a.even(x)\n    sink(x)\n",
    }
    assert places(project(tmp_path, load(tmp_path), files)) == {("b.py", 5)}


def test_an_ignore_comment_at_the_sink_holds(tmp_path: Path) -> None:
    files = {
        "tools.py": "def run(x):\n    sink(x)  # nosemgrep\n",
        "main.py": "from tools import run\nrun(src())\n",
    }
    assert project(tmp_path, load(tmp_path), files) == []


def test_on_several_processes_it_is_the_same(tmp_path: Path) -> None:
    files = {f"m{n}.py": "from tools import run\nrun('a', 1)\n" for n in range(50)}
    files |= {"tools.py": SINK, "main.py": "from tools import run\nrun('a', src())\n"}
    rules = load(tmp_path)
    one, two = (project(tmp_path, rules, files, jobs=jobs) for jobs in (1, 2))
    assert one == two
    assert places(one) == {("tools.py", 5)}


@pytest.mark.parametrize(
    ("importing", "call"),
    [
        ('import { run } from "./lib/tools";', "run"),
        ('import { run as go } from "./lib/tools.js";', "go"),
        ('import * as t from "./lib/tools";', "t.run"),
        ('import start from "./lib/tools";', "start"),
        ('import { run } from "./lib";', "run"),
        ('import { run } from "@acme/lib";', "run"),
        ('const { run } = require("./lib/tools");', "run"),
    ],
)
def test_imports_of_typescript(importing: str, call: str, tmp_path: Path) -> None:
    files = {
        "lib/package.json": "{}",
        "lib/index.ts": 'import { run } from "./tools";\nexport { run };\n',
        "lib/tools.ts": "export default function run(code: string) {\n  sink(code);\n}\n",
        "main.ts": f"{importing}\n{call}(src());\n",
    }
    files.pop("lib/package.json")
    found = project(tmp_path, load(tmp_path, languages="js, ts"), files)
    assert places(found) == {("lib/tools.ts", 2)}
    files["main.ts"] = f"{importing}\n{call}(clean(src()));\n"
    assert project(tmp_path, load(tmp_path, languages="js, ts"), files) == []


def test_a_class_that_keeps_an_object_of_its_own_kind_comes_to_rest(tmp_path: Path) -> None:
    names = [f"option_{number}" for number in range(45)]
    parameters = "".join(f", {name}=None" for name in names)
    source = f"class Settings:\n    def __init__(self{parameters}, inner=None, **rest):\n"
    source += "".join(f"        self.{name} = {name}\n" for name in names)
    source += "        if inner is not None:\n            self.inner = Settings(**inner)\n"
    source += "made = Settings(option_1=1, inner={'option_3': src()})\n"
    source += "sink(made.inner.option_3)  # arrives\n"
    source += "other = Settings(option_4=src())\n"
    source += "sink(other.option_4)  # arrives\n"
    source += "sink(other.option_5)\n"
    assert found(load(tmp_path), source) == (wanted(source, "# arrives"), ())
