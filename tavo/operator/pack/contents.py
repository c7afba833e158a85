"""What goes into the file, and in which form.

Rules this module keeps:
- pure code and data are stored once for all targets, so they must be the same in all of them;
  what differs on purpose is named here;
- what is left out is named here with its reason;
- a module's form is decided by its package: `hot` is read on its own and fast, `cold` lies in one
  solid block, `source` is compiled when it is imported, which normal use never does.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tavo.operator.pack.targets import PackError, Target

__all__ = ["OWN", "Contents", "collect", "form_of"]

OWN = ("tavo", "marketplace_db", "signing")

_LEFT_OUT = (
    "bin/*", "*/__pycache__/*", ".complete", ".lock", "*/RECORD", "*/INSTALLER", "*/REQUESTED",
    "*/WHEEL", "*/direct_url.json", "*/top_level.txt", "*/sboms/*", "*/README.md", "*/README.rst", "*/.gitignore", "*/.agents/*",
    "*.sh", "urllib3/contrib/emscripten/*", "tree_sitter_python/queries/*",
    # sources of native modules, type stubs, tests
    "*.pyi", "*/py.typed", "*.c", "*.h", "*.pxd", "*.pyx", "*.cpp", "*/tests/*", "*/testsuite/*", "*/test_data/*",
    # declared by datasette, imported by none of its commands that we use
    "pip/*", "pip-*", "setuptools/*", "setuptools-*", "_distutils_hack/*", "pkg_resources/*", "*.pth",
    # what cryptography's wheel was built with; at run time it needs _cffi_backend only
    "pycparser/*", "pycparser-*", "cffi/*",
    # time zones by name; only UTC and the system's own are used
    "tzdata/*", "tzdata-*",
    # rich highlights nothing here; the table of lexers is enough for its imports
    "pygments/lexers/[!_]*",
)  # fmt: skip
# the same code in every wheel, but for line ends or a stamp of the build: the first one is taken
_MAY_DIFFER = (
    "markupsafe/*.py", "re2/__init__.py", "tree_sitter/__init__.py", "msgspec/_version.py",
    "*.dist-info/*",
)  # fmt: skip
_HOT = frozenset({
    *OWN, "annotated_doc", "anyio", "certifi", "cryptography", "h11", "httpcore", "httpx", "idna",
    "msgspec", "packaging", "pathspec", "re2", "securesystemslib", "shellingham", "tree_sitter",
    "tree_sitter_python", "tuf", "typer", "typing_extensions", "urllib3", "yaml",
})  # fmt: skip
_SOURCE_ONLY = (
    "*.__main__", "anyio._backends._trio", "anyio.pytest_plugin", "anyio.abc._testing",
    "urllib3.contrib.emscripten*", "urllib3.http2*", "cryptography.x509.*", "typer.cli", "httpx._main",
    "httpcore._backends.trio", "httpcore._async.http2", "httpcore._sync.http2",
    "pygments.formatters.*", "pygments.styles.[!_]*", "tavo.operator.pack.*", "hupper.*",
)  # fmt: skip
_NATIVE = re.compile(r"\.(so|pyd|dll|dylib)(\.[0-9.]+)?$")
_EXTENSION = re.compile(r"\.(cpython-\d+\w*-[\w-]+|abi3|cp\d+-\w+)?\.?(so|pyd)$")


@dataclass(slots=True)
class Contents:
    """Paths relative to the root of all modules, by kind."""

    sources: dict[str, Path] = field(default_factory=dict)
    data: dict[str, Path] = field(default_factory=dict)
    natives: dict[Target, dict[str, Path]] = field(default_factory=dict)

    def add_tree(self, name: str, folder: Path) -> None:
        """Add every file below a folder as `name/...`, in place of what was there."""
        for path in sorted(folder.rglob("*")):
            relative = f"{name}/{path.relative_to(folder).as_posix()}"
            if path.is_file() and not _matches(relative, _LEFT_OUT):
                kind = self.sources if relative.endswith(".py") else self.data
                kind[relative] = path


def collect(trees: Mapping[Target, Path], own: Mapping[str, Path]) -> Contents:
    """Sort the files of all targets and of our own packages (top-level name to folder).

    Raises PackError if a file that is stored once differs between targets.
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
            data = path.read_bytes()
            if first.setdefault(relative, data) != data and not _matches(relative, _MAY_DIFFER):
                raise PackError(f"{relative} of {target} differs from that of another target")
            kind = contents.sources if relative.endswith(".py") else contents.data
            kind.setdefault(relative, path)
    for name, folder in own.items():
        contents.add_tree(name, folder)
    return contents


def module_name(relative: str) -> tuple[str, bool]:
    """Return the dotted name of a source file, and whether it is a package."""
    parts = relative.removesuffix(".py").split("/")
    if parts[-1] == "__init__":
        return ".".join(parts[:-1]), True
    return ".".join(parts), False


def native_name(relative: str) -> str | None:
    """Return the dotted name of an extension module, None for a library beside one."""
    stripped = _EXTENSION.sub("", relative)
    if stripped == relative or ".libs/" in relative or ".dylibs/" in relative:
        return None
    return stripped.replace("/", ".")


def form_of(module: str) -> str:
    """Return `hot`, `cold` or `source`."""
    if any(fnmatch.fnmatchcase(module, pattern) for pattern in _SOURCE_ONLY):
        return "source"
    return "hot" if module.partition(".")[0] in _HOT else "cold"


def _matches(relative: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(relative, pattern) for pattern in patterns)
