"""`tavo scan --diff REV`: what a change brought counts; a repository cannot make anything run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tavo.scan import revision
from tavo.scan.changes import changed_lines
from tests.cli.conftest import Done, Run

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")
FLAW = "import subprocess\n\n\ndef tool(cmd):\n    subprocess.run(cmd, shell=True)\n"
OTHER = "\n\ndef other(cmd):\n    subprocess.run(cmd, shell=True)\n"


def git(*words: str, folder: Path | None = None) -> str:
    return subprocess.run(
        ["git", "-c", "user.name=n", "-c", "user.email=e@example.com", *words], cwd=folder,
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


@pytest.fixture
def repository(tavo: Run) -> Run:
    """A repository with one flaw and one clean file, committed."""
    git("init", "-q", "-b", "main", ".")
    Path("old.py").write_text(FLAW)
    Path("same.py").write_text("x = 1\n")
    git("add", "-A")
    git("commit", "-qm", "one")
    return tavo


def counted(done: Done) -> list[str]:
    return [
        f"{one['location']['path']}:{one['location']['region']['start_line']}"
        for one in json.loads(done.out)["findings"]
        if not one["suppression"]
    ]


def diff(tavo: Run, *words: str) -> Done:
    return tavo("scan", ".", "--format", "json", "--diff", "HEAD", *words)


def test_nothing_changed_is_nothing_to_look_at(repository: Run) -> None:
    done = repository("scan", ".", "--diff", "HEAD")
    assert done.code == 0
    assert "file not changed: 2 since HEAD (" in done.out


def test_what_was_there_is_shown_and_does_not_count(repository: Run) -> None:
    Path("old.py").write_text("# moved down\n" + FLAW)
    done = repository("scan", ".", "--diff", "HEAD")
    assert done.code == 0
    assert "No findings, 1 already there: 1 file with" in done.out
    done = repository("-v", "scan", ".", "--diff", "HEAD")
    assert "old.py:6:20 function-argument-to-shell: already there in HEAD (" in done.out


def test_a_new_line_counts_also_if_it_says_what_another_says(repository: Run) -> None:
    Path("old.py").write_text(FLAW + OTHER)
    done = diff(repository)
    assert (done.code, counted(done)) == (1, ["old.py:9"])


def test_a_check_that_was_taken_away_counts_though_the_line_did_not_change(tavo: Run) -> None:
    git("init", "-q", ".")
    Path("a.py").write_text(FLAW.replace("def tool", "import shlex\n\n\ndef tool").replace(
        "    sub", "    cmd = shlex.quote(cmd)\n    sub"))  # fmt: skip
    git("add", "-A")
    git("commit", "-qm", "one")
    assert diff(tavo).code == 0
    Path("a.py").write_text(Path("a.py").read_text().replace("    cmd = shlex.quote(cmd)\n", ""))
    done = diff(tavo)
    assert (done.code, len(counted(done))) == (1, 1)


def test_an_ignore_comment_that_was_taken_away_counts(tavo: Run) -> None:
    git("init", "-q", ".")
    Path("a.py").write_text(FLAW.replace("    sub", "    # nosemgrep\n    sub"))
    git("add", "-A")
    git("commit", "-qm", "one")
    Path("a.py").write_text(FLAW)
    assert len(counted(diff(tavo))) == 1


def test_an_untracked_file_is_new(repository: Run) -> None:
    Path("new.py").write_text(FLAW)
    assert counted(diff(repository)) == ["new.py:5"]


@pytest.mark.parametrize("more", ["", "# and more\n"])
def test_a_renamed_file_is_compared_with_what_it_was(repository: Run, more: str) -> None:
    Path("sub").mkdir()
    Path("old.py").rename("sub/new.py")
    Path("sub/new.py").write_text(FLAW + more)
    assert counted(diff(repository)) == []
    Path("sub/new.py").write_text(FLAW + OTHER)
    assert counted(diff(repository)) == ["sub/new.py:9"]


def test_line_ends_alone_are_no_change(repository: Run) -> None:
    Path("old.py").write_bytes(FLAW.replace("\n", "\r\n").encode())
    assert counted(diff(repository)) == []


def test_a_branch_is_compared_with_where_it_left(repository: Run) -> None:
    git("checkout", "-qb", "work")
    git("checkout", "-q", "main")
    Path("old.py").write_text("x = 1\n")
    git("commit", "-qam", "mended on main")
    git("checkout", "-q", "work")
    Path("same.py").write_text("x = 2\n")
    report = ("scan", ".", "--format", "json", "--diff")
    assert counted(repository(*report, "main")) == ["old.py:5"]
    assert counted(repository(*report, "main...")) == []


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ("nosuch", "--diff nosuch: this repository has no such revision\n"),
        ("--output=x", "--diff --output=x: is not the name of a revision\n"),
        ("a..b", "--diff a..b: is not the name of a revision\n"),
    ],
)
def test_a_revision_that_is_not_there_is_named(repository: Run, asked: str, sentence: str) -> None:
    done = repository("scan", ".", f"--diff={asked}")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"tavo: {sentence}  ")


def test_a_shallow_clone_says_so(repository: Run, tmp_path: Path) -> None:
    Path("same.py").write_text("x = 2\n")
    git("commit", "-qam", "two")
    git("clone", "-q", "--depth", "1", f"file://{Path.cwd()}", str(tmp_path / "clone"))
    done = repository("scan", str(tmp_path / "clone"), "--diff", "HEAD~1")
    assert done.code == 2
    assert "the clone is shallow, older commits are missing" in done.err


def test_no_repository_and_no_git_are_named(
    tavo: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    done = tavo("scan", ".", "--diff", "HEAD")
    assert done.code == 2
    assert "this is not in a work tree of Git" in done.err
    monkeypatch.setenv("PATH", ".")
    done = tavo("scan", ".", "--diff", "HEAD")
    assert (done.code, done.err.splitlines()[0]) == (
        2, "tavo: --diff needs the program git, which is not on PATH",
    )  # fmt: skip


def hostile(marker: Path) -> None:
    """Let the repository's own settings name programs for all that Git may run."""
    script = marker.with_suffix(".sh")
    script.write_text(f"#!/bin/sh\ntouch {marker}\nexit 1\n")
    script.chmod(0o755)
    for name in ("core.fsmonitor", "core.pager", "diff.external", "core.sshCommand",
                 "filter.x.clean", "diff.x.textconv", "diff.x.command"):  # fmt: skip
        git("config", name, str(script))
    Path(".git/info/attributes").write_text("* filter=x diff=x\n")
    for hook in ("post-index-change", "post-checkout"):
        Path(f".git/hooks/{hook}").write_text(script.read_text())
        Path(f".git/hooks/{hook}").chmod(0o755)


def test_a_hostile_repository_runs_nothing(repository: Run, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    hostile(marker)
    Path("old.py").write_text(FLAW + OTHER)
    assert counted(diff(repository)) == ["old.py:9"]
    assert not marker.exists()
    subprocess.run(["git", "diff", "HEAD"], capture_output=True, check=False)  # the control
    assert marker.exists()


def without_the_blob(tmp_path: Path, marker: Path) -> None:
    """Make the clone partial: Git would run a program to have what is missing."""
    script = marker.with_suffix(".sh")
    script.write_text(f"#!/bin/sh\ntouch {marker}\nexit 1\n")
    script.chmod(0o755)
    blob = git("rev-parse", "HEAD:old.py").strip()
    Path(f".git/objects/{blob[:2]}/{blob[2:]}").unlink()
    for name, value in (
        ("core.repositoryformatversion", "1"), ("extensions.partialClone", "origin"),
        ("remote.origin.promisor", "true"), ("remote.origin.url", f"ext::{script}"),
        ("protocol.ext.allow", "always"),
    ):  # fmt: skip
        git("config", name, value)


def test_what_is_missing_is_not_fetched_and_counts_as_changed(
    repository: Run, tmp_path: Path
) -> None:
    marker = tmp_path / "ran"
    without_the_blob(tmp_path, marker)
    Path("old.py").write_text(FLAW + "# more\n")
    assert counted(diff(repository)) == ["old.py:5"]
    assert not marker.exists()


def test_control_without_the_settings_it_would_run_a_program(
    repository: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "ran"
    without_the_blob(tmp_path, marker)
    Path("old.py").write_text(FLAW + "# more\n")
    monkeypatch.setattr(revision, "_VARIABLES", {"LC_ALL": "C"})
    monkeypatch.setattr(revision, "_SETTINGS", ())
    diff(repository)
    assert marker.exists()


def test_variables_of_git_lead_nowhere(repository: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", "/nonexistent")
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "/bin/false")
    assert diff(repository).code == 0


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs another owner")
def test_a_repository_of_somebody_else_says_what_to_do(repository: Run) -> None:
    for path in (Path(), Path(".git")):
        os.chown(path, 12345, 12345)
    done = diff(repository)
    assert done.code == 2
    assert "belongs to somebody else" in done.err
    assert "safe.directory" in done.err


def test_lines_that_are_new_or_changed() -> None:
    assert changed_lines(b"a\nb\nc\n", b"a\nx\nc\nd\n") == {2, 4}
    assert changed_lines(b"a\nb\nc\n", b"a\nc\n") == frozenset()
    assert changed_lines(b"", b"a\n") == {1}
    many = b"x\ny\n" * 20_000
    assert len(changed_lines(b"1\n" + many, many + b"2\n") or ()) >= 1
