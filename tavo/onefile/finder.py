"""Imports out of the single file: code from the file itself, native modules from a checked cache.

Rules this module keeps:
- code is read from the open file at offsets of the index and never from a folder;
- a native module, and the data files of a package, are hashed before their first use in this
  process; a wrong one, and one that is there besides, ends the process with code 5;
- the cache is looked at only when a native module or a data file is needed;
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
import stat
import sys
from importlib.machinery import ModuleSpec

TYPE_CHECKING = False  # of the module typing, which takes longer to import than all that runs here
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from importlib.metadata import Distribution
    from types import CodeType, ModuleType
    from typing import Any

__all__ = ["FailedError", "Finder", "TamperedError", "install", "say"]

_REFUSED_EXIT = 5
_FAILED_EXIT = 3
_OPENSSL = ("OPENSSL_CONF", "OPENSSL_MODULES", "OPENSSL_ENGINES")
_PIECE = 1 << 18
_PLAIN_FILE = os.O_RDONLY
for _flag in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK"):
    _PLAIN_FILE |= getattr(os, _flag, 0)
_OWN = ("tavo", "marketplace_db", "signing")


def _only_ours(status: os.stat_result) -> bool:
    """Tell whether only this user, or root, may change what has this status."""
    if not hasattr(os, "geteuid"):
        return True
    return status.st_uid in {os.geteuid(), 0} and not status.st_mode & 0o022


class TamperedError(SystemExit):
    """A file of the cache is not what this tavo put there. No handler of errors may swallow it."""

    def __init__(self, path: str, home: str, found: str) -> None:
        super().__init__(_REFUSED_EXIT)
        say(
            f"tavo: refused: {path}: {found}",
            "  Somebody or something changed the unpacked files, or put them there first. Find out"
            f" who, then delete {home} and run the command again.",
        )


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
        self._good: set[str] = set()
        self._paths: frozenset[str] = frozenset()
        self._home = ""
        self._refused: TamperedError | None = None
        self._lock = _thread.allocate_lock()

    @property
    def top_names(self) -> frozenset[str]:
        """Return the first parts of all names that come from the file."""
        names = {name.partition(".")[0] for name in self._modules}
        names.update(name.partition(".")[0] for name in self.natives)
        return frozenset(names)

    @property
    def paths(self) -> frozenset[str]:
        """Return the paths of everything that is unpacked here."""
        if not self._paths:
            groups = (*self._data.values(), *self.libraries.values(), self.natives.values())
            self._paths = frozenset(file[0] for files in groups for file in files)
        return self._paths

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
        if package and package not in self._good:
            for file in (*self._data.get(package, ()), *self.libraries.get(package, ())):
                self.checked(*file)
            self._check_folder_of(package)
            self._good.add(package)
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
        libraries = self.libraries.values()
        for files in (*self._data.values(), *libraries):
            for file in files:
                if file[0] == relative:
                    if files in libraries:
                        self._check_beside(relative)
                    with open(self.checked(*file), "rb") as stream:
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

    def checked(self, relative: str, length: int, digest: str) -> str:
        """Return the path of a file of the cache that was just hashed, or has been before."""
        path = os.path.join(self.home, *relative.split("/"))
        if self._refused is not None:
            raise self._refused  # whatever swallowed it the first time
        if path in self._good:
            return path
        found = self.hash_of(path, length)
        if found is None:
            from tavo.onefile.cache import repair

            repair(self, path)
            found = self.hash_of(path, length)
        if found != digest:
            self._refuse(path, f"sha256 is {found}, this file of tavo has {digest}")
        self._check_way_to(os.path.dirname(path))
        self._good.add(path)
        return path

    @staticmethod
    def hash_of(path: str, length: int) -> str | None:
        """Return the sha256 of a file of ours, None if it is not there, or what is wrong."""
        from hashlib import sha256

        try:
            handle = os.open(path, _PLAIN_FILE)
            try:
                status = os.fstat(handle)
                if not stat.S_ISREG(status.st_mode) or status.st_size != length:
                    return f"not looked at (no plain file of {length} bytes)"
                if not _only_ours(status):
                    return "not looked at (others may change it)"
                hasher = sha256()
                while piece := os.read(handle, _PIECE):
                    hasher.update(piece)
            finally:
                os.close(handle)
        except FileNotFoundError:
            return None
        except OSError as error:  # a link, a folder, a pipe, or not readable
            return f"not to be had ({error.strerror})"
        return hasher.hexdigest()

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

    def _refuse(self, path: str, found: str) -> None:
        self._refused = TamperedError(path, self.home, found)
        raise self._refused

    def _check_way_to(self, folder: str) -> None:
        """Refuse folders between the home and a file that others may change, and links."""
        while folder != self.home and folder not in self._good:
            status = os.lstat(folder)
            if not stat.S_ISDIR(status.st_mode) or not _only_ours(status):
                self._refuse(folder, "is a link, or others may change it")
            self._good.add(folder)
            folder = os.path.dirname(folder)

    def _check_folder_of(self, package: str) -> None:
        """Refuse what lies beside the files of a package: a template is code, a library is loaded.

        What is missing of the files that are checked by others, such as the signatures of the
        embedded repository, is put back.
        """
        prefix = package.replace(".", "/") + "/"
        expected = {path for path in self.paths if path.startswith(prefix)}
        for inside, folders, names in os.walk(os.path.join(self.home, *package.split("."))):
            links = [name for name in folders if os.path.islink(os.path.join(inside, name))]
            for name in (*names, *links):
                path = os.path.join(inside, name)
                relative = os.path.relpath(path, self.home).replace(os.sep, "/")
                if relative not in expected:
                    self._refuse(path, "was not put there by this file of tavo")
                expected.remove(relative)
        if expected:
            from tavo.onefile.cache import repair

            repair(self, os.path.join(self.home, *min(expected).split("/")))
        for path, _, _ in self.libraries.get(package, ()):
            self._check_beside(path)

    def _check_beside(self, relative: str) -> None:
        """Refuse what lies in the folder of a native file: the system looks there for libraries."""
        folder = os.path.dirname(os.path.join(self.home, *relative.split("/")))
        if f"{folder}/*" in self._good:
            return
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            known = os.path.relpath(path, self.home).replace(os.sep, "/")
            if known not in self.paths and not os.path.isdir(path):
                self._refuse(path, "was not put there by this file of tavo")
        self._good.add(f"{folder}/*")

    def _native_spec(self, name: str) -> ModuleSpec | None:
        from importlib.machinery import ExtensionFileLoader
        from importlib.util import spec_from_file_location

        for file in self.libraries.get(name, ()):
            self.checked(*file)
        path = self.checked(*self.natives[name])
        for file in (*self.libraries.get(name, ()), self.natives[name]):
            self._check_beside(file[0])

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
