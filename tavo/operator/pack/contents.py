"""What goes into the file, and in which form.

Rules this module keeps:
- data is stored once for all targets, so it must be the same in all of them, metadata aside;
- code that a system's wheel has otherwise (where the libraries lie, on Windows) is kept for it;
- what is left out is named here with its reason;
- a module's form is decided by its name: `hot` is read on its own and fast; a solid block is small
  and slower; `source` is compiled when it is imported, which normal use never does.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tavo.operator.pack.archive import keep
from tavo.operator.pack.targets import PackError, Target

__all__ = [
    "OWN", "Contents", "collect", "form_of", "module_name", "native_name", "owner_of",
]  # fmt: skip

OWN = ("tavo", "marketplace_db", "signing")

_LEFT_OUT = (
    "bin/*", "*/__pycache__/*", ".complete", ".lock", "*/RECORD", "*/INSTALLER", "*/REQUESTED",
    "*/WHEEL", "*/direct_url.json", "*/top_level.txt", "*/sboms/*", "*/README.md", "*/README.rst",
    "*/.gitignore", "*/.agents/*", "*.sh",
    # sources of native modules, type stubs, tests
    "*.pyi", "*/py.typed", "*.c", "*.h", "*.pxd", "*.pyx", "*.cpp", "*/tests/*", "*/testsuite/*",
    "*/test_data/*",
    # declared by datasette, imported by none of its commands that we use
    "pip/*", "pip-*", "setuptools/*", "setuptools-*", "_distutils_hack/*", "pkg_resources/*",
    "*.pth",
    # what cryptography's wheel was built with; at run time it needs _cffi_backend only
    "pycparser/*", "pycparser-*", "cffi/*",
    # time zones by name; only UTC and the system's own are used
    "tzdata/*", "tzdata-*",
    # rich highlights nothing here; the table of lexers is enough for its imports
    "pygments/lexers/[!_]*",
    # its import of pygments and rich costs every https source 0.1 s; httpx does without
    "httpx/_main.py",
    # for other hosts than CPython, and for editors
    "urllib3/contrib/emscripten/*", "tree_sitter_python/queries/*",
)  # fmt: skip
_HOT = frozenset({
    *OWN, "annotated_doc", "certifi", "httptools", "msgspec", "packaging", "pathspec", "re2",
    "shellingham", "tree_sitter", "tree_sitter_python", "typer", "typing_extensions", "yaml",
})  # fmt: skip
# solid blocks: what verifies metadata, what talks to https sources, what serves pages, and those
# of our own parts that start once and then run long; each is unpacked when it is first needed
_COLD = {
    name: block
    for block, names in {
        "trust": ("cryptography", "securesystemslib", "tuf", "urllib3"),
        "http": ("anyio", "h11", "httpcore", "httpx", "idna"),
        "web": ("marketplace_db.web",),
        "proxy": ("tavo.proxy",),
        "logs": ("tavo.logs",),
        "authors": ("tavo.attack", "tavo.kit", "tavo.operator"),
    }.items()
    for name in names
}
_COLD_REST = "web"
_SOURCE_ONLY = (
    "*.__main__", "*.testing", "tavo.host.escapes.attacks.*", "tavo.operator.pack.*",
    "anyio.pytest_plugin", "anyio.itertools",
    "anyio.functools", "anyio._backends._trio", "asgiref.*", "click._termui_impl",
    "click.shell_completion", "cryptography.fernet", "cryptography.x509*",
    "cryptography.hazmat.asn1*", "cryptography.hazmat.primitives.serialization.pkcs*",
    "cryptography.hazmat.primitives.twofactor*", "datasette.cli", "dateutil*", "hupper.*",
    "idna.cli", "idna.codec",
    "idna.uts46data", "jinja2.ext", "jinja2.meta", "jinja2.nativetypes", "jinja2.sandbox",
    "markdown_it*", "mdurl*", "packaging.dependency_groups", "packaging.direct_url",
    "packaging.metadata", "packaging.pylock", "pygments*", "rich._emoji_codes", "rich._inspect",
    "rich.columns", "rich.json", "rich.layout", "rich.logging", "rich.markdown", "rich.prompt",
    "rich.syntax", "rich.traceback", "rich.tree", "sqlite_fts4*", "sqlite_utils*", "tabulate",
    "tuf.ngclient.requests_fetcher", "tuf.repository*", "typer.cli", "typer.rich_utils",
    "urllib3.contrib*", "uvicorn.protocols.http.*tt*_impl",
    "uvicorn.protocols.websockets.*_impl", "uvicorn.workers",
)  # fmt: skip
# imports that every scan would pay for: of a module whose names the standard library has as well
# since Python 3.11
_INSTEAD = {
    "msgspec/_utils.py": (b"from typing_extensions import", b"from typing import", 2),
    # it leads to tempfile and random; we never ask a grammar for its queries
    "tree_sitter_python/__init__.py": (
        b"from importlib.resources import files as _files\n",
        b"def _files(package):\n    from importlib.resources import files\n\n"
        b"    return files(package)\n",
        1,
    ),
}
# folders of libraries that are named after the distribution and not after the package
_LIBRARIES = {"google_re2": "re2"}
_NATIVE = re.compile(r"\.(so|pyd|dll|dylib)(\.[0-9.]+)?$")
_EXTENSION = re.compile(r"\.(cpython-\d+\w*-[\w-]+|abi3)\.so$|(\.cp\d+-\w+)?\.pyd$")


@dataclass(slots=True)
class Contents:
    """Paths relative to the root of all modules, by kind.

    `variants`: for a target, the sources that differ there.
    """

    sources: dict[str, Path] = field(default_factory=dict)
    variants: dict[Target, dict[str, Path]] = field(default_factory=dict)
    data: dict[str, Path] = field(default_factory=dict)
    natives: dict[Target, dict[str, Path]] = field(default_factory=dict)

    def add_tree(self, name: str, folder: Path) -> None:
        """Add every file below a folder as `name/...`, in place of what was there."""
        for path in sorted(folder.rglob("*")):
            relative = f"{name}/{path.relative_to(folder).as_posix()}"
            if path.is_file() and not _matches(relative, _LEFT_OUT):
                kind = self.sources if relative.endswith(".py") else self.data
                kind[relative] = path


def collect(trees: Mapping[Target, Path], own: Mapping[str, Path], work: Path) -> Contents:
    """Sort the files of all targets and of our own packages (top-level name to folder).

    What is changed is written to `work`. Raises PackError if a file that is stored once differs
    between targets, or one that is changed is not as expected.
    """
    contents = Contents()
    first: dict[str, bytes] = {}
    for target, tree in sorted(trees.items()):
        contents.natives[target] = {}
        for path in sorted(tree.rglob("*")):
            relative = path.relative_to(tree).as_posix()
            if not path.is_file() or _matches(relative, _LEFT_OUT):
                continue
            if _NATIVE.search(relative):
                contents.natives[target][relative] = path
                continue
            data = path.read_bytes().replace(b"\r\n", b"\n")
            same = first.setdefault(relative, data) == data
            if relative.endswith(".py"):
                contents.sources.setdefault(relative, path)
                if not same:
                    contents.variants.setdefault(target, {})[relative] = path
            elif relative.endswith(".dist-info/METADATA"):
                contents.data.setdefault(relative, _headers_of(data, relative, work))
            elif same or ".dist-info/" in relative:
                contents.data.setdefault(relative, path)
            else:
                raise PackError(f"{relative} of {target} differs from that of another target")
    for relative, (old, new, times) in _INSTEAD.items():
        if relative in contents.sources:
            text = contents.sources[relative].read_bytes()
            if text.count(old) != times:
                raise PackError(f"{relative}: expected {times} times {old.decode()!r}")
            changed = work / f"changed-{relative.replace('/', '.')}"
            contents.sources[relative] = keep(changed, text.replace(old, new))
    for name, folder in own.items():
        contents.add_tree(name, folder)
    return contents


def _headers_of(metadata: bytes, relative: str, work: Path) -> Path:
    """Return a file with the fields of a distribution's metadata, without its description."""
    file = work / f"changed-{relative.replace('/', '.')}"
    return keep(file, metadata.partition(b"\n\n")[0] + b"\n")


def module_name(relative: str) -> tuple[str, bool]:
    """Return the dotted name of a source file, and whether it is a package."""
    parts = relative.removesuffix(".py").split("/")
    if parts[-1] == "__init__":
        return ".".join(parts[:-1]), True
    return ".".join(parts), False


def native_name(relative: str) -> str | None:
    """Return the dotted name of an extension module, None for a library beside one."""
    stripped = _EXTENSION.sub("", relative)
    if stripped == relative:
        return None
    return stripped.replace("/", ".")


def owner_of(relative: str) -> str:
    """Return the package that loads a library: `google_re2.libs/x.dll` belongs to `re2`."""
    folder = relative.rpartition("/")[0]
    if folder.endswith((".libs", ".dylibs")):
        folder = folder.partition("/")[0].removesuffix(".libs").removesuffix(".dylibs")
    return _LIBRARIES.get(folder, folder).replace("/", ".")


def form_of(module: str) -> str:
    """Return `hot`, `source`, or the name of the solid block that holds the module's code."""
    if any(fnmatch.fnmatchcase(module, pattern) for pattern in _SOURCE_ONLY):
        return "source"
    top, _, rest = module.partition(".")
    part = f"{top}.{rest.partition('.')[0]}"
    if part in _COLD:
        return _COLD[part]
    return "hot" if top in _HOT else _COLD.get(top, _COLD_REST)


def _matches(relative: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(relative, pattern) for pattern in patterns)
