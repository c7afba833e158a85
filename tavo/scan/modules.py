"""Which file of a scan an import names.

Rules this module keeps:
- only files of the scan are found, by their paths; nothing is looked up on the machine;
- an absolute Python import is looked for from the importing file's folder upwards, so that a scan
  of a folder with several projects keeps them apart; of several matches the nearest one counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import PurePosixPath

from tavo.scan.files import SourceFile
from tavo.scan.languages import language_at

__all__ = ["Modules", "root_name"]

_ECMA = (".ts", ".tsx", ".mts", ".cts", ".js", ".jsx", ".mjs", ".cjs")
_COMPILED = {".js": (".ts", ".tsx"), ".mjs": (".mts",), ".cjs": (".cts",), ".jsx": (".tsx",)}
_MOST_PARENTS = 12


def root_name(files: Sequence[SourceFile]) -> str:
    """Return the name of the folder that the files' paths begin at: it may be a package itself."""
    if not files:
        return ""
    root = files[0].path
    for _ in files[0].relative.parts:
        root = root.parent
    return root.name


class Modules:
    """The files of a scan by the names under which others import them."""

    def __init__(self, files: Iterable[PurePosixPath], *, root: str = "") -> None:
        """`root` is the name of the scanned folder, which may be a package itself."""
        self._files = frozenset(str(file) for file in files)
        self._root = root
        self._names = {root}
        for file in self._files:
            if file.endswith(".py"):
                self._names.update(file[:-3].split("/"))
        # A package of a workspace is imported by its name, which is that of its folder as a rule.
        self._folders: dict[str, str] = {}
        for file in sorted(self._files):
            parts = file.split("/")
            if parts[-1] in {"package.json", "index.ts", "index.js"} or "src" in parts:
                for at, part in enumerate(parts[:-1]):
                    self._folders.setdefault(part, "/".join(parts[: at + 1]))

    def find(self, name: str, importer: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
        """Yield the files that an imported name can be in, each with the name there.

        The name there is empty when the import brings the whole module.
        """
        if language_at(importer) == "python":
            yield from self._python(name, importer)
        else:
            yield from self._ecma(name, importer)

    def _python(self, name: str, importer: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
        dots = len(name) - len(name.lstrip("."))
        parts = [part for part in name[dots:].split(".") if part]
        if not dots and parts and parts[0] not in self._names:
            return  # most imports: libraries
        bases: list[PurePosixPath] = []
        if dots:
            base = importer.parent
            for _ in range(dots - 1):
                base = base.parent
            bases = [base]
        else:
            bases = [importer.parent, *importer.parent.parents][:_MOST_PARENTS]
            bases += [base / "src" for base in bases]
        for base in bases:
            found = list(self._below(str(base), parts))
            if not found and not dots and len(parts) > 1 and parts[0] == self._root:
                found = list(self._below(".", parts[1:]))
            if found:
                yield from found
                return

    def _below(self, base: str, parts: list[str]) -> Iterator[tuple[PurePosixPath, str]]:
        start = [] if base == "." else [base]
        for size in range(len(parts), max(len(parts) - 3, -1), -1):
            path, rest = "/".join([*start, *parts[:size]]), ".".join(parts[size:])
            candidates = [f"{path}/__init__.py" if path else "__init__.py"]
            if size:
                candidates.insert(0, f"{path}.py")
            for candidate in candidates:
                if candidate in self._files:
                    yield PurePosixPath(candidate), rest

    def _ecma(self, name: str, importer: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
        for module, rest in self._splits(name):
            if module.startswith("."):
                base: PurePosixPath | None = _joined(importer.parent, module)
            else:
                base = self._package(module)
            if base is None:
                continue
            for candidate in self._candidates(base):
                if str(candidate) in self._files:
                    yield candidate, rest
                    return

    def _splits(self, name: str) -> Iterator[tuple[str, str]]:
        yield name, ""
        module = name
        for _ in range(2):
            module, dot, _ = module.rpartition(".")
            if not dot or not module.strip("./"):
                return
            yield module, name[len(module) + 1 :]

    def _package(self, module: str) -> PurePosixPath | None:
        if module.startswith(("@/", "~/")):
            inner = module[2:]
            return PurePosixPath("src") / inner if "src" in self._folders else PurePosixPath(inner)
        scope, _, rest = module.partition("/") if not module.startswith("@") else ("", "", module)
        if not scope:
            parts = module.split("/")
            if len(parts) < 2:
                return None
            scope, rest = parts[1], "/".join(parts[2:])
        folder = self._folders.get(scope)
        return PurePosixPath(folder) / rest if folder is not None else None

    def _candidates(self, base: PurePosixPath) -> Iterator[PurePosixPath]:
        yield base
        for suffix in _COMPILED.get(base.suffix, ()):
            yield base.with_suffix(suffix)
        for suffix in _ECMA:
            yield base.with_name(base.name + suffix) if base.name else base
        for folder in (base, base / "src"):
            for suffix in _ECMA:
                yield folder / f"index{suffix}"


def _joined(folder: PurePosixPath, relative: str) -> PurePosixPath | None:
    parts = list(folder.parts)
    for part in relative.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in {"", "."}:
            parts.append(part)
    return PurePosixPath(*parts)
