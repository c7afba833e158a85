"""A plugin's lock: written from the wheels in a folder, and judged with their build statements.

Rules this module keeps:
- nothing is fetched and nothing is run: a lock is made of wheels that lie in a folder, each checked
  as an installation checks it;
- everything that is missing is named at once, with who needs it and what to do;
- where only sources exist, the way is `tavo plugin pack --build-wheel`, never an installer, which
  would run them as you;
- a wheel of one's own stands beside the statement how it was built, and both must agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path

from marketplace_db.archive import read_archive
from marketplace_db.errors import PackageError
from marketplace_db.lock import LOCK_NAME, LockedWheel, parse_lock, write_lock
from marketplace_db.manifest import MANIFEST_NAME, Manifest, parse_manifest
from marketplace_db.package import is_binary, read_bounded
from marketplace_db.wheel import WHEEL_LIMITS
from marketplace_db.wheel_files import UnmetError, choose, left_out, wheels_in
from signing.attest import BuildClaim, sign_build, unverified_build
from signing.digests import hash_file
from signing.errors import AttestationError
from signing.files import write_atomically
from signing.keys import PrivateKey
from tavo.errors import InputError, RefusedError, UsageError
from tavo.host.local import WHEELS_FOLDER
from tavo.kit.build import BuiltWheel

__all__ = [
    "BUILD_SUFFIX",
    "add_to_lock",
    "check_programs",
    "check_wheels",
    "keep_wheel",
    "make_bare_lock",
    "make_lock",
    "manifest_with_needs",
    "statement_of",
]

BUILD_SUFFIX = ".build.dsse.json"
_LARGEST_ENVELOPE = 64 * 1024
_LARGEST_LOCK = 256 * 1024


def manifest_with_needs(folder: Path) -> Manifest:
    """Return the manifest of a plugin that names dependencies.

    Raises UsageError, ManifestError, PackageError.
    """
    path = folder / MANIFEST_NAME
    if not path.is_file():
        raise UsageError(f"{folder}: holds no {MANIFEST_NAME}", hint="Name a plugin's folder.")
    manifest = parse_manifest(read_bounded(path, 64 * 1024 + 1))
    if not manifest.dependencies:
        raise UsageError(
            f"{folder}: plugin.yaml names no dependencies, so there is nothing to lock",
            hint='Name them first: dependencies: ["name>=1.0"]',
        )
    return manifest


def make_lock(folder: Path, wheels: Path) -> tuple[LockedWheel, ...]:
    """Lock a plugin's dependencies and theirs to the wheels in a folder; write the file.

    Raises ManifestError, PackageError, UsageError, and InputError that names all that is missing.
    """
    return _locked(folder, wheels, follow=True)[0]


def make_bare_lock(folder: Path, wheels: Path) -> tuple[tuple[LockedWheel, ...], list[str]]:
    """Lock what plugin.yaml names, and nothing that this asks for; write the file.

    Returns the wheels, and the names of what they ask for and that is not locked. Raises as
    `make_lock`.
    """
    return _locked(folder, wheels, follow=False)


def _locked(
    folder: Path, wheels: Path, *, follow: bool
) -> tuple[tuple[LockedWheel, ...], list[str]]:
    manifest = manifest_with_needs(folder)
    if not wheels.is_dir():
        raise InputError(f"{wheels}: there is no such folder", hint=_fetch(manifest, wheels))
    try:
        found = wheels_in(wheels)
        chosen = choose(manifest.dependencies, found, asker=manifest.full_id, follow=follow)
    except UnmetError as error:
        raise _missing(folder, wheels, manifest, error) from error
    except OSError as error:
        raise InputError(f"{error.filename or wheels}: cannot be read: {error.strerror}") from error
    locked = tuple(
        LockedWheel(one.name, str(one.version), wheel.path.name, wheel.digest)
        for one in chosen
        for wheel in one.wheels
    )
    native = [one.filename for one in locked if not one.is_pure]
    if native and not manifest.permissions.native_code:
        raise RefusedError(
            f"{folder}: {native[0]} holds compiled code, but plugin.yaml does not ask for the"
            " permission native_code",
            hint="Ask for it (permissions: native_code: true), or choose a dependency without.",
        )
    write_atomically(folder / LOCK_NAME, write_lock(locked))
    return locked, left_out(chosen)


def keep_wheel(
    built: BuiltWheel, folder: Path, key: PrivateKey, *, now: datetime
) -> tuple[Path, Path]:
    """Put a built wheel and its signed statement into the plugin's `.wheels`; return both paths.

    Raises RefusedError where another wheel of that name is in the way, InputError.
    """
    from dataclasses import replace

    target = folder / WHEELS_FOLDER / built.claim.wheel
    statement = target.with_name(target.name + BUILD_SUFFIX)
    try:
        target.parent.mkdir(exist_ok=True)
        if target.exists() and hash_file(target)[0] != built.claim.digest:
            raise RefusedError(
                f"{target}: another wheel is there already, and nothing is overwritten",
                hint="If it was built with other tools, delete it, and build again.",
            )
        write_atomically(target, built.data)
        write_atomically(statement, sign_build(replace(built.claim, issued=now), key))
    except OSError as error:
        raise InputError(f"{error.filename or target}: {error.strerror or error}") from error
    return target, statement


def add_to_lock(folder: Path, claims: Sequence[BuildClaim]) -> None:
    """Have the lock name the wheels that were built; write a whole lock where there is none.

    Raises RefusedError when it names other wheels for those distributions, and as `make_lock` does.
    """
    path = folder / LOCK_NAME
    if not path.exists():
        make_lock(folder, folder / WHEELS_FOLDER)
    locked = list(parse_lock(read_bounded(path, _LARGEST_LOCK)))
    from packaging.utils import parse_wheel_filename

    for claim in claims:
        name, version, _, _ = parse_wheel_filename(claim.wheel)
        mine = LockedWheel(str(name), str(version), claim.wheel, claim.digest)
        there = [one for one in locked if one.name == name]
        if not there:
            locked.append(mine)
        elif [(one.filename, one.digest) for one in there] != [(claim.wheel, claim.digest)]:
            raise RefusedError(
                f"{path}: locks {there[0].filename} with another digest than that of the wheel"
                f" that was built ({claim.digest})",
                hint=f"Write it again: tavo plugin lock {folder}",
            )
    data = write_lock(locked)
    if parse_lock(data) != parse_lock(read_bounded(path, _LARGEST_LOCK)):
        write_atomically(path, data)


def statement_of(wheel: Path) -> bytes | None:
    """Return the build statement that lies beside a wheel, None without one. Raises OSError."""
    path = wheel.with_name(wheel.name + BUILD_SUFFIX)
    return read_bounded(path, _LARGEST_ENVELOPE) if path.is_file() else None


def check_wheels(locked: Sequence[LockedWheel], wheels: Path) -> Iterator[tuple[str, str, bool]]:
    """Compare the lock with the wheels in a folder and with their statements.

    Yield where, what, and whether it is only worth a note. Who signed is not looked at: the
    marketplace does, with the keys that it binds to a namespace.
    """
    for one in locked:
        path = wheels / one.filename
        if not path.is_file():
            yield one.filename, f"is not in {wheels}, so it was not looked at", True
            continue
        try:
            found, _ = hash_file(path)
            if found != one.digest:
                yield one.filename, f"has the digest {found}, {LOCK_NAME} has {one.digest}", False
                continue
            statement = statement_of(path)
            if statement is None:
                yield (
                    one.filename,
                    "has no build statement: a marketplace looks for it in a package index",
                    True,
                )
            else:
                unverified_build(statement, one.filename, one.digest)
        except (AttestationError, PackageError) as error:
            yield one.filename, str(error), False


def check_programs(
    programs: Sequence[str], locked: Sequence[LockedWheel], wheels: Path
) -> Iterator[tuple[str, str]]:
    """Yield where and what for each program that the wheels in a folder do not bring, or twice.

    Where one wheel of a distribution brings a program, those for other systems must, too. Wheels
    that are not there are not looked at.
    """
    brought: dict[str, dict[LockedWheel, int]] = {name: {} for name in programs}
    for one in locked if programs else ():
        path = wheels / one.filename
        try:
            data = read_bounded(path, WHEEL_LIMITS.archive_bytes)
            archive = read_archive(data, label=one.filename, limits=WHEEL_LIMITS)
            for name, counts in brought.items():
                counts[one] = sum(
                    is_binary(archive.read(entry))
                    for entry in archive.entries
                    if entry.name.rpartition("/")[2] == name
                )
        except (OSError, PackageError):
            continue  # named with the lock
    for name, counts in brought.items():
        holders = {one.name for one, count in counts.items() if count}
        if counts and not holders:
            yield MANIFEST_NAME, f"no wheel holds the program {name}: a compiled file of that name"
        for one, count in counts.items():
            if count > 1 or (not count and one.name in holders):
                many = f"{count} files called" if count else "no compiled file called"
                yield one.filename, f"holds {many} {name}, so the plugin is refused where it fits"
        if len(holders) > 1:
            named = ", ".join(sorted(holders))
            yield MANIFEST_NAME, f"the program {name} is brought by more than one: {named}"


def _missing(folder: Path, wheels: Path, manifest: Manifest, error: UnmetError) -> InputError:
    """Say what is missing: what has only sources in the folder, and what has nothing."""
    from packaging.utils import InvalidSdistFilename, parse_sdist_filename

    sources: dict[str, Path] = {}
    for path in sorted((*wheels.glob("*.tar.gz"), *wheels.glob("*.zip"))):
        try:
            sources[str(parse_sdist_filename(path.name)[0])] = path
        except InvalidSdistFilename:
            continue
    only_sources = [sources[name] for name in sorted(error.missing) if name in sources]
    told = [
        f"{why}, and {wheels} holds "
        + (f"only its sources, {sources[name].name}" if name in sources else "no wheel of it")
        for name, why in sorted(error.missing.items())
    ]
    if only_sources:
        built = " ".join(f"--build-wheel {path}" for path in only_sources)
        hint = (
            f"Build it in the sandbox: tavo plugin pack {folder} {built} --build-with TOOLS"
            " --key KEY"
        )
    else:
        hint = _fetch(manifest, wheels)
    return InputError("; ".join(told), hint=hint)


def _fetch(manifest: Manifest, wheels: Path) -> str:
    needed = " ".join(f"'{entry}'" for entry in manifest.dependencies)
    return (
        "Fetch the wheels, which runs nothing of them: python3 -m pip download --only-binary :all:"
        f" --dest {wheels} {needed}; for what has no wheel, save its .tar.gz from its index into"
        " that folder, with a browser: pip would run it."
    )
