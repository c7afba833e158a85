"""The file itself: which members it has, in which order, and the index of each interpreter.

Members, stored but for the manifest: `data-*.tar.xz` and `native-<platform>.tar.xz` (unpacked on
the first run), `source-*.xz` (all source text as JSON), `cold-*.xz` (code of seldom used modules,
all interpreters mixed, because they resemble each other), `cp311.code` (code of the other modules,
each compressed with zlib), `cp311.index`, `manifest.json`, a `tavo/__init__.py` for processes that
multiprocessing starts anew, and `__main__.py`, which knows where the indexes are.
"""

from __future__ import annotations

import hashlib
import json
import marshal
import re
import zlib
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tavo.operator.pack.archive import OuterFile, solid, tar
from tavo.operator.pack.code import Interpreter, compile_all
from tavo.operator.pack.contents import OWN, Contents, form_of, module_name, native_name, owner_of
from tavo.operator.pack.natives import check_native, needed_part
from tavo.operator.pack.targets import PackError

__all__ = ["Facts", "write"]

_FINDER = "tavo/onefile/finder.py"
_START = "tavo/onefile/start.py"
_REFUSE = "tavo/onefile/refuse.py"
_CHILD = '''"""For a process that multiprocessing starts anew: make the whole file importable."""
import os
import sys

del sys.modules["tavo"]
path = os.path.join(os.path.dirname(os.path.dirname(__file__)), "__main__.py")
names = {"__name__": "start", "__file__": path}
exec(compile(__loader__.get_data(path), path, "exec"), names)
names["attach"]()
import tavo
'''
_ARCHIVES = {"": "data-libs.tar.xz", **dict.fromkeys(OWN, "data-tavo.tar.xz")}
"""Where data files are, by the first folder of their paths; "" for all others."""
_File = tuple[str, int, str]
_WITHOUT_DATA = frozenset({"tavo", "tavo.onefile"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the build knows besides the files. `when` is in seconds since 1970."""

    version: str
    line: str
    when: int
    full: bool
    packages: Mapping[str, str]


def write(
    stream: IO[bytes],
    contents: Contents,
    interpreters: Mapping[str, Interpreter],
    facts: Facts,
    cache: Path,
) -> dict[str, Any]:
    """Write the file; return its manifest. Raises PackError."""
    with closing(OuterFile(stream, facts.when)) as out:
        return _write(out, contents, interpreters, facts, cache)


def _write(
    out: OuterFile,
    contents: Contents,
    interpreters: Mapping[str, Interpreter],
    facts: Facts,
    cache: Path,
) -> dict[str, Any]:
    files: dict[str, _File] = {}
    data = _write_data(out, contents, facts, cache, files)
    natives = _write_natives(out, contents, facts, cache, files)
    minors = sorted({target.minor for target in contents.natives})
    _write_sources(out, contents, cache)
    codes = {
        minor: compile_all(interpreters[minor], contents.sources, cache / "code")
        for minor in minors
        if minor in interpreters
    }
    cold = _write_cold(out, contents, codes, cache)
    # the folder of unpacked files is known by this name, so it names just what is unpacked
    build = hashlib.sha256(json.dumps(sorted(files.values())).encode()).hexdigest()
    common = {
        "version": facts.version, "line": facts.line, "when": facts.when, "full": facts.full,
        "build": build, "data": data, "archives": _ARCHIVES,
        "versions": _distributions(contents), "members": {},
    }  # fmt: skip
    starts = {}
    for minor in minors:
        modules = _write_code(out, contents, codes.get(minor), cold.get(minor, {}), minor)
        variants = _write_variants(out, contents, interpreters.get(minor), cache, minor)
        index = {
            **common, "modules": modules, "variants": variants, "members": dict(out.members),
            **{
                part: {p: tables[part] for (p, m), tables in natives.items() if m == minor}
                for part in ("natives", "beside", "stored")
            },
            "compiled": interpreters[minor].version if minor in codes else "",
        }  # fmt: skip
        finder: bytes | str = contents.sources[_FINDER].read_text("utf-8")
        if minor in codes:
            finder = codes[minor][_FINDER]
        boot = marshal.dumps((finder, index), 2)
        starts[f"cpython-{minor}"] = (out.add(f"cp{minor}.index", boot), len(boot))
    out.add("tavo/__init__.py", _CHILD.encode())
    out.add("refuse.py", contents.sources[_REFUSE].read_bytes())
    out.add("__main__.py", _start_text(contents.sources[_START], facts.line, starts).encode())
    manifest = {
        "format": 1, "version": facts.version, "built": facts.when, "full": facts.full,
        "build": build,
        "targets": [str(target) for target in sorted(contents.natives)],
        "interpreters": {m: interpreters[m].version if m in codes else None for m in minors},
        "packages": dict(facts.packages),
        "members": {n: {"length": out.members[n][1], "sha256": d} for n, d in out.digests.items()},
        "files": {path: {"length": n, "sha256": d} for path, n, d in sorted(files.values())},
    }  # fmt: skip
    out.add_last("manifest.json", (json.dumps(manifest, sort_keys=True, indent=1) + "\n").encode())
    return manifest


def _write_data(
    out: OuterFile, contents: Contents, facts: Facts, cache: Path, files: dict[str, _File]
) -> dict[str, tuple[_File, ...]]:
    """Write the data files; return which belong to which package."""
    packages = {module_name(path)[0] for path in contents.sources if path.endswith("/__init__.py")}
    grouped: dict[str, list[_File]] = {}
    archives: dict[str, dict[str, bytes]] = {name: {} for name in _ARCHIVES.values()}
    for relative, path in sorted(contents.data.items()):
        content = path.read_bytes()
        archive = _ARCHIVES.get(relative.partition("/")[0], _ARCHIVES[""])
        archives[archive][relative] = content
        file = (relative, len(content), hashlib.sha256(content).hexdigest())
        files[relative] = file
        owner = _owner(relative, packages)
        if owner in _WITHOUT_DATA:
            raise PackError(
                f"{relative}: {owner} must have no data files, it runs before the cache"
            )
        grouped.setdefault(owner, []).append(file)
    for name, members in archives.items():
        out.add(name, solid(tar(members), cache / "xz"))
    return {name: tuple(found) for name, found in grouped.items()}


def _owner(relative: str, packages: set[str]) -> str:
    """Return the nearest package above a data file: its import checks the file.

    Licences, metadata of distributions, and the embedded repository, which is verified by its
    signatures, belong to none.
    """
    if relative.startswith("tavo/embedded/repository/"):
        return ""
    if relative.rpartition("/")[2].startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE")):
        return ""
    parts = relative.split("/")[:-1]
    while parts and ".".join(parts) not in packages:
        parts.pop()
    return ".".join(parts)


def _write_natives(
    out: OuterFile, contents: Contents, facts: Facts, cache: Path, files: dict[str, _File]
) -> dict[tuple[str, str], dict[str, dict[str, Any]]]:
    """Write the native modules of each platform; return the tables of each target."""
    tables: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for platform in sorted({target.platform for target in contents.natives}):
        members: dict[str, bytes] = {}
        for target, paths in contents.natives.items():
            if target.platform != platform:
                continue
            named: dict[str, _File] = {}
            libraries: list[_File] = []
            stored: dict[str, str] = {}
            for relative, path in paths.items():
                content = path.read_bytes()
                check_native(target, relative, content)
                content = needed_part(target, relative, content)
                if members.setdefault(relative, content) != content:
                    # a library of the same name for each interpreter
                    stored[relative] = f"cp{target.minor}/{relative}"
                    members[stored[relative]] = content
                file = (relative, len(content), hashlib.sha256(content).hexdigest())
                files[f"{platform}/{stored.get(relative, relative)}"] = file
                if name := native_name(relative):
                    named[name] = file
                else:
                    libraries.append(file)
            beside: dict[str, list[_File]] = {}
            for library in libraries:
                owner = owner_of(library[0])
                if f"{owner.replace('.', '/')}/__init__.py" not in contents.sources:
                    raise PackError(f"{platform}: no package is known to load {library[0]}")
                for name in (owner, *(n for n in named if n.startswith(f"{owner}."))):
                    beside.setdefault(name, []).append(library)
            tables[platform, target.minor] = {
                "natives": named,
                "beside": {name: tuple(found) for name, found in beside.items()},
                "stored": stored,
            }
        # neighbours are the same module for different interpreters, which saves half of the size
        ordered = dict(sorted(members.items(), key=lambda item: item[0].split(".")[0]))
        out.add(
            f"native-{platform}.tar.xz",
            solid(tar(ordered), cache / "xz", machine_code=platform),
        )
    return tables


def _write_sources(out: OuterFile, contents: Contents, cache: Path) -> None:
    for member, own in (("source-libs.xz", False), ("source-tavo.xz", True)):
        texts = {
            module_name(relative)[0]: path.read_text("utf-8")
            for relative, path in sorted(contents.sources.items())
            if (relative.split("/")[0] in OWN) is own
        }
        out.add(member, solid(json.dumps(texts, ensure_ascii=False).encode(), cache / "xz"))


def _write_cold(
    out: OuterFile, contents: Contents, codes: Mapping[str, Mapping[str, bytes]], cache: Path
) -> dict[str, dict[str, tuple[int, int]]]:
    """Write the solid blocks; return for each interpreter where a module's code lies in its."""
    places: dict[str, dict[str, tuple[int, int]]] = {minor: {} for minor in codes}
    blocks: dict[str, bytearray] = {}
    for relative in sorted(contents.sources):
        module = module_name(relative)[0]
        form = form_of(module)
        if form in {"hot", "source"}:
            continue
        block = blocks.setdefault(form, bytearray())
        for minor, code in codes.items():
            places[minor][module] = (len(block), len(code[relative]))
            block += code[relative]
    for name, block in sorted(blocks.items()):
        if block:
            out.add(f"cold-{name}.xz", solid(bytes(block), cache / "xz"))
    return places


def _write_code(
    out: OuterFile,
    contents: Contents,
    code: Mapping[str, bytes] | None,
    cold: Mapping[str, tuple[int, int]],
    minor: str,
) -> dict[str, tuple[bool, str, int, int]]:
    """Write the code of one interpreter; return its table of modules."""
    modules: dict[str, tuple[bool, str, int, int]] = {}
    block = bytearray()
    hot: list[str] = []
    for relative in sorted(contents.sources):
        module, package = module_name(relative)
        form = form_of(module) if code is not None else "source"
        if form == "source" or code is None:
            modules[module] = (package, "source", 0, 0)
        elif form != "hot":
            modules[module] = (package, f"cold-{form}.xz", *cold[module])
        else:
            packed = zlib.compress(code[relative], 9)
            modules[module] = (package, "", len(block), len(packed))
            hot.append(module)
            block += packed
    if hot:
        start = out.add(f"cp{minor}.code", bytes(block))
        for module in hot:
            package, form, offset, length = modules[module]
            modules[module] = (package, form, start + offset, length)
    for module in list(modules):  # folders of modules without an __init__ become packages as well
        while module := module.rpartition(".")[0]:
            modules.setdefault(module, (True, "empty", 0, 0))
    return modules


def _write_variants(
    out: OuterFile,
    contents: Contents,
    interpreter: Interpreter | None,
    cache: Path,
    minor: str,
) -> dict[str, dict[str, tuple[bool, str, int, int]]]:
    """Write the code that some platforms have otherwise; return their tables of modules."""
    tables: dict[str, dict[str, tuple[bool, str, int, int]]] = {}
    for target, sources in sorted(contents.variants.items()):
        if target.minor != minor:
            continue
        forms = _variant_forms(sources, interpreter, cache)
        tables[target.platform] = {}
        for relative, (form, content) in sorted(forms.items()):
            module, package = module_name(relative)
            packed = zlib.compress(content, 9)
            suffix = "" if form else "c"
            offset = out.add(f"cp{minor}-{target.platform}/{relative}{suffix}", packed)
            tables[target.platform][module] = (package, form, offset, len(packed))
    return tables


def _variant_forms(
    sources: Mapping[str, Path], interpreter: Interpreter | None, cache: Path
) -> dict[str, tuple[str, bytes]]:
    """Return form and content of each: marshalled code, or text where no interpreter is here."""
    if interpreter is None:
        return {relative: ("text", path.read_bytes()) for relative, path in sources.items()}
    compiled = compile_all(interpreter, sources, cache / "code")
    return {relative: ("", code) for relative, code in compiled.items()}


def _distributions(contents: Contents) -> dict[str, str]:
    found = {}
    for relative in contents.data:
        folder, _, rest = relative.partition("/")
        if rest == "METADATA" and folder.endswith(".dist-info"):
            found[folder.removesuffix(".dist-info").rpartition("-")[0]] = folder
    return found


def _start_text(template: Path, line: str, starts: Mapping[str, tuple[int, int]]) -> str:
    """Fill the constants of the first lines that run."""
    text = template.read_text("utf-8")
    for name, value in {"VERSION_LINE": repr(line), "CODE": repr(dict(starts))}.items():
        line_of = re.compile(rf"^{name}(: [^=]+)? = .*$", re.MULTILINE)
        if len(line_of.findall(text)) != 1:
            raise PackError(f"start.py: expected one line for {name}")
        text = line_of.sub(f"{name} = {value}".replace("\\", r"\\"), text)
    return text
