"""What a pull request wants to change: the commit before it, and the files of that commit.

Rules this module keeps:
- the commit comes from what GitHub says about the event, never from a name that the pull request
  can move; a merge is trusted only if GitHub made it;
- objects are read, nothing is checked out: no hook, filter or other program of a repository runs;
- a file is written below a folder of ours, links and submodules are refused.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from tavo_action.errors import FAILED, ActionError

__all__ = ["PROJECT_FILE", "Base", "base_of", "name_inside"]

_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
_SETTINGS = ("core.fsmonitor=false", "core.hooksPath=/dev/null", "protocol.allow=never")
_VARIABLES = {
    "GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1", "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_LITERAL_PATHSPECS": "1", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0",
    "LC_ALL": "C",
}  # fmt: skip
_SECONDS = 120.0
_MOST_FILES, _LARGEST = 5_000, 16 << 20
PROJECT_FILE = "tavo.toml"
_IGNORES = frozenset({".gitignore", ".tavoignore", ".semgrepignore"})


class Base:
    """The commit that a pull request, or a queue of them, wants to change."""

    def __init__(self, commit: str, revision: str, *, workspace: Path, folder: Path) -> None:
        self.commit = commit
        self.revision = revision
        self.differs: list[str] = []
        self._workspace, self._folder = workspace, folder

    def take(self, named: str, what: str) -> str:
        """Return where a file or folder of the commit lies now, for one named in the workspace.

        What lies outside of the workspace is not of the pull request, and returned as it is.
        """
        inside = name_inside(self._workspace, named)
        if inside is None:
            return named
        if not self._write(inside):
            raise ActionError(
                f"{what}: {named} is not in {self.commit[:12]}, which this pull request wants to"
                " change; a pull request cannot bring the files that judge it",
                hint="Merge that file first, or accept it with gate-from: checkout.",
            )
        return str(self._folder / inside)

    def settings(self) -> str:
        """Return the tavo.toml of the commit, or an empty one if only the checkout has one.

        An empty text means that there is none. The rule files that it names are taken as well.
        """
        here = os.path.lexists(self._workspace / PROJECT_FILE)
        there = self._write(PurePosixPath(PROJECT_FILE))
        if not here and not there:
            return ""
        path = self._folder / PROJECT_FILE
        if not there:
            self.differs.append(PROJECT_FILE)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("")
        try:
            rules = tomllib.loads(path.read_text("utf-8")).get("scan", {}).get("rules", [])
            for named in (name for name in rules if not name.startswith("~")):
                self.take(named, f"{PROJECT_FILE}, scan.rules")
        except (ValueError, AttributeError, TypeError):
            pass  # tavo says what is wrong with it
        return str(path)

    def ignores(self) -> list[str]:
        """Return the files of ignore patterns in which the checkout differs from the commit."""
        words = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", self.commit, "HEAD")
        names = _git(self._workspace, *words).decode("utf-8", "replace").split("\0")
        return sorted(name for name in names if name.rpartition("/")[2] in _IGNORES)

    def _write(self, inside: PurePosixPath) -> bool:
        """Write what the commit has under a name; return whether it has anything."""
        words = ("ls-tree", "-r", "-z", "--full-tree", self.commit, "--", str(inside))
        entries = [entry for entry in _git(self._workspace, *words).split(b"\0") if entry]
        if len(entries) > _MOST_FILES:
            raise ActionError(f"{inside}: {len(entries)} files, at most {_MOST_FILES} are taken")
        changed = False
        for entry in entries:
            head, _, raw = entry.partition(b"\t")
            mode, kind, blob = head.decode("ascii").split(" ")
            name = PurePosixPath(os.fsdecode(raw))
            if kind != "blob" or mode == "120000":
                raise ActionError(f"{name}: a link or submodule in {self.commit[:12]}, not a file")
            data = _git(self._workspace, "cat-file", "blob", blob)
            if len(data) > _LARGEST:
                raise ActionError(f"{name}: larger than {_LARGEST >> 20} MB")
            path = self._folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            changed = changed or _content(self._workspace / name) != data
        if changed:
            self.differs.append(str(inside))
        return bool(entries)


def name_inside(workspace: Path, named: str) -> PurePosixPath | None:
    """Return the path in the workspace of what is named there, None for what lies outside."""
    whole = Path(os.path.normpath(workspace / named))
    if not whole.is_relative_to(workspace):
        return None
    return PurePosixPath(whole.relative_to(workspace).as_posix())


def base_of(environment: Mapping[str, str], workspace: Path, folder: Path) -> Base | None:
    """Return the base of the event's pull request, None for other events. Raises ActionError."""
    name = environment.get("GITHUB_EVENT_NAME", "")
    if name in {"pull_request", "pull_request_target"}:
        base, head = _commits(environment, ("pull_request", "base", "sha"), ("head", "sha"))
    elif name == "merge_group":
        base, head = _commits(environment, ("merge_group", "base_sha"), ("head_sha",))
    else:
        return None
    checked_out = _git(workspace, "rev-parse", "--verify", "HEAD").decode().strip()
    revision = f"{base}..."
    # GitHub's own merge: its first parent is the base as it is now, and two commits are enough.
    if name == "pull_request" and checked_out == environment.get("GITHUB_SHA"):
        lines = _git(workspace, "cat-file", "commit", "HEAD").split(b"\n\n")[0].splitlines()
        parents = [x[7:].decode("ascii", "replace") for x in lines if x.startswith(b"parent ")]
        if len(parents) == 2 and parents[1] == head:
            base = revision = parents[0]
    if name == "merge_group":
        revision = base
    if _run(workspace, "cat-file", "-e", f"{base}^{{commit}}").returncode != 0:
        raise ActionError(
            f"the base of this pull request, {base[:12]}, is not in the checkout",
            hint="Give actions/checkout `fetch-depth: 0` (2 is enough for its default ref on"
            " pull_request), or set gate-from: checkout and no diff.",
        )
    return Base(base, revision, workspace=workspace, folder=folder)


def _commits(
    environment: Mapping[str, str], base: tuple[str, ...], head: tuple[str, ...]
) -> tuple[str, str]:
    """Return two commits out of the event; `head` starts at the parent of where `base` ends."""
    path = environment.get("GITHUB_EVENT_PATH", "")
    try:
        event = json.loads(Path(path).read_bytes())
        values = []
        for keys in (base, (base[0], *head)):
            value = event
            for key in keys:
                value = value[key]
            values.append(value)
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ActionError(
            f"the event's file, {path or 'GITHUB_EVENT_PATH'}, names no base: {error}", code=FAILED
        ) from error
    if not all(isinstance(value, str) and _COMMIT.match(value) for value in values):
        raise ActionError(f"the event's file, {path}, names commits that are none", code=FAILED)
    return values[0], values[1]


def _content(path: Path) -> bytes | None:
    try:
        return None if path.is_symlink() else path.read_bytes()
    except OSError:
        return None


def _run(workspace: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("git")
    if program is None:
        raise ActionError("the program git is not on PATH", hint="Install it on the runner.")
    settings = [part for setting in _SETTINGS for part in ("-c", setting)]
    own = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        return subprocess.run(
            [program, "-C", str(workspace), "--no-pager", *settings, *words],
            env={**own, **_VARIABLES}, capture_output=True, check=False, timeout=_SECONDS,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ActionError(f"git {words[0]}: {error}", code=FAILED) from error


def _git(workspace: Path, *words: str) -> bytes:
    done = _run(workspace, *words)
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode("utf-8", "replace").strip().partition("\n")[0]
    if "dubious ownership" in said:
        hint = 'Let Git read it: git config --global --add safe.directory "$GITHUB_WORKSPACE".'
    else:
        hint = (
            "Check the repository out into the workspace, or set gate-from: checkout and no diff."
        )
    raise ActionError(
        f"git {words[0]}: {said or f'code {done.returncode}'}", hint=hint, code=FAILED
    )
