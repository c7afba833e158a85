"""A revision of a Git repository, read without letting the repository run anything.

Rules this module keeps:
- only objects are read: `rev-parse`, `merge-base`, `ls-tree` and `cat-file`. Nothing looks at the
  index or the work tree, so no hook, filter, file system monitor, diff driver or pager is asked;
- nothing is fetched: a repository with missing objects names programs for that;
- no variable of Git is passed on; whose repository is safe to read stays Git's decision;
- its answers are bounded in time and size.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tavo.errors import InputError, UsageError
from tavo.printable import printable
from tavo.programs import Answer, environment, find_program, kill, run_program

__all__ = ["Blob", "Revision", "blob_name", "open_revision"]

_SETTINGS = (
    "core.fsmonitor=false", "core.hooksPath=/dev/null", "core.pager=cat", "diff.external=",
    "protocol.allow=never", "safe.bareRepository=explicit", "core.alternateRefsCommand=",
)  # fmt: skip
_VARIABLES = {
    "GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1", "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "GIT_ATTR_NOSYSTEM": "1", "LC_ALL": "C",
}  # fmt: skip
_SECONDS = 120.0
_MOST = 256 << 20
_LINK = b"120000"


class Blob(msgspec.Struct, frozen=True):
    """A file of a revision: the name of its content, and whether it is a symbolic link."""

    name: str
    is_link: bool


def open_revision(asked: str, folder: Path) -> Revision:
    """Open a revision of the repository around a folder.

    `REV...` means the commit where the current branch left REV. Raises UsageError, InputError.
    """
    program = find_program("git")
    if program is None:
        raise UsageError(
            "--diff needs the program git, which is not on PATH",
            hint="Install Git, or scan everything without --diff.",
        )
    name = asked.removesuffix("...")
    if not name or name.startswith("-") or "\0" in name or ".." in name:
        raise UsageError(
            f"--diff {printable(asked)}: is not the name of a revision",
            hint="Name a branch, a tag or a commit, such as main or HEAD~1; `main...` means where"
            " this branch left main.",
        )
    git = _Git(program, folder)
    top = Path(os.fsdecode(git.ask("rev-parse", "--show-toplevel", asked=asked).rstrip(b"\n")))
    commit = git.ask(
        "rev-parse", "--verify", "--quiet", f"{name}^{{commit}}", asked=asked
    )  # fmt: skip
    if name != asked:
        commit = git.ask("merge-base", commit.decode().strip(), "HEAD", asked=asked)
    return Revision(git, asked, commit.decode().strip(), top)


class Revision:
    """The files of a commit. Close it: a program waits for questions."""

    def __init__(self, git: _Git, asked: str, commit: str, top: Path) -> None:
        self.asked = asked
        self.commit = commit
        self.top = top
        self._git = git
        self._reader: subprocess.Popen[bytes] | None = None
        self.files: dict[str, Blob] = {}
        listing = git.ask("ls-tree", "-r", "-z", "--full-tree", commit, asked=asked)
        for entry in listing.split(b"\0"):
            head, _, path = entry.partition(b"\t")
            parts = head.split(b" ")
            if len(parts) == 3 and parts[1] == b"blob":
                self.files[os.fsdecode(path)] = Blob(parts[2].decode(), parts[0] == _LINK)

    def read(self, blob: Blob, *, largest: int) -> bytes | None:
        """Return a file's content, None where it is not in this clone or is too large."""
        reader = self._reader
        if reader is None:
            reader = self._reader = self._git.start("cat-file", "--batch")
        if reader.stdin is None or reader.stdout is None:
            return None
        try:
            reader.stdin.write(f"{blob.name}\n".encode())
            reader.stdin.flush()
            head = reader.stdout.readline(200).split()
            if len(head) != 3 or head[1] != b"blob":
                return None
            size = int(head[2])
            if size > largest:
                self.close()  # what it says now is not read to its end
                return None
            data = reader.stdout.read(size)
            reader.stdout.read(1)
        except (OSError, ValueError):
            self.close()
            return None
        return data if len(data) == size else None

    def close(self) -> None:
        """End the program that reads contents."""
        if self._reader is not None:
            kill(self._reader)
            self._reader.wait()
            for pipe in (self._reader.stdin, self._reader.stdout):
                if pipe is not None:
                    try:
                        pipe.close()
                    except OSError:
                        pass
            self._reader = None


def blob_name(data: bytes, like: str) -> str:
    """Return Git's name of a content, by the hash function of another name."""
    head = b"blob %d\0" % len(data)
    if len(like) == 64:
        return hashlib.sha256(head + data).hexdigest()
    return hashlib.sha1(head + data, usedforsecurity=False).hexdigest()


class _Git:
    def __init__(self, program: Path, folder: Path) -> None:
        settings = [word for setting in _SETTINGS for word in ("-c", setting)]
        self._command = [str(program), "-C", str(folder), "--no-pager", *settings]
        self._folder = folder

    def ask(self, *words: str, asked: str) -> bytes:
        try:
            answer = run_program(
                [*self._command, *words], extra=_VARIABLES, seconds=_SECONDS, most=_MOST
            )
        except OSError as error:
            raise InputError(f"git does not start: {error.strerror}") from error
        if answer.code == 0 and not answer.stopped:
            return answer.out
        raise self._failed(words, answer, asked)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self._command, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, env=environment(_VARIABLES), start_new_session=True,
        )  # fmt: skip

    def _failed(self, words: Sequence[str], answer: Answer, asked: str) -> Exception:
        said = printable(answer.errors.strip().split("\n")[0])[:300]
        if answer.stopped:
            return InputError(f"git {words[0]} was stopped: {answer.stopped}")
        if "dubious ownership" in answer.errors:
            return UsageError(
                f"{self._folder}: Git does not read this repository, it belongs to somebody else",
                hint=f"If you trust it: git config --global --add safe.directory {self._folder}",
            )
        if "not a git repository" in answer.errors or "work tree" in answer.errors:
            return UsageError(
                f"{self._folder}: --diff compares with a Git revision, and this is not in a work"
                " tree of Git",
                hint="Scan it without --diff.",
            )
        if words[0] in {"rev-parse", "merge-base"} and not said:
            return self._no_revision(words[0], asked)
        return InputError(f"git {words[0]} failed: {said or f'code {answer.code}'}")

    def _no_revision(self, word: str, asked: str) -> UsageError:
        shallow = self.ask("rev-parse", "--is-shallow-repository", asked=asked).strip() == b"true"
        what = "this repository has no such revision"
        if word == "merge-base":
            what = "it has no commit in common with this branch"
        if shallow:
            return UsageError(
                f"--diff {printable(asked)}: {what}; the clone is shallow, older commits are"
                " missing",
                hint="Fetch them: `git fetch --unshallow`, or `fetch-depth: 0` in CI.",
            )
        return UsageError(
            f"--diff {printable(asked)}: {what}",
            hint="`git branch -a` and `git tag` show the names; a remote branch is origin/NAME.",
        )
