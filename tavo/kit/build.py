"""A wheel out of a source distribution: built twice in the sandbox, compared, and made canonical.

Rules this module keeps:
- no line of a source distribution or of a build backend runs outside of the sandbox: no network,
  no other file, no other process, and at least level L2;
- only tools out of the named folder are used, and those that were used are named by digest;
- the two builds differ in all that must not matter (folder, order of files, clock, time zone,
  umask, hash seed); their wheels must hold the same bytes under the same names;
- what comes out is judged as a stranger's wheel, and written in the canonical form.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import base64
import platform
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from marketplace_db.archive import write_canonical
from marketplace_db.errors import PackageError
from marketplace_db.sdist import Sdist, read_sdist
from marketplace_db.wheel import check_wheel_bytes, place
from marketplace_db.wheel_files import FolderWheel, UnmetError, canonical_wheel, choose, wheels_in
from signing.attest import BuildClaim
from signing.digests import Digest
from tavo.errors import IncompleteError, InputError, RefusedError, UsageError
from tavo.host.batches import Failure, FileInput
from tavo.host.local import open_local
from tavo.host.sandbox.levels import LevelPolicy, SandboxLevel, SandboxUnavailableError
from tavo.host.workers import StaticWorker
from tavo.kit.rehearsal import source_of

__all__ = ["EPOCH", "BuildFailedError", "BuiltWheel", "build_wheel"]

EPOCH = 315_532_800  # 1980-01-01, the earliest time that a zip can hold

_LARGEST_WHEEL = 12 << 20
_MOST_ROUNDS = 4
_MOST_CALLS = 8
_FULL_ID = "tavo/wheel-builder"
_FIRST: dict[str, Any] = {
    "folder": "source", "reversed": False, "ahead_s": 0, "umask": 0o022, "TZ": "UTC",
    "LANG": "C.UTF-8",
}  # fmt: skip
_SECOND: dict[str, Any] = {
    "folder": "another/place", "reversed": True, "ahead_s": 400 * 86_400 + 3_661, "umask": 0o077,
    "TZ": "XYZ-13:30", "LANG": "C",
}  # fmt: skip
_MANIFEST = """\
api: 1
id: wheel-builder
publisher: tavo
name: The builder of wheels
version: 1.0.0
plugin_type: static
entry_point: main:Builder
description: Calls a build backend in the sandbox.
author: tavo
license: Apache-2.0
file_patterns: [sources.zip]
limits:
  memory_mb: {memory_mb}
  cpu_s_per_file: {longest_s}
  wall_s_per_call: {longest_s}
  wall_s_total: {longest_s}
  scratch_mb: 512
  threads: 4
  output_mb: {output_mb}
"""


class BuildFailedError(IncompleteError):
    """A backend did not make a wheel."""


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    wheel: Annotated[str, Meta(max_length=200)] = ""
    data: str = ""
    error: Annotated[str, Meta(max_length=8000)] = ""
    said: Annotated[str, Meta(max_length=8000)] = ""
    missing: Annotated[tuple[str, ...], Meta(max_length=64)] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltWheel:
    """A wheel in canonical form and the claim about it; `identical` says that both builds gave the
    same file before that. Only `issued` is missing in the claim."""

    data: bytes
    claim: BuildClaim
    identical: bool


def build_wheel(
    sdist: Path, tools: Path | None, *, longest_s: int = 300, memory_mb: int = 1024
) -> BuiltWheel:
    """Build a pure Python wheel of a source distribution with the tools in a folder.

    One build may take `longest_s` and `memory_mb`.

    Raises UsageError, InputError, PackageError for what is refused, RefusedError when the builds
    differ or no sandbox can be had, BuildFailedError.
    """
    try:
        source = read_sdist(sdist)
        if tools is not None and not tools.is_dir():
            raise UsageError(f"{tools}: there is no such folder of build tools")
        found = wheels_in(tools, are_tools=True) if tools is not None else []
    except FileNotFoundError as error:
        raise UsageError(f"{error.filename}: there is no such file") from error
    except OSError as error:
        raise InputError(f"{error.filename or sdist}: cannot be read: {error.strerror}") from error
    limits = {
        "longest_s": longest_s,
        "memory_mb": memory_mb,
        "output_mb": 2 * _LARGEST_WHEEL >> 20,
    }
    needed = list(source.build_system.requires)
    used: list[FolderWheel] = []
    for _ in range(_MOST_ROUNDS):
        used = _tools(source, needed, found, tools)
        first, level = _run(source, used, needed, _FIRST, limits)
        if not first.missing:
            break
        needed = [*needed, *first.missing]
    else:
        raise BuildFailedError(
            f"{source.filename}: its backend goes on asking for tools: {needed[-1][:80]!r}"
        )
    second, level_again = _run(source, used, needed, _SECOND, limits)
    made = [_wheel(source, answer) for answer in (first, second)]
    (data, label), (again, other) = made
    contents, contents_again = _contents(data, label), _contents(again, other)
    if label != other or contents != contents_again:
        difference = _difference(contents, contents_again)
        raise RefusedError(
            f"{source.filename}: two builds gave different wheels: {difference}",
            hint="A build must depend on the sources alone (no clock, random number, order of"
            " files or machine); use a wheel from the index, or another release.",
        )
    canonical = canonical_wheel(data, label, name=source.name, version=source.version)
    return BuiltWheel(
        data=canonical,
        identical=data == again,
        claim=BuildClaim(
            wheel=label,
            digest=Digest.of(canonical),
            source=source.filename,
            source_digest=source.digest,
            backend=source.build_system.backend,
            tools=tuple((wheel.path.name, wheel.digest) for wheel in used),
            python=f"CPython {platform.python_version()}",
            sandbox=min(level, level_again).label,
            tavo=_version(),
            epoch=EPOCH,
        ),
    )


def _tools(
    source: Sdist, needed: Sequence[str], found: Sequence[FolderWheel], folder: Path | None
) -> list[FolderWheel]:
    """Choose what the build needs out of the folder, for the interpreter that runs here."""
    from packaging.markers import default_environment
    from packaging.tags import sys_tags
    from packaging.utils import parse_wheel_filename

    ours = frozenset(sys_tags())
    fitting = [wheel for wheel in found if parse_wheel_filename(wheel.path.name)[3] & ours]
    here = {key: str(value) for key, value in default_environment().items()}
    try:
        chosen = choose(needed, fitting, asker=source.filename, environments=[here])
    except UnmetError as error:
        where = (
            f"there is no wheel of it in {folder}"
            if folder is not None
            else "--build-with names no folder with its wheel"
        )
        raise InputError(
            f"{error}, and {where}",
            hint="Fetch the wheels of the build tools into a folder, python3 -m pip download"
            f" --only-binary :all: --dest DIR {' '.join(sorted(error.missing))},"
            " and name it: --build-with DIR",
        ) from error
    return [wheel for one in chosen for wheel in one.wheels[:1]]


def _run(
    source: Sdist,
    tools: Sequence[FolderWheel],
    settled: Sequence[str],
    conditions: dict[str, Any],
    limits: dict[str, int],
) -> tuple[_Answer, SandboxLevel]:
    """Build once, in a worker that is made for it and ends afterwards."""
    system = source.build_system
    config = {
        "folder": conditions["folder"],
        "reversed": conditions["reversed"],
        "ahead_s": conditions["ahead_s"],
        "umask": conditions["umask"],
        "environment": {
            "SOURCE_DATE_EPOCH": str(EPOCH), "TZ": conditions["TZ"], "LANG": conditions["LANG"],
        },
        "path": list(system.path),
        "settled": list(settled),
        "backend": system.backend,
        "largest": _LARGEST_WHEEL,
    }  # fmt: skip
    data = _job(source, tools)
    with tempfile.TemporaryDirectory(prefix="tavo-build-") as name:
        folder = Path(name)
        (folder / "plugin.yaml").write_text(_MANIFEST.format(**limits))
        (folder / "README.md").write_text("The builder of wheels.\n")
        (folder / "LICENSE").write_text("Apache-2.0\n")
        (folder / "main.py").write_bytes(source_of("tavo.kit.builder"))
        policy = LevelPolicy(
            required=SandboxLevel.STRONG, accepted={_FULL_ID: SandboxLevel.STANDARD}
        )
        try:
            with (
                open_local(folder) as local,
                StaticWorker(local.own(), policy=policy, config=config, apart=True) as worker,
            ):
                text = _ask(source, worker, data)
                level = worker.level
        except SandboxUnavailableError as error:
            raise RefusedError(
                f"{source.filename}: is not built, because the sandbox cannot be had here:"
                f" {error.layer}: {error.reason}",
                hint="A build runs a stranger's code: build it on Linux with Landlock and seccomp"
                " (`tavo doctor sandbox`), or use a wheel.",
            ) from error
    try:
        answer = msgspec.json.decode(text, type=_Answer)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _nonsense(source) from error
    if answer.error:
        told = " ".join(answer.error.split())[-600:]
        last = answer.said.strip().splitlines()[-1:] if told.startswith("SystemExit") else []
        told += f" ({last[0][:300]})" if last and last[0] not in told else ""
        raise BuildFailedError(
            f"{source.filename}: its build failed: {told}",
            hint=_advice(answer.error),
        )
    assert level is not None
    return answer, level


def _ask(source: Sdist, worker: StaticWorker, data: bytes) -> str:
    """Have the sources built, and fetch the whole answer. Raises BuildFailedError."""
    job = PurePosixPath("sources.zip")
    text, total = "", 1
    for _ in range(_MOST_CALLS):
        result = worker.analyze([FileInput(path=job, data=data, kind="binary")])
        failure = result.failures.get(job)
        if failure is not None:
            raise BuildFailedError(f"{source.filename}: its build failed: {_told(failure)}")
        pieces = sorted(finding.message for finding in result.findings[job])
        text += "".join(piece[24:] for piece in pieces)
        try:
            total = int(pieces[0][:12])
        except (IndexError, ValueError) as error:
            raise _nonsense(source) from error
        if len(text) >= total:
            break
        data = b"."
    return text


def _nonsense(source: Sdist) -> BuildFailedError:
    return BuildFailedError(
        f"{source.filename}: its build answered with something else than a wheel"
    )


def _told(failure: Failure) -> str:
    last = failure.output.strip().splitlines()[-1:] if failure.output else []
    detail = f" ({last[0][:300]})" if last and last[0] not in failure.reason else ""
    return f"{failure.reason}{detail}"


def _advice(error: str) -> str:
    if "Permission" in error or "Operation not permitted" in error or "FileNotFound" in error:
        return (
            "In the sandbox a build has its sources, its tools and the interpreter: no network, no"
            " other program, no file of yours. A build that needs more cannot be done here."
        )
    if "ModuleNotFoundError" in error:
        return (
            "A tool is missing that the project does not name: add its wheel and the need for it."
        )
    return ""


def _job(source: Sdist, tools: Sequence[FolderWheel]) -> bytes:
    """Pack sources and tools for the builder. Raises PackageError."""
    files = {f"source/{name}": content for name, content in source.files}
    for tool in tools:
        data = tool.path.read_bytes()
        if Digest.of(data) != tool.digest:
            raise PackageError(f"{tool.path.name}: changed while it was being read")
        archive = check_wheel_bytes(data, tool.path.name, is_tool=True)
        for entry in archive.entries:
            where = place(entry.name)
            if where is None or where.suffix.lower() == ".pth":
                continue  # the latter would run at the start of an interpreter that looks for it
            name = f"tools/{where}"
            if name in files:
                raise PackageError(
                    f"{tool.path.name}: holds {entry.name!r}, which another tool holds too"
                )
            files[name] = archive.read(entry)
    return write_canonical(files.items())


def _wheel(source: Sdist, answer: _Answer) -> tuple[bytes, str]:
    try:
        data = base64.b64decode(answer.data, validate=True)
    except ValueError as error:
        raise _nonsense(source) from error
    # judged before anything of it is looked at
    canonical_wheel(data, answer.wheel, name=source.name, version=source.version)
    return data, answer.wheel


def _contents(data: bytes, label: str) -> dict[str, bytes]:
    """Return what a wheel holds; RECORD says nothing that the rest does not."""
    archive = check_wheel_bytes(data, label)
    return {
        entry.name: archive.read(entry)
        for entry in archive.entries
        if not entry.name.endswith(".dist-info/RECORD")
    }


def _difference(first: dict[str, bytes], second: dict[str, bytes]) -> str:
    names = sorted(n for n in first.keys() | second.keys() if first.get(n) != second.get(n))
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{names[0]!r}{more}" if names else "their names"


def _version() -> str:
    from tavo import __version__

    return __version__
