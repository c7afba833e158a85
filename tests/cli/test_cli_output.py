"""Reports in files: which, where, and what is refused before anything is scanned."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.test_cli_scan import CLEAN, FLAW

CI = (
    "GITHUB_ACTIONS", "GITHUB_WORKSPACE", "GITHUB_STEP_SUMMARY", "GITHUB_SERVER_URL",
    "GITHUB_REPOSITORY", "GITHUB_SHA", "GITLAB_CI", "CI_PROJECT_DIR", "CI_PROJECT_URL",
    "CI_COMMIT_SHA",
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CI:
        monkeypatch.delenv(name, raising=False)


def test_a_named_file_takes_the_report_of_the_format(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    done = tavo("scan", ".", "--format", "sarif", "--output", "out/tavo.sarif")
    assert (done.code, done.out) == (1, "")
    assert json.loads(Path("out/tavo.sarif").read_text())["version"] == "2.1.0"
    assert done.err == "tavo: sarif report in out/tavo.sarif\n"


def test_several_reports_beside_the_one_on_the_terminal(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    done = tavo("scan", ".", "--output", "junit=r.xml", "--output", "html=r.html", "--output",
                "markdown=r.md", "--output", "sqlite=r.db", "--output", "github=r.txt", "--output",
                "text=t.txt")  # fmt: skip
    assert done.code == 1
    assert "1 finding (1 critical)" in done.out
    assert ElementTree.parse("r.xml").getroot().get("failures") == "1"
    assert Path("r.html").read_text("utf-8").startswith("<!doctype html>")
    assert "tavo: 1 finding" in Path("r.md").read_text("utf-8")
    assert Path("r.txt").read_text().startswith("::error file=agent.py,line=10,")
    assert Path("t.txt").read_text("utf-8") == done.out
    connection = sqlite3.connect("r.db")
    assert connection.execute("SELECT path FROM findings").fetchall() == [("agent.py",)]
    connection.close()
    assert tavo("results", "list", "--store", "r.db").code == 0


def test_a_format_on_standard_output_and_another_in_a_file(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    done = tavo("-q", "scan", ".", "--format", "json", "--output", "html=r.html")
    assert json.loads(done.out)["summary"]["findings"] == 1
    assert done.err == ""
    assert Path("r.html").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--output", "r.html"], "--output r.html: does not say which format\n  Name it, as in"
         " `--output html=r.html`, or with --format."),
        (["--format", "junit", "--output", "a.xml", "--output", "b.xml"],
         "--output b.xml: a second file, after a.xml, without the name of its format"),
        (["--output", "hmtl=r.html"], "'hmtl' is no format\n  Did you mean html?"),
        (["--output", "zzz=r"], "Formats are text, json, sarif, ocsf, github, junit, markdown,"),
        (["--output", "=r"], "--output =r: '' is no format"),
        (["--output", "html="], "--output html=: names no file"),
        (["--output", "html=."], "--output html=.: . is a folder"),
        (["--output", "html=new/"], "new/ is a folder"),
        (["--output", "html=link.html"], "link.html is a symbolic link"),
        (["--output", "html=agent.py/r.html"], "agent.py is not a folder"),
        (["--output", "html=pipe"], "pipe is not an ordinary file"),
        (["--output", "html=r", "--output", "json=./r"], "r: is named for two reports"),
        (["--output", "sqlite=r.db", "--save", "r.db"], "r.db: is named for two reports"),
        (["--output", "sqlite=elsewhere"], "elsewhere: is no database, and would be replaced"),
        (["--output", "sqlite=other.db"], "other.db: is a database of something else, and would"),
        (["--format", "sqlite", "--output", "other.db"], "other.db: is a database of something"),
        (["--format", "sqlite"], "--format sqlite: a database cannot be printed\n  Name a file:"
         " `--output sqlite=results.db`."),
    ],
)  # fmt: skip
def test_what_is_unclear_or_cannot_be_written_is_refused_before_the_scan(
    tavo, words: list[str], said: str
) -> None:
    Path("agent.py").write_text(FLAW)
    Path("elsewhere").write_text("mine")
    Path("link.html").symlink_to("elsewhere")
    os.mkfifo("pipe")
    with closing(sqlite3.connect("other.db")) as other:
        other.execute("CREATE TABLE theirs (x)")
    before = Path("other.db").read_bytes()
    done = tavo("scan", ".", *words)
    assert done.code == 2
    assert said in done.err
    assert done.out == ""
    assert Path("elsewhere").read_text() == "mine"
    assert Path("other.db").read_bytes() == before
    assert not Path("r.db").exists()


def test_a_file_with_an_equals_sign_in_its_name(tavo) -> None:
    Path("sum.py").write_text(CLEAN)
    assert tavo("scan", "sum.py", "--format", "json", "--output", "./a=b.json").code == 0
    assert json.loads(Path("a=b.json").read_text())["schema"] == "tavo-results/1"


def test_one_report_that_cannot_be_written_keeps_no_other_from_it(
    tavo, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("agent.py").write_text(FLAW)
    import signing.files

    real = signing.files.write_atomically

    def full(path: Path, data: bytes) -> None:
        if path.name == "full.html":
            raise OSError(28, "No space left on device")
        real(path, data)

    monkeypatch.setattr(signing.files, "write_atomically", full)
    done = tavo("-q", "scan", ".", "--output", "html=full.html", "--output", "json=r.json")
    assert done.code == 3, "a report that is missing is more than findings"
    assert done.err == ("tavo: full.html: the report cannot be written: No space left on device\n")
    assert Path("r.json").exists()
    assert "1 finding" in done.out


def test_stored_runs_are_exported_in_every_format(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    tavo("scan", ".", "--save", "results.db")
    Path("agent.py").write_text(CLEAN)
    tavo("scan", ".", "--save", "results.db")
    assert json.loads(tavo("results", "export", "1").out)["summary"]["findings"] == 1
    assert tavo("results", "export", "1", "--format", "github").out.startswith("::error file=")
    done = tavo("results", "export", "1", "--output", "sqlite=one.db", "--output", "html=r.html")
    assert (done.code, done.out) == (0, "")
    assert "llm-output-to-exec" in Path("r.html").read_text("utf-8")
    assert tavo("results", "show", "--store", "one.db").out.startswith("agent.py\n")
    Path("empty.db").touch()
    for known in ("one.db", "empty.db"):  # what is ours, or holds nothing, is replaced
        assert tavo("results", "export", "2", "--output", f"sqlite={known}").code == 0
        assert tavo("results", "list", "--store", known).out.startswith("2\t")
    refused = tavo("results", "export", "--output", "sqlite=results.db")
    assert refused.code == 2
    assert "results.db: is named for two reports" in refused.err


def test_a_pipeline_writes_reports_too(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    Path("p.yaml").write_text("pipeline: 1\nsteps:\n  - {id: all, use: files, paths: [.]}\n"
                              "  - {id: code, use: rules, files: all}\n")  # fmt: skip
    done = tavo("pipeline", "run", "p.yaml", "--output", "junit=r.xml")
    assert Path("r.xml").exists(), done.err


def test_on_github_paths_and_links_are_those_of_the_repository(
    tavo, monkeypatch: pytest.MonkeyPatch
) -> None:
    top = Path.cwd()
    api = top / "services" / "api"
    api.mkdir(parents=True)
    (api / "agent.py").write_text(FLAW)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(top))
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", "ada/shop")
    monkeypatch.setenv("GITHUB_SHA", "abc123")
    monkeypatch.chdir(api)
    done = tavo("scan", ".", "--format", "github", "--output", "markdown=../../r.md")
    assert done.out.startswith("::error file=services/api/agent.py,line=10,")
    link = "https://github.com/ada/shop/blob/abc123/services/api/agent.py#L10"
    assert f"]({link})" in (top / "r.md").read_text("utf-8")
    monkeypatch.delenv("GITHUB_SHA")
    assert "](" not in tavo("scan", ".", "--format", "markdown").out, "no address, no links"
    monkeypatch.setenv("GITHUB_WORKSPACE", str(top / "elsewhere"))
    assert tavo("scan", ".", "--format", "github").out.startswith("::error file=agent.py,")


def test_on_gitlab_links_are_those_of_the_commit(tavo, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("agent.py").write_text(FLAW)
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("CI_PROJECT_DIR", str(Path.cwd()))
    monkeypatch.setenv("CI_PROJECT_URL", "https://gitlab.example/ada/shop")
    monkeypatch.setenv("CI_COMMIT_SHA", "abc123")
    out = tavo("scan", ".", "--format", "markdown").out
    assert "](https://gitlab.example/ada/shop/-/blob/abc123/agent.py#L10)" in out


def test_the_summary_of_a_step_has_more_room(tavo, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("agent.py").write_text(
        "import pickle\n" + "".join(f"x{n} = pickle.load(open({n!r}, 'rb'))\n" for n in range(900))
    )
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    tavo("scan", ".", "--output", "markdown=summary.md", "--output", "markdown=comment.md")
    assert Path("comment.md").stat().st_size <= 65_536 < Path("summary.md").stat().st_size
    assert "not shown here" in Path("comment.md").read_text("utf-8")
