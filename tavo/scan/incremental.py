"""A scan that looks only at what it does not know from before.

Rules this module keeps:
- a result belongs to one content at one path, one set of rules, one build of the engine and one
  interpreter; where it depends on other files, also to their contents;
- kept is only what the next run would say again: nothing that was not looked at, nothing that ran
  out of time;
- what only several files together show belongs to the contents of all files of the scan, and to the
  name of the folder that they are in; when one of them changed, only files are looked at again that
  call what has become different;
- results come in the order of the files, whatever was known before; those of several files last;
- how results are kept, and who may have written them, is `tavo.kept`'s.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Generator, Iterable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

import msgspec
from msgspec.structs import replace

from tavo import __version__
from tavo.kept import Kept, content_key, path_of_text, text_of_path
from tavo.progress import Reporter
from tavo.scan.files import SourceFile, UnreadableError, read
from tavo.scan.languages import is_source
from tavo.scan.linking import Looked
from tavo.scan.modules import root_name
from tavo.scan.outline import NOTHING, Outline, decode_outline, encode_outline
from tavo.scan.results import FileResult, Hit
from tavo.scan.rule_source import RuleNote, RuleSource

__all__ = ["KeptResults", "scan_files"]

_FORMAT = 2
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
        if file.content is None:
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
            if file.content is None:
                self._kept.keep(file.path, file.relative, key, None)
        return known

    def keep(self, file: SourceFile, result: FileResult) -> None:
        """Note what this run said about a file, if the next one would say the same."""
        if not result.content:
            return
        key = self._keys[file.relative] = content_key(file.relative, "scan", result.content)
        if not (result.scanned and result.lasting):
            return
        try:
            text = _encoded(result)
        except UnicodeEncodeError:
            return
        self._used.update(hit.finding.rule_id for hit in result.hits)
        if file.content is None:
            self._kept.keep(file.path, file.relative, key, text)
        else:
            self._kept.keep_content(key, text)

    def close(self) -> None:
        """Write what is new."""
        used = tuple(self._rules.rule(name) for name in sorted(self._used))
        note = msgspec.json.encode(self._rules.noted(used), enc_hook=text_of_path)
        self._kept.save(note.decode())
        self._kept.close()

    def key_of(self, file: SourceFile) -> bytes:
        """Return the key of the content that a file was found or kept with, empty for neither."""
        return self._keys.get(file.relative, b"")

    def find_outline(self, file: SourceFile, content: bytes) -> Outline | None:
        """Return what a file tells others; None if that has to be found out."""
        text = self._kept.find_content(_outline_key(file, content))
        return decode_outline(text) if text is not None else None

    def keep_outline(self, file: SourceFile, content: bytes, outline: Outline) -> None:
        """Note what a file tells others."""
        text = encode_outline(outline).decode()
        self._kept.keep_content(_outline_key(file, content), text)

    def find_looked(self, key: bytes) -> Looked | None:
        """Return what came of looking at a file with what others offer, None if not known."""
        text = self._kept.find_content(key)
        if text is None:
            return None
        try:
            looked = msgspec.json.decode(text, type=Looked, dec_hook=path_of_text)
        except (msgspec.MsgspecError, ValueError):
            return None
        return looked if self._tells(looked.hits) else None

    def keep_looked(self, key: bytes, looked: Looked) -> None:
        """Note what came of looking at a file with what others offer."""
        if not looked.lasting:
            return
        self._used.update(hit.finding.rule_id for hit in looked.hits)
        self._kept.keep_content(key, msgspec.json.encode(looked, enc_hook=text_of_path).decode())

    def find_together(self, key: bytes) -> list[FileResult] | None:
        """Return what the same files showed together, None if that is not known."""
        text = self._kept.find_content(key)
        if text is None:
            return None
        try:
            results = msgspec.json.decode(text, type=list[FileResult], dec_hook=path_of_text)
        except (msgspec.MsgspecError, ValueError):
            return None
        return results if all(self._tells(one.hits) for one in results) else None

    def keep_together(self, key: bytes, results: Sequence[FileResult]) -> None:
        """Note what all files showed together."""
        self._used.update(hit.finding.rule_id for one in results for hit in one.hits)
        text = msgspec.json.encode(list(results), enc_hook=text_of_path).decode()
        self._kept.keep(self._root, PurePosixPath("."), key, text)

    def _tells(self, hits: Iterable[Hit]) -> bool:
        """Tell whether findings can be told: their rules were noted."""
        return all(self._rules.knows(hit.finding.rule_id) for hit in hits)

    def _read_note(self, text: str) -> bool:
        note = msgspec.json.decode(text, type=RuleNote, dec_hook=path_of_text)
        self._rules.remember(note)
        self._used.update(rule.id for rule in note.rules)
        return True

    def _decoded(self, text: str | None, path: PurePosixPath) -> FileResult | None:
        if text is None:
            return None
        if not text:
            return FileResult(path)
        try:
            result = msgspec.json.decode(text, type=FileResult, dec_hook=path_of_text)
        except (msgspec.MsgspecError, ValueError):
            return None
        if result.path != path or not self._tells(result.hits):
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
    root: str | None = None,
) -> Iterator[FileResult]:
    """Scan source files; yield one result each, in their order, then what several show together.

    `root` is the name of the folder that their paths begin at, if it is not the one they lie in.

    What `kept` knows is not looked at again, and what is new goes there. The processes of the scan
    are started before the first result is there. Closing the iterator stops the scan.
    """
    known = {} if kept is None else {
        number: result
        for number, file in enumerate(files)
        if (result := kept.find(file)) is not None
    }  # fmt: skip
    name = root_name(files) if root is None else root
    together = (
        _Together(files, rules, kept, name) if rules.follows_calls and len(files) > 1 else None
    )
    if together is not None and len(known) < len(files):
        known = {number: result for number, result in known.items() if together.knows(number)}
    shown: set[tuple[str, str, int, int]] = set()
    missing = [file for number, file in enumerate(files) if number not in known]
    reporter.begin("scanning", len(files))
    try:
        fresh = _scanned(missing, rules, jobs, largest, outlined=together is not None)
        first = next(fresh, None)
        for number, file in enumerate(files):
            result = known.get(number)
            if result is None:
                result = first if first is not None else next(fresh)
                first = None
                if kept is not None:
                    kept.keep(file, result)
            if together is not None:
                together.add(number, result)
            shown.update(hit.key for hit in result.hits)
            yield result
            reporter.advance()
        fresh.close()  # its processes need not wait for those that look across files
        if together is not None:
            yield from together.results(shown, jobs=jobs, largest=largest)
    finally:
        reporter.end()


class _Together:
    """What the files of a scan tell each other, and what comes of it."""

    def __init__(
        self, files: Sequence[SourceFile], rules: RuleSource, kept: KeptResults | None, root: str
    ) -> None:
        self._root = root
        self._files = files
        self._rules = rules
        self._kept = kept
        self._contents: dict[int, bytes] = {}
        self._outlines: dict[int, Outline] = {}
        self._lasting = True

    def knows(self, number: int) -> bool:
        """Tell whether it is known what a file tells others that an earlier run looked at."""
        if number not in self._outlines:
            file = self._files[number]
            if not is_source(file.relative):
                self._outlines[number] = NOTHING
            elif self._kept is not None:
                found = self._kept.find_outline(file, self._kept.key_of(file))
                if found is not None:
                    self._outlines[number] = found
        return number in self._outlines

    def add(self, number: int, result: FileResult) -> None:
        """Take over what a file shows by itself."""
        file = self._files[number]
        if not result.scanned:
            return  # it tells others nothing
        self._lasting &= result.lasting
        if result.content:
            content = content_key(file.relative, "scan", result.content)
        else:
            content = self._kept.key_of(file) if self._kept is not None else b""
        self._contents[number] = content
        if result.outline is not None:
            outline = decode_outline(result.outline) or NOTHING
            self._outlines[number] = outline
            if self._kept is not None and result.lasting:
                self._kept.keep_outline(file, content, outline)

    def results(
        self, shown: set[tuple[str, str, int, int]], *, jobs: int, largest: int
    ) -> Iterator[FileResult]:
        """Yield what only several files show."""
        key = self._key()
        if self._kept is not None and self._lasting:
            known = self._kept.find_together(key)
            if known is not None:
                yield from known
                return
        from tavo.scan.project import Outlined, scan_across

        outlined = [
            Outlined(self._files[number], content, self._outlines[number])
            for number, content in self._contents.items()
            if is_source(self._files[number].relative) and self.knows(number)
        ]
        results = []
        for result in scan_across(
            outlined, self._rules, root=self._root, known=shown, jobs=jobs, largest=largest,
            memory=self._kept,
        ):  # fmt: skip
            results.append(result)
            yield result
        if self._kept is not None and self._lasting and all(one.lasting for one in results):
            self._kept.keep_together(key, results)

    def _key(self) -> bytes:
        """Return what stands for all files that tell others something, and their folder's name."""
        whole = hashlib.sha256(f"{self._root}\0".encode("utf-8", "surrogatepass"))
        for number, content in self._contents.items():
            path = str(self._files[number].relative).encode("utf-8", "surrogatepass")
            whole.update(len(path).to_bytes(4) + path + content)
        return content_key(PurePosixPath("."), "together", whole.digest())


def _scanned(
    files: Sequence[SourceFile], rules: RuleSource, jobs: int, largest: int, *, outlined: bool
) -> Generator[FileResult, None, None]:
    if not files:
        return
    from tavo.scan.engine import scan  # the engine, which a scan of known files does without

    yield from scan(
        files, rules.loaded, rule_paths=rules.paths, jobs=jobs, largest=largest, outlined=outlined
    )


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
    whole.update((here / "covering.py").read_bytes())
    for part in _OWN_PARTS:
        for file in sorted((here / part).rglob("*.py")):
            whole.update(file.read_bytes())
    specs = [spec for library in _LIBRARIES if (spec := find_spec(library)) is not None]
    for folder in sorted({Path(spec.origin).parent.parent for spec in specs if spec.origin}):
        for installed in sorted(folder.glob("*.dist-info")):
            whole.update(f"{installed.name}\n".encode())
    return whole.hexdigest()


def _outline_key(file: SourceFile, content: bytes) -> bytes:
    return content_key(file.relative, "outline", content)


def _encoded(result: FileResult) -> str:
    """Return a result as text: empty for one that says nothing, as most do."""
    result = replace(result, outline=None)
    if not result.hits and not result.problems and not result.others:
        return ""
    return msgspec.json.encode(result, enc_hook=text_of_path).decode()
