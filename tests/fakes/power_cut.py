"""A power cut at every step of a program: what may be found on the disk when the machine is back.

`record` runs a program under strace and returns what it did to the files in a folder. `states`
replays that on a model of a disk, and yields what a cut at each step may leave:

- what was not flushed of a file is gone, or is there;
- what was made, renamed or deleted in a folder since that folder was flushed is gone, or is there,
  or any one of these steps is there without the others before it.

The model is stricter than journaling file systems are: it keeps nothing that nobody flushed.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_CALLS = (
    "openat,creat,lseek,write,pwrite64,writev,sendfile,copy_file_range,ftruncate,truncate,"
    "rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,fsync,fdatasync"
)
_LINE = re.compile(r"(\d+)\s+(.*)")
_CALL = re.compile(r"(\w+)\((.*)\)\s+=\s+(-?\d+)(?:<([^>]*)>)?(?:\s.*)?", re.S)
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
_HANDLE = re.compile(r"(?:(AT_FDCWD|\d+)<((?:\\x[0-9a-f]{2})*)>)")


class Step(NamedTuple):
    """One call that changed or flushed something; paths are relative to the folder."""

    call: str
    path: str
    other: str = ""
    data: bytes = b""
    at: int = 0


def can_record() -> bool:
    """Tell whether programs can be traced here."""
    if sys.platform != "linux" or shutil.which("strace") is None:
        return False
    done = subprocess.run(["strace", "-o", os.devnull, "true"], check=False, capture_output=True)
    return done.returncode == 0


def record(code: str, arguments: Sequence[str], folder: Path, log: Path) -> list[Step]:
    """Run Python code under strace; return its steps on files in `folder`."""
    done = subprocess.run(
        ["strace", "-f", "-y", "-xx", "-s", "100000000", "-e", f"trace={_CALLS}", "-o", log,
         sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return list(_Reader(folder.resolve()).steps(log.read_text("ascii")))


class _Reader:
    """Reads what strace wrote."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._offsets: dict[str, int] = {}
        self._appending: set[str] = set()

    def steps(self, text: str) -> Iterator[Step]:
        pending: dict[str, str] = {}
        for line in text.splitlines():
            found = _LINE.fullmatch(line)
            assert found is not None, line[:200]
            process, rest = found[1], found[2]
            if rest.endswith("<unfinished ...>"):
                pending[process] = rest.removesuffix("<unfinished ...>")
                continue
            if rest.startswith("<... "):
                rest = pending.pop(process) + rest.partition(" resumed>")[2]
            if call := _CALL.fullmatch(rest):
                result = int(call[3])
                if result >= 0:
                    yield from self._step(call[1], call[2], result, call[4] or "")

    def _inside(self, base: str, name: str) -> str | None:
        path = os.path.normpath(f"{base}/{name}" if base and not name.startswith("/") else name)
        if path == self._folder:
            return "."
        return (
            path.removeprefix(self._folder + "/") if path.startswith(self._folder + "/") else None
        )

    def _step(self, call: str, words: str, result: int, opened: str) -> Iterator[Step]:
        texts = [_bytes(one) for one in _TEXT.findall(words)]
        handles = [(one, os.fsdecode(_bytes(where))) for one, where in _HANDLE.findall(words)]
        names = [os.fsdecode(one) for one in texts]
        if call in {"openat", "creat"}:
            yield from self._opened(words, handles, names[0], result)
        elif call in {"rename", "renameat", "renameat2"}:
            bases = [where for _, where in handles] if call != "rename" else ["", ""]
            one, two = (self._inside(base, name) for base, name in zip(bases, names, strict=True))
            assert (one is None) == (two is None), "a rename across the border is not modelled"
            if one is not None and two is not None:
                yield Step("rename", one, two)
        elif call in {"unlink", "unlinkat", "rmdir", "mkdir", "mkdirat"}:
            path = self._inside(handles[0][1] if handles else "", names[0])
            if path is not None:
                kind = call.removesuffix("at")
                yield Step("rmdir" if "AT_REMOVEDIR" in words else kind, path)
        elif handles and (path := self._inside("", handles[0][1])) is not None:
            yield from self._written(call, words, handles, path, texts, result)

    def _opened(
        self, words: str, handles: list[tuple[str, str]], name: str, result: int
    ) -> Iterator[Step]:
        path = self._inside(handles[0][1], name)
        handle = str(result)
        self._offsets[handle] = 0
        self._appending.discard(handle)
        if path is None:
            return
        if "O_APPEND" in words:
            self._appending.add(handle)
        if "O_CREAT" in words:
            yield Step("create", path)
        if "O_TRUNC" in words:
            yield Step("truncate", path, at=0)

    def _written(
        self, call: str, words: str, handles: list[tuple[str, str]], path: str,
        texts: list[bytes], result: int,
    ) -> Iterator[Step]:  # fmt: skip
        handle = handles[0][0]
        if call == "lseek":
            self._offsets[handle] = result
        elif call in {"fsync", "fdatasync"}:
            yield Step("flush", path)
        elif call == "ftruncate":
            yield Step("truncate", path, at=int(words.rpartition(",")[2]))
        elif call == "pwrite64":
            yield Step("write", path, data=texts[0][:result], at=int(words.rpartition(",")[2]))
        elif call in {"write", "writev"}:
            at = -1 if handle in self._appending else self._offsets[handle]
            yield Step("write", path, data=b"".join(texts)[:result], at=at)
            self._offsets[handle] = self._offsets.get(handle, 0) + result
        elif call == "sendfile" and result:
            source = handles[1][1]
            inside = self._inside("", source)
            begin = int(re.search(r"\[(\d+)\]", words)[1])  # type: ignore[index]
            at = self._offsets[handle]
            self._offsets[handle] = at + result
            if inside is None:
                data = Path(source).read_bytes()[begin : begin + result]
                yield Step("write", path, data=data, at=at)
            else:
                yield Step("copy", path, inside, data=f"{begin} {result}".encode(), at=at)
        else:
            assert call == "sendfile", f"{call} is not modelled"


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


@dataclass
class _File:
    content: bytearray = field(default_factory=bytearray)
    flushed: bytes = b""


_Tree = dict[str, "_File | None"]  # None is a folder


class _Change(NamedTuple):
    """A change of entries in folders, and the paths that it is about."""

    apply: Callable[[_Tree], None]
    paths: tuple[str, ...]


class Disk:
    """A folder on a disk that may lose its power."""

    def __init__(self, folder: Path) -> None:
        """Begin with what lies in the folder, all of it flushed."""
        self.now: _Tree = {".": None}
        for path in sorted(folder.rglob("*")) if folder.is_dir() else ():
            name = path.relative_to(folder).as_posix()
            if path.is_dir():
                self.now[name] = None
            else:
                data = path.read_bytes()
                self.now[name] = _File(bytearray(data), data)
        self.kept: _Tree = dict(self.now)
        self.pending: list[_Change] = []

    def do(self, step: Step) -> bool:
        """Do a step; tell whether it changed what a cut may leave."""
        match step.call:
            case "create":
                if step.path in self.now:
                    return False
                self._change(_put(step.path, _File()), step.path)
            case "mkdir":
                self._change(_put(step.path, None), step.path)
            case "rename":
                self._change(_renamed(step.path, step.other), step.path, step.other)
            case "unlink" | "rmdir":
                self._change(_gone(step.path), step.path)
            case "write" | "copy":
                self._file(step.path, self._write, step)
            case "truncate":
                self._file(step.path, lambda file, one: _resize(file.content, one.at), step)
            case "flush":
                self._flush(step.path)
        return step.call not in {"write", "copy", "truncate"}

    def _file(self, path: str, do: Callable[[_File, Step], None], step: Step) -> None:
        if file := self.now.get(path):  # a deleted file may still be written to
            do(file, step)

    def _write(self, file: _File, step: Step) -> None:
        data = step.data
        if step.call == "copy":
            begin, length = map(int, data.split())
            source = self.now[step.other]
            assert source is not None
            data = bytes(source.content[begin : begin + length])
        at = len(file.content) if step.at < 0 else step.at
        if len(file.content) < at:
            _resize(file.content, at)
        file.content[at : at + len(data)] = data

    def _change(self, apply: Callable[[_Tree], None], *paths: str) -> None:
        apply(self.now)
        self.pending.append(_Change(apply, paths))

    def _flush(self, path: str) -> None:
        entry = self.now.get(path)
        if entry is not None:
            entry.flushed = bytes(entry.content)
            return
        left = []
        for change in self.pending:
            if any(_folder_of(one) == path for one in change.paths):
                change.apply(self.kept)
            else:
                left.append(change)
        self.pending = left

    def after_a_cut(self) -> Iterator[Mapping[str, bytes | None]]:
        """Yield what may be there after a cut now."""
        yield _seen(self.kept, lambda file: file.flushed)
        yield _seen(self.now, lambda file: bytes(file.content))
        yield _seen(self.now, lambda file: file.flushed)
        for number, last in enumerate(self.pending):
            tree = dict(self.kept)
            needed = set(last.paths) | {str(Path(one).parent) for one in last.paths}
            chosen = [last]
            for change in reversed(self.pending[:number]):  # what it could not be done without
                if needed & set(change.paths):
                    needed |= set(change.paths) | {str(Path(one).parent) for one in change.paths}
                    chosen.insert(0, change)
            for change in chosen:
                change.apply(tree)
            yield _seen(tree, lambda file: file.flushed)


def _put(path: str, entry: _File | None) -> Callable[[_Tree], None]:
    def apply(tree: _Tree) -> None:
        tree[path] = entry

    return apply


def _renamed(path: str, other: str) -> Callable[[_Tree], None]:
    def apply(tree: _Tree) -> None:
        below = [name for name in tree if name == path or name.startswith(path + "/")]
        moved = {other + name.removeprefix(path): tree.pop(name) for name in below}
        tree.update(moved)

    return apply


def _gone(path: str) -> Callable[[_Tree], None]:
    def apply(tree: _Tree) -> None:
        tree.pop(path, None)

    return apply


def _folder_of(path: str) -> str:
    return Path(path).parent.as_posix()


def _resize(content: bytearray, length: int) -> None:
    del content[length:]
    content.extend(bytes(length - len(content)))


def _seen(tree: _Tree, read: Callable[[_File], bytes]) -> dict[str, bytes | None]:
    """Return what can be reached: files and folders whose own folders are there."""
    found: dict[str, bytes | None] = {}
    for name in sorted(tree, key=lambda one: one.count("/")):
        if name != "." and _folder_of(name) not in (*found, "."):
            continue
        entry = tree[name]
        found[name] = None if entry is None else read(entry)
    return found


def states(folder: Path, steps: Sequence[Step]) -> Iterator[Mapping[str, bytes | None]]:
    """Yield each different state that a cut may leave in a folder, which is as it was before."""
    disk = Disk(folder)
    seen: set[bytes] = set()

    def new() -> Iterator[Mapping[str, bytes | None]]:
        for state in disk.after_a_cut():
            hasher = hashlib.sha256()
            for name in sorted(state):
                content = state[name]
                hasher.update(repr((name, content is None, len(content or b""))).encode())
                hasher.update(content or b"")
            if hasher.digest() not in seen:
                seen.add(hasher.digest())
                yield state

    yield from new()
    for step in steps:
        if step.call == "flush":  # just before it, and just after it
            yield from new()
        if disk.do(step):
            yield from new()


def lay_out(state: Mapping[str, bytes | None], folder: Path) -> None:
    """Write a state into a new folder."""
    folder.mkdir(parents=True)
    for name, content in state.items():
        if content is None:
            (folder / name).mkdir(exist_ok=True)
        else:
            (folder / name).write_bytes(content)
