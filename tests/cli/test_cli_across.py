"""Flows through several files: what is kept of them, what goes wrong, what a change brings."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tavo import kept
from tavo.scan import crew, looking
from tavo.scan.linking import Looked, Task
from tavo.scan.parsed import ParsedFile
from tavo.scan.rule import RuleSet
from tests.cli.conftest import Done, Run

FLOW = """\
rules:
  - id: flow
    message: m
    severity: ERROR
    languages: [python]
    mode: taint
    options: {interfile: true}
    pattern-sources: [{pattern: src()}]
    pattern-sinks: [{pattern: sink($X)}]
    pattern-sanitizers: [{pattern: clean(...)}]
"""
SINK = "def run(x):\n    sink(x)\n"
CALL = "from tools import run\n\nrun(src())\n"
Looks = Callable[..., tuple[list[str], list[str]]]


@pytest.fixture(autouse=True)
def _settled(monkeypatch: pytest.MonkeyPatch, tavo: Run) -> None:
    """Believe times of files that were written just now; write the rule beside the project."""
    monkeypatch.setattr(kept, "_SETTLED_NS", -(10**15))
    Path("../flow.yaml").write_text(FLOW)


@pytest.fixture
def scan(tavo: Run, monkeypatch: pytest.MonkeyPatch) -> Looks:
    """Scan the folder; return the places of findings, and the files that were looked at again."""
    looked: list[str] = []
    real = looking.look

    def counted(task: Task, rules: RuleSet) -> Looked:
        if task.given is not None:
            looked.append(str(task.file.relative))
        return real(task, rules)

    monkeypatch.setattr(looking, "look", counted)

    def run(*words: str) -> tuple[list[str], list[str]]:
        looked.clear()
        return places(report(tavo, *words)), sorted(looked)

    return run


def report(tavo: Run, *words: str, targets: tuple[str, ...] = (".",)) -> Done:
    return tavo(
        "scan", *targets, "--format", "json", "--no-default-rules", "--rules", "../flow.yaml",
        *words,
    )  # fmt: skip


def places(done: Done) -> list[str]:
    return [
        f"{one['location']['path']}:{one['location']['region']['start_line']}"
        for one in json.loads(done.out)["findings"]
        if not one["suppression"]
    ]


def notices(done: Done) -> list[tuple[str, str]]:
    return [
        (one["subject"], one["reason"])
        for one in json.loads(done.out)["not_done"]
        if one["incomplete"]
    ]


def write(**files: str) -> None:
    for name, text in files.items():
        Path(f"{name}.py").write_text(text)


# -- what is kept


def test_one_changed_file_costs_only_those_that_call_what_became_different(scan: Looks) -> None:
    write(tools=SINK, main=CALL, other="from tools import run\n\nrun(1)\n", alone="x = 1\n")
    assert scan() == (["tools.py:2"], ["main.py", "tools.py"])
    assert scan() == (["tools.py:2"], [])
    write(alone="x = 2\n")
    assert scan() == (["tools.py:2"], [])
    write(main=CALL + "\n\nrun(2)\n")
    assert scan() == (["tools.py:2"], ["main.py"])
    write(tools="import os\n" + SINK)
    assert scan() == (["tools.py:3"], ["main.py", "tools.py"])
    write(tools="def run(x):\n    pass\n")
    assert scan()[0] == []


def test_a_file_that_could_not_be_read_is_no_stale_answer(tavo: Run) -> None:
    write(tools=SINK, main=CALL)
    assert places(report(tavo)) == ["tools.py:2"]
    big = SINK + "#" * 3_000_000 + "\n"
    write(tools=big)
    done = report(tavo)
    assert (places(done), done.code) == ([], 4)
    assert notices(done)[0][0] == "tools.py"
    write(tools=SINK + "# small again\n")
    assert places(report(tavo)) == ["tools.py:2"]
    write(tools=big)
    assert places(report(tavo)) == []


def test_a_defect_on_a_file_is_no_stale_answer(tavo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from tavo.scan import engine

    write(tools=SINK, main=CALL)
    real = engine.scan_source

    def broken(data: bytes, path: Any, rules: RuleSet, **words: Any) -> Any:
        if path.name == "tools.py":
            raise KeyError("x")
        return real(data, path, rules, **words)

    with monkeypatch.context() as now:
        now.setattr(engine, "scan_source", broken)
        done = report(tavo)
        assert (places(done), done.code) == ([], 4)
        write(tools=SINK + "\n\nother = 1\n")
        assert places(report(tavo)) == []
    assert places(report(tavo)) == ["tools.py:2"]


@pytest.mark.parametrize("first", ["alpha", "beta"])
def test_the_name_of_the_folder_decides_and_is_part_of_what_is_kept(
    tavo: Run, first: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`alpha.tools` is in the folder `alpha` itself, and in no other one."""
    for name in ("alpha", "beta"):
        Path(name).mkdir()
        Path(name, "flow.yaml").symlink_to(Path("../flow.yaml").resolve())
        Path(name, "in").mkdir()
    shutil.copy("../flow.yaml", "flow.yaml")
    said = {}
    for name in (first, "beta" if first == "alpha" else "alpha"):
        Path(name, "tools.py").write_text(SINK)
        Path(name, "main.py").write_text("from alpha.tools import run\n\nrun(src())\n")
        with monkeypatch.context() as there:
            there.chdir(name)
            said[name] = places(report(tavo))
    assert said == {"alpha": ["tools.py:2"], "beta": []}


def test_what_ran_out_of_time_is_looked_at_again(
    scan: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tools=SINK, main=CALL)
    real = looking.look
    with monkeypatch.context() as slow:
        slow.setattr(
            looking, "look",
            lambda task, rules: replace(real(task, rules), hits=(), lasting=False),
        )  # fmt: skip
        assert scan()[0] == []
    assert scan() == (["tools.py:2"], ["main.py", "tools.py"])


# -- what goes wrong


def test_what_was_not_parsed_in_its_time_is_looked_at_again(
    scan: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the bound of a parser does it: the tree is there in part, and the file says so."""
    write(tools=SINK, main=CALL)
    real = looking.parse_file

    def late(*given: Any) -> ParsedFile:
        file = real(*given)
        file.lasting = False
        return file

    monkeypatch.setattr(looking, "parse_file", late)
    assert scan() == (["tools.py:2"], ["main.py", "tools.py"])
    assert scan() == (["tools.py:2"], ["main.py", "tools.py"])


def test_a_message_that_multiplies_is_bounded(tavo: Run) -> None:
    Path("../flow.yaml").write_text(FLOW.replace("message: m", "message: " + "$X " * 3000))
    write(tools=SINK.replace("sink(x)", f"sink({'x + ' * 20}x)"), main=CALL)
    (finding,) = json.loads(report(tavo).out)["findings"]
    assert len(finding["message"]) <= 4001


def test_a_defect_on_one_file_is_named_and_the_others_are_looked_at(
    tavo: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tools=SINK, main=CALL, second=CALL.replace("run(src", "run([]); run(src"))
    real = looking._look

    def broken(task: Task, rules: RuleSet) -> Looked:
        if task.file.relative.name == "main.py" and task.given is not None:
            raise KeyError("x")
        return real(task, rules)

    monkeypatch.setattr(looking, "_look", broken)
    done = report(tavo)
    assert (places(done), done.code) == (["tools.py:2"], 4)
    assert notices(done) == [
        ("main.py", "a defect of tavo stopped the scan of this file: KeyError: 'x'")
    ]
    monkeypatch.setattr(looking, "_look", real)
    assert notices(report(tavo)) == []  # it was not kept


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are no copies here")
def test_a_process_that_dies_takes_one_file_with_it(
    tavo: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tools=SINK, **{f"m{n}": CALL.replace("run(src", f"run({n}); run(src") for n in range(9)})
    real = looking._look

    def dying(task: Task, rules: RuleSet) -> Looked:
        if task.file.relative.name == "m3.py" and task.given is not None:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(task, rules)

    monkeypatch.setattr(crew, "_WORTH_IT", 2)
    monkeypatch.setattr(looking, "_look", dying)
    done = report(tavo, "--jobs", "2")
    assert (places(done), done.code) == (["tools.py:2"], 4)
    assert notices(done) == [
        ("m3.py", "the scanner died on this file when it looked at it with what it imports")
    ]


def test_a_file_that_changes_during_the_scan_is_named(
    tavo: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tools=SINK, main=CALL)
    real = looking.look

    def changing(task: Task, rules: RuleSet) -> Looked:
        if task.file.relative.name == "main.py":
            write(main=CALL + "# changed\n")
        return real(task, rules)

    monkeypatch.setattr(looking, "look", changing)
    done = report(tavo)
    assert done.code == 4
    assert notices(done)[0] == (
        "main.py", "not looked at with what it imports: it changed during the scan"
    )  # fmt: skip


def test_on_several_processes_and_from_memory_it_is_the_same(
    tavo: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew, "_WORTH_IT", 2)
    write(
        a="import b\n\ndef even(x):\n    b.odd(x)\n\neven(src())\n",
        b="import a\n\ndef odd(x):\n    a.even(x)\n    sink(x)\n",
        c="from b import odd\nfrom a import even\n\nodd(src())\neven(src())\n",
        d="def get():\n    return src()\n",
        e="import d, b\n\nb.odd(d.get())\nsink(d.get())\n",
    )

    def findings(*words: str) -> Any:
        return json.loads(report(tavo, *words).out)["findings"]

    one = findings("--no-cache", "--jobs", "1")
    assert len(one) == 2
    assert findings("--no-cache", "--jobs", "2") == one
    assert findings() == one
    assert findings() == one
    Path("d.py").write_text("# moved\ndef get():\n    return src()\n")
    assert findings() == findings("--no-cache")


# -- which files


def test_what_only_several_steps_show_is_found_whatever_the_names(tavo: Run) -> None:
    """A file that comes to reach more is told to those that call it, however they are called."""
    for names in (("a", "b", "c"), ("c", "b", "a")):
        for file in Path().glob("*.py"):
            file.unlink()
        low, middle, high = names
        write(**{
            low: "def last(x):\n    sink(x)\n",
            middle: f"from {low} import last\n\ndef run(x):\n    sink(x)\n    last(x)\n",
            high: f"from {middle} import run\n\nrun(src())\n",
        })  # fmt: skip
        assert sorted(places(report(tavo))) == sorted([f"{low}.py:2", f"{middle}.py:4"])


def test_links_excluded_files_and_files_outside_of_the_paths(tavo: Run) -> None:
    Path("lib").mkdir()
    Path("lib/real.py").write_text(SINK)
    Path("lib/tools.py").symlink_to("real.py")
    write(main="from lib.tools import run\n\nrun(src())\n")
    assert places(report(tavo)) == ["lib/tools.py:2"]
    assert places(report(tavo, "--exclude", "lib/tools.py")) == []
    assert places(report(tavo)) == ["lib/tools.py:2"]
    assert places(report(tavo, targets=("main.py",))) == []
    assert places(report(tavo, targets=("main.py", "lib"))) == ["lib/tools.py:2"]


def test_a_link_that_leads_out_of_the_project_is_not_followed(tavo: Run) -> None:
    Path("../outside.py").write_text(SINK)
    Path("tools.py").symlink_to("../outside.py")
    write(main=CALL)
    assert places(report(tavo)) == []


def test_functions_that_are_given_to_functions(tavo: Run) -> None:
    write(tools=SINK, main="from tools import run\n\nlist(map(run, src()))\n")
    assert places(report(tavo)) == ["tools.py:2"]


# -- what a change brings


@pytest.fixture
def repository(tavo: Run) -> Run:
    """A repository with a harmless call of a function with a sink."""
    if shutil.which("git") is None:
        pytest.skip("there is no git here")
    write(tools=SINK, main=CALL.replace("src()", "1"), middle="def keep(x):\n    return clean(x)\n")
    git("init", "-q", "-b", "main", ".")
    commit()
    return tavo


def git(*words: str) -> None:
    subprocess.run(
        ["git", "-c", "user.name=n", "-c", "user.email=e@example.com", *words],
        check=True, capture_output=True,
    )  # fmt: skip


def commit() -> None:
    git("add", "-A")
    git("commit", "-qm", "c")


def diff(tavo: Run) -> list[str]:
    return places(report(tavo, "--diff", "HEAD"))


def test_a_new_source_whose_sink_is_in_a_file_that_did_not_change(repository: Run) -> None:
    write(main=CALL)
    assert diff(repository) == ["tools.py:2"]


def test_a_new_sink_whose_source_is_in_a_file_that_did_not_change(repository: Run) -> None:
    write(tools="def run(x):\n    pass\n", main=CALL)
    commit()
    write(tools=SINK)
    assert diff(repository) == ["tools.py:2"]


def test_a_check_that_was_taken_away_where_no_line_of_the_flow_changed(repository: Run) -> None:
    middle = "from tools import run\n\ndef keep(x):\n    x = clean(x)\n    run(x)\n"
    write(main="from middle import keep\n\nkeep(src())\n", middle=middle)
    commit()
    assert diff(repository) == []
    write(middle=middle.replace("    x = clean(x)\n", ""))
    assert diff(repository) == ["tools.py:2"]


def test_a_flow_that_was_there_does_not_count_after_another_change(repository: Run) -> None:
    write(main=CALL)
    commit()
    write(main="# moved down\n" + CALL)
    done = report(repository, "--diff", "HEAD")
    assert (places(done), done.code) == ([], 0)
    assert len(json.loads(done.out)["findings"]) == 1
    Path("tools.py").rename("other.py")
    write(main="# moved down\n" + CALL.replace("tools", "other"))
    assert diff(repository) == ["other.py:2"]  # the call is edited


def test_files_that_did_not_change_bring_nothing_else(repository: Run) -> None:
    write(alone="sink(src())\n", tools=SINK + "def broken(:\n")
    commit()
    write(main="x = 1\n")
    done = report(repository, "--diff", "HEAD")
    assert (done.code, json.loads(done.out)["findings"]) == (0, [])
