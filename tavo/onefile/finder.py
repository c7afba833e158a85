"""Imports out of the single file: code from the file itself, native modules from a checked cache.

Rules this module keeps:
- code is read from the open file at offsets of the index and never from a folder;
- the cache is looked at only when a native module or a data file is needed, and no file of it is
  used that `tavo.onefile.checked` did not let pass;
- besides this file only the standard library is importable: no site-packages, no PYTHONPATH.

The index of one interpreter, made by `tavo.operator.pack.layout`:
    version, line, when, full  what this file is; build: sha256 of the list of what is unpacked
    modules    name -> (is package, where, offset, length)
               where: "" alone, compressed with zlib; "cold-*.xz" in that member, unpacked;
               "source" only as text, in the member of all sources; "text" alone, as text with zlib;
               "empty" a folder of modules without an __init__
    natives    platform -> {name -> (path, length, sha256)}
    variants   platform -> modules that its wheels have otherwise
    beside     platform -> {name -> ((path, length, sha256), ...)}  libraries that a module loads
    stored     platform -> {path -> its name in the archive}, where that is another
    data       package -> ((path, length, sha256), ...)
    members    name -> (offset, length)   of the whole file
    versions   distribution -> its dist-info folder
Units: offsets and lengths in bytes.
"""

from __future__ import annotations

import _thread
import os
import sys
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False  # of the module typing, which takes longer to import than all that runs here
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from importlib.metadata import Distribution
    from types import CodeType, ModuleType
    from typing import Any

    from tavo.onefile.checked import CheckedFiles

__all__ = ["FailedError", "Finder", "install", "say"]

_FAILED_EXIT = 3
_OPENSSL = ("OPENSSL_CONF", "OPENSSL_MODULES", "OPENSSL_ENGINES")
_PIECE = 1 << 18
_OWN = ("tavo", "marketplace_db", "signing")


class FailedError(SystemExit):
    """The file or its cache cannot be used. Raised while importing, so no handler swallows it."""

    def __init__(self, message: str, hint: str, *, code: int = _FAILED_EXIT) -> None:
        super().__init__(code)
        say(f"tavo: {message}", f"  {hint}")


def say(*lines: str) -> None:
    """Write lines for people, as far as there is anything to write to."""
    safe = ("".join(c if c.isprintable() else "\ufffd" for c in line) for line in lines)
    try:
        sys.stderr.write("\n".join(safe) + "\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass


class _Nowhere:
    """Stands for every folder of a package of ours: no search in it finds a module."""

    @staticmethod
    def find_spec(name: str, target: ModuleType | None = None) -> None:
        """Find nothing: what the file does not have does not exist."""

    @staticmethod
    def invalidate_caches() -> None:
        """Keep nothing."""


_NOWHERE = _Nowhere()


def install(archive: str, handle: int, index: dict[str, Any]) -> Finder:
    """Make the file the only source of modules besides the standard library."""
    finder = Finder(archive, handle, index)
    sys.pycache_prefix = None  # compiled code is not taken from a folder that a variable names
    sys.path[:] = [*_standard_library(), archive]
    for name in _OPENSSL:  # a configuration file can name a library to load
        os.environ.pop(name, None)
    known = finder.top_names
    for name in [name for name in sys.modules if name.partition(".")[0] in known]:
        if name != __name__:
            del sys.modules[name]  # imported by a .pth file before us
    # finders of .pth files, such as those of editable installations, would come before ours
    own = {"BuiltinImporter", "FrozenImporter", "PathFinder"}
    sys.meta_path[:] = [f for f in sys.meta_path if getattr(f, "__name__", "") in own]
    sys.meta_path.insert(2, finder)  # after built-in and frozen
    return finder


class Finder:
    """Finds and loads the modules of one file; also its `importlib.metadata` distributions."""

    def __init__(self, archive: str, handle: int, index: dict[str, Any]) -> None:
        self.archive = archive
        self.index = index
        self.compiled_here: list[str] = []
        self._handle = handle
        self._modules: dict[str, tuple[bool, str, int, int]] = index["modules"]
        here = platform()
        self._modules.update(index["variants"].get(here, {}))
        self.natives: dict[str, tuple[str, int, str]] = index["natives"].get(here, {})
        self.libraries: dict[str, tuple[tuple[str, int, str], ...]] = index["beside"].get(here, {})
        elsewhere = () if here in index["natives"] else index["natives"].values()
        self._foreign = frozenset(name for found in elsewhere for name in found)
        self._data: dict[str, tuple[tuple[str, int, str], ...]] = index["data"]
        self._cold: dict[str, dict[str, bytes]] = {}
        self._sources: dict[bool, dict[str, str]] = {}
        self._home = ""
        self._lock = _thread.allocate_lock()

    @property
    def top_names(self) -> frozenset[str]:
        """Return the first parts of all names that come from the file."""
        names = {name.partition(".")[0] for name in self._modules}
        names.update(name.partition(".")[0] for name in self.natives)
        return frozenset(names)

    # -- what the import system asks

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a module of this file; None for any other."""
        entry = self._modules.get(name)
        if entry is None:
            if name in self.natives:
                return self._native_spec(name)
            if self._foreign and name in self._foreign:
                from tavo.onefile.unpack import foreign

                raise foreign(self)
            return None
        spec = ModuleSpec(name, self, origin=self.get_filename(name), is_package=entry[0])  # type: ignore[arg-type]
        if entry[0]:
            folder = os.path.dirname(spec.origin or "")
            spec.submodule_search_locations = [folder]
            sys.path_importer_cache[folder] = _NOWHERE
        return spec

    @staticmethod
    def create_module(spec: ModuleSpec) -> None:
        """Let the import system make the module."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the code of a module, once the data files of its package have been checked."""
        name = module.__name__
        spec = module.__spec__
        assert spec is not None  # noqa: S101
        module.__file__ = spec.origin
        package = self._package_with_data(name)
        if package:
            self.files.check_package(package)
        exec(self.get_code(name), module.__dict__)

    # -- what inspection, tracebacks and the workers ask

    def is_package(self, name: str) -> bool:
        """Tell whether the module is a package. Raises ImportError for an unknown one."""
        return self._entry(name)[0]

    def get_filename(self, name: str) -> str:
        """Return where the module would lie: beside its data files, else inside the file."""
        relative = name.replace(".", os.sep)
        relative += os.sep + "__init__.py" if self._entry(name)[0] else ".py"
        return os.path.join(self.home if self._package_with_data(name) else self.archive, relative)

    def get_code(self, name: str) -> CodeType:
        """Return the code of a module, compiled by the build or else here and now."""
        import marshal

        _, where, offset, length = self._entry(name)
        if where == "empty":
            return compile("", name, "exec")
        import zlib

        try:
            if where in {"source", "text"}:
                self.compiled_here.append(name)
                relative = os.path.relpath(self.get_filename(name), self._base(name))
                if where == "source":
                    return compile(self.get_source(name), relative, "exec", 0, True)
                text = zlib.decompress(self._read(offset, length))
                return compile(text, relative, "exec", 0, True)
            if where:
                return marshal.loads(self._cold_code(name, where))  # type: ignore[no-any-return]
            packed = self._read(offset, length)
            return marshal.loads(zlib.decompress(packed))  # type: ignore[no-any-return]
        except (zlib.error, ValueError, EOFError, TypeError) as error:
            from tavo.onefile.unpack import damaged

            raise damaged(self, name) from error

    def get_source(self, name: str) -> str:
        """Return the source text of a module."""
        own = name.partition(".")[0] in _OWN
        if own not in self._sources:
            import json

            member = "source-tavo.xz" if own else "source-libs.xz"
            self._sources[own] = json.loads(b"".join(self._unpacked(member)))
        return self._sources[own].get(name, "")

    def get_data(self, path: str) -> bytes:
        """Return a data file or a library, after its check. Raises OSError if there is none."""
        relative = os.path.relpath(path, self.home).replace(os.sep, "/")
        if found := self.files.named(relative):
            with open(found, "rb") as stream:
                return stream.read()
        raise FileNotFoundError(path)

    def get_resource_reader(self, name: str) -> Any:
        """Return a reader of the files in a package, for `importlib.resources`."""
        from importlib.readers import FileReader
        from types import SimpleNamespace

        return FileReader(SimpleNamespace(path=self.get_filename(name)))  # type: ignore[arg-type]

    def find_distributions(self, context: Any = None) -> Iterator[Distribution]:
        """Yield the distributions in this file, for `importlib.metadata`."""
        from tavo.onefile.distributions import distributions

        return distributions(self, getattr(context, "name", None))

    # -- the cache

    @property
    def home(self) -> str:
        """Return the folder with the native modules and data files; fill it on the first run."""
        if not self._home:
            from tavo.onefile.cache import find_home

            self._home = find_home(self)
        return self._home

    @property
    def files(self) -> CheckedFiles:
        """Return the files of the cache, as far as they may be used: one object for all threads."""
        if "_files" not in self.__dict__:
            from tavo.onefile.checked import CheckedFiles

            self.__dict__.setdefault("_files", CheckedFiles(self))
        found: CheckedFiles = self.__dict__["_files"]
        return found

    def member(self, name: str) -> Iterator[bytes]:
        """Yield a member of the file in pieces."""
        offset, length = self.index["members"][name]
        while length > 0:
            piece = self._read(offset, min(length, _PIECE))
            yield piece
            offset, length = offset + len(piece), length - len(piece)

    def close(self) -> None:
        """Close the file, so that it can be replaced where open files cannot (Windows)."""
        os.close(self._handle)
        self._handle = -1

    # -- inside

    def _entry(self, name: str) -> tuple[bool, str, int, int]:
        try:
            return self._modules[name]
        except KeyError:
            raise ImportError(f"{self.archive} holds no module {name}", name=name) from None

    def _base(self, name: str) -> str:
        return self.home if self._package_with_data(name) else self.archive

    def _package_with_data(self, name: str) -> str:
        while name:
            if name in self._data or name in self.libraries:
                return name
            name = name.rpartition(".")[0]
        return ""

    def _native_spec(self, name: str) -> ModuleSpec | None:
        from importlib.machinery import ExtensionFileLoader
        from importlib.util import spec_from_file_location

        path = self.files.native(name)

        class Native(ExtensionFileLoader):
            """Says what to do when the system does not load the module."""

            def create_module(self, spec: ModuleSpec) -> ModuleType:
                try:
                    return super().create_module(spec)
                except ImportError as error:
                    from tavo.onefile.unpack import cannot_load

                    raise cannot_load(path, error) from error

        return spec_from_file_location(name, path, loader=Native(name, path))

    def _read(self, offset: int, length: int) -> bytes:
        if self._handle < 0:
            self._handle = os.open(self.archive, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        if hasattr(os, "pread"):
            data = os.pread(self._handle, length, offset)
        else:
            with self._lock:
                os.lseek(self._handle, offset, 0)
                data = os.read(self._handle, length)
        if len(data) != length:
            raise FailedError(
                f"{self.archive}: became shorter while it ran",
                "Start it again, or download it again.",
            )
        return data

    def _cold_code(self, name: str, block: str) -> bytes:
        """Return marshalled code of a solid block, which holds that of all interpreters, mixed."""
        if block not in self._cold:
            wanted = sorted(
                (offset, length, name)
                for name, (_, where, offset, length) in self._modules.items()
                if where == block
            )
            found = {}
            pieces = self._unpacked(block)
            start, data = 0, b""
            for offset, length, cold in wanted:
                while start + len(data) < offset + length:
                    piece = next(pieces)
                    if start + len(data) > offset:
                        data += piece
                    else:
                        start, data = start + len(data), piece
                found[cold] = data[offset - start : offset - start + length]
            for _ in pieces:
                pass  # the checksum of the block is at its end
            self._cold[block] = found  # whole, for other threads
        return self._cold[block][name]

    def _unpacked(self, member: str) -> Iterator[bytes]:
        import lzma

        decompressor = lzma.LZMADecompressor()
        try:
            for piece in self.member(member):
                if data := decompressor.decompress(piece):
                    yield data
            whole = decompressor.eof
        except (lzma.LZMAError, EOFError):
            whole = False
        if not whole:
            from tavo.onefile.unpack import damaged

            raise damaged(self, member)


def platform() -> str:
    """Return the name of this machine's platform in the index, such as `linux-x86_64`."""
    system = {"darwin": "macos", "win32": "windows"}.get(sys.platform, sys.platform)
    if "musl" in getattr(sys.implementation, "_multiarch", ""):
        system = "linux-musl"  # other libraries than those of the file
    if sys.platform == "win32":
        machine = os.environ.get("PROCESSOR_ARCHITECTURE", "")
    else:
        machine = os.uname().machine
    machine = {"AMD64": "x86_64", "ARM64": "arm64"}.get(machine, machine)
    return f"{system}-{machine}"


def _standard_library() -> Iterable[str]:
    """Return the entries of sys.path that belong to the interpreter itself."""
    version = f"python{sys.version_info[0]}{sys.version_info[1]}.zip"
    own = {getattr(sys, "_stdlib_dir", None)}
    for prefix in (sys.base_prefix, sys.base_exec_prefix):
        if sys.platform == "win32":
            own.update((prefix, *(os.path.join(prefix, n) for n in ("Lib", "DLLs", version))))
        else:
            folder = os.path.join(prefix, sys.platlibdir)
            named = os.path.join(folder, f"python{sys.version_info[0]}.{sys.version_info[1]}")
            own.update((os.path.join(folder, version), named, os.path.join(named, "lib-dynload")))
    return [entry for entry in sys.path if entry in own]
