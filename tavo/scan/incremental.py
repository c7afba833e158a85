"""A scan that looks only at what it does not know from before.

Rules this module keeps:
- a result belongs to one content at one path, one set of rules, one build of the engine and one
  interpreter; where it depends on other files, also to their contents;
- kept is only what the next run would say again: nothing that was not looked at, nothing that ran
  out of time;
- what only several files together show belongs to the contents of all files of the scan: when one
  of them changed, it is looked for again in all of them;
- results come in the order of the files, whatever was known before; those of several files last;
- how results are kept, and who may have written them, is `tavo.kept`'s.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from tavo import __version__
from tavo.kept import Kept, content_key
from tavo.progress import Reporter
from tavo.scan.files import SourceFile, UnreadableError, read
from tavo.scan.results import FileResult
from tavo.scan.rule_source import RuleNote, RuleSource

__all__ = ["KeptResults", "scan_files"]

_FORMAT = 1
_OWN_PARTS = ("scan", "detect", "plugins")
_LIBRARIES = ("tree_sitter", "re2", "msgspec")


class KeptResults:
    """The results of earlier scans with these rules, below one root folder."""

    def __init__(self, folder: Path, rules: RuleSource, *, root: Path, largest: int) -> None:
        """Open what is there. `largest` is the size of the largest file that is read."""
        self._rules = rules
        self._root = root
        self._largest = largest
        self._used: set[str] = set()
        self._contents: dict[PurePosixPath, bytes] = {}
        self._keys: dict[PurePosixPath, bytes] = {}
        name = hashlib.sha256(f"{_FORMAT} {engine_digest()} {rules.digest}".encode()).hexdigest()
        self._kept = Kept(folder / f"{name}.db", root=root, usable=self._read_note)

    def find(self, file: SourceFile) -> FileResult | None:
        """Return what an earlier run said about a file, or None if it has to be looked at."""
        if file.problem or not self._kept.is_there:
            return None
        known = self._decoded(self._kept.find(file.path, file.relative), file.relative)
        if known is not None:
            self._keys[file.relative] = self._kept.key_of(file.relative)
            return known
        try:
            content = hashlib.sha256(read(file, largest=self._largest)).digest()
        except UnreadableError:
            return None
        key = content_key(file.relative, "scan", content)
        known = self._decoded(self._kept.find_content(key), file.relative)
        if known is not None:
            self._keys[file.relative] = key
            self._kept.keep(file.path, file.relative, key, None)
        return known

    def keep(self, file: SourceFile, result: FileResult) -> None:
        """Note what this run said about a file, if the next one would say the same."""
        if result.content:
            self._keys[file.relative] = content_key(file.relative, "scan", result.content)
        if not (result.scanned and result.lasting and result.content):
            return
        try:
            text = _encoded(result)
        except UnicodeEncodeError:
            return
        key = content_key(file.relative, "scan", result.content)
        self._used.update(hit.finding.rule_id for hit in result.hits)
        self._kept.keep(file.path, file.relative, key, text)

    def close(self) -> None:
        """Write what is new."""
        used = tuple(self._rules.rule(name) for name in sorted(self._used))
        note = msgspec.json.encode(self._rules.noted(used), enc_hook=_text_of)
        self._kept.save(note.decode())
        self._kept.close()

    def find_together(self, files: Sequence[SourceFile]) -> list[FileResult] | None:
        """Return what the same files showed together, None if that is not known."""
        text = self._kept.find_content(self._key_together(files))
        if text is None:
            return None
        try:
            results = msgspec.json.decode(text, type=list[FileResult], dec_hook=_path_of)
        except (msgspec.MsgspecError, ValueError):
            return None
        known = all(self._rules.knows(hit.finding.rule_id) for one in results for hit in one.hits)
        return results if known else None

    def keep_together(self, files: Sequence[SourceFile], results: Sequence[FileResult]) -> None:
        """Note what all files showed together."""
        try:
            text = msgspec.json.encode(list(results), enc_hook=_text_of).decode()
        except UnicodeEncodeError:
            return
        self._used.update(hit.finding.rule_id for one in results for hit in one.hits)
        self._kept.keep(self._root, PurePosixPath("."), self._key_together(files), text)

    def _key_together(self, files: Sequence[SourceFile]) -> bytes:
        whole = hashlib.sha256()
        for file in files:
            path = str(file.relative).encode("utf-8", "surrogatepass")
            whole.update(len(path).to_bytes(4) + path + self._keys.get(file.relative, b"") + b"\n")
        return content_key(PurePosixPath("."), "together", whole.digest())

    def _read_note(self, text: str) -> bool:
        note = msgspec.json.decode(text, type=RuleNote, dec_hook=_path_of)
        self._rules.remember(note)
        self._used.update(rule.id for rule in note.rules)
        return True

    def _decoded(self, text: str | None, path: PurePosixPath) -> FileResult | None:
        if text is None:
            return None
        if not text:
            return FileResult(path)
        try:
            result = msgspec.json.decode(text, type=FileResult, dec_hook=_path_of)
        except (msgspec.MsgspecError, ValueError):
            return None
        if result.path != path or not all(
            self._rules.knows(hit.finding.rule_id) for hit in result.hits
        ):
            return None
        if any(self._content_of(other.path) != other.content for other in result.others):
            return None
        return result

    def _content_of(self, path: PurePosixPath) -> bytes:
        """Return SHA-256 of a file of the scan as it is now, empty where it cannot be read."""
        if path not in self._contents:
            file = SourceFile(self._root / path, path)
            try:
                content = hashlib.sha256(read(file, largest=self._largest)).digest()
            except UnreadableError:
                content = b""
            self._contents[path] = content
        return self._contents[path]


def scan_files(
    files: Sequence[SourceFile],
    rules: RuleSource,
    *,
    kept: KeptResults | None,
    jobs: int,
    largest: int,
    reporter: Reporter,
) -> Iterator[FileResult]:
    """Scan source files; yield one result each, in their order.

    What `kept` knows is not looked at again, and what is new goes there. The processes of the scan
    are started before the first result is there. Closing the iterator stops the scan.
    """
    known = {} if kept is None else {
        number: result
        for number, file in enumerate(files)
        if (result := kept.find(file)) is not None
    }  # fmt: skip
    shown: set[tuple[str, str, int, int]] = set()
    missing = [file for number, file in enumerate(files) if number not in known]
    reporter.begin("scanning", len(files))
    try:
        fresh = _scanned(missing, rules, jobs=jobs, largest=largest)
        first = next(fresh, None)
        for number, file in enumerate(files):
            result = known.get(number)
            if result is None:
                result = first if first is not None else next(fresh)
                first = None
                if kept is not None:
                    kept.keep(file, result)
            shown.update(hit.key for hit in result.hits)
            yield result
            reporter.advance()
        if rules.follows_calls and len(files) > 1:
            yield from _together(files, rules, kept=kept, largest=largest, shown=shown)
    finally:
        reporter.end()


def _together(
    files: Sequence[SourceFile],
    rules: RuleSource,
    *,
    kept: KeptResults | None,
    largest: int,
    shown: set[tuple[str, str, int, int]],
) -> Iterator[FileResult]:
    """Yield what only several files together show."""
    if kept is not None and (known := kept.find_together(files)) is not None:
        yield from known
        return
    from tavo.scan.project import scan_across

    results = []
    for result in scan_across(files, rules.loaded, largest=largest, known=shown):
        results.append(result)
        yield result
    if kept is not None:
        kept.keep_together(files, results)


def _scanned(
    files: Sequence[SourceFile], rules: RuleSource, *, jobs: int, largest: int
) -> Iterator[FileResult]:
    if not files:
        return
    from tavo.scan.engine import scan_each  # the engine, which a scan of known files does without

    yield from scan_each(files, rules.loaded, rule_paths=rules.paths, jobs=jobs, largest=largest)


def engine_digest() -> str:
    """Return a digest of all code that decides about results: ours, libraries, interpreter."""
    from tavo.onefile import running

    whole = hashlib.sha256(f"{__version__} {sys.implementation.cache_tag} {sys.platform}".encode())
    finder = running()
    if finder is not None:
        whole.update(finder.index["build"].encode())
        for piece in finder.member("source-tavo.xz"):
            whole.update(piece)
        for name, folder in sorted(finder.index["versions"].items()):
            whole.update(f"{name} {folder}\n".encode())
        return whole.hexdigest()
    here = Path(__file__).parent.parent
    for part in _OWN_PARTS:
        for file in sorted((here / part).rglob("*.py")):
            whole.update(file.read_bytes())
    specs = [spec for library in _LIBRARIES if (spec := find_spec(library)) is not None]
    for folder in sorted({Path(spec.origin).parent.parent for spec in specs if spec.origin}):
        for installed in sorted(folder.glob("*.dist-info")):
            whole.update(f"{installed.name}\n".encode())
    return whole.hexdigest()


def _encoded(result: FileResult) -> str:
    """Return a result as text: empty for one that says nothing, as most do."""
    if not result.hits and not result.problems and not result.others:
        return ""
    return msgspec.json.encode(result, enc_hook=_text_of).decode()


def _text_of(value: Any) -> str:
    if isinstance(value, PurePosixPath | Path):
        return str(value)
    raise TypeError(f"{type(value)} is not written")


def _path_of(kind: type, value: Any) -> Any:
    if kind is PurePosixPath or kind is Path:
        return kind(value)
    raise TypeError(f"{kind} is not read")
