"""What works on this machine, what does not, and why: the checks of `tavo doctor`.

Rules this module keeps:
- a check never changes anything, except that looking at the catalog opens it as every command does;
- what is found out by trying is tried: the sandbox by locking up a worker, a folder by its mode;
- a check that fails does not keep the others from running, and its reason is the answer.

Units: sizes in bytes in values, in MB in sentences; times UTC.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

from marketplace_db.errors import MarketplaceError
from signing.errors import SigningError
from tavo import __version__
from tavo.errors import ExitCode, TavoError, exit_code_of
from tavo.folders import Paths
from tavo.host.sandbox.levels import SandboxLevel
from tavo.onefile import running

__all__ = ["Check", "examine", "examine_sandbox"]

State = Literal["good", "note", "bad"]
_LITTLE_SPACE = 200_000_000


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. `hint` is the next step where there is one."""

    name: str
    state: State
    found: str
    hint: str = ""
    code: ExitCode = ExitCode.OK
    facts: dict[str, Any] = {}


def examine(
    paths: Callable[[], Paths],
    *,
    open_catalog: Callable[[], Any],
    plugins: Callable[[], int],
    now: datetime,
) -> list[Check]:
    """Run all checks. `open_catalog` opens the verified catalog, `plugins` counts installations."""
    checks = [_guarded("tavo", _tavo), _guarded("python", _python), _guarded("system", _system)]
    checks.append(_guarded("cache", _cache))
    checks.append(_guarded("sandbox", lambda: examine_sandbox()[0]))
    checks.append(_guarded("catalog", lambda: _catalog(open_catalog(), now)))
    checks.append(_guarded("plugins", lambda: _plugins(plugins())))
    checks.append(_guarded("engines", _engines))
    checks.append(_guarded("disk", lambda: _disk(paths())))
    return checks


def examine_sandbox() -> list[Check]:
    """Try each level of the sandbox, the strongest first; the first check is the outcome."""
    from tavo.host.probe import probe

    found = probe()
    facts = {
        "level": found.level.label, "namespaces": found.namespaces,
        "landlock": found.landlock, "seccomp": found.seccomp,
    }  # fmt: skip
    missing = [
        Check(name=level.label, state="note", found=f"does not hold here: {reason}")
        for level, reason in found.missing
    ]
    enough = found.level >= SandboxLevel.STANDARD
    outcome = Check(
        name="sandbox",
        state="good" if enough else "bad",
        found=f"{found.level.label}"
        + (", namespaces" if found.namespaces else "")
        + (f", Landlock interface {found.landlock}" if found.landlock else "")
        + (", seccomp" if found.seccomp else "")
        + ("" if enough else f": {'; '.join(check.found for check in missing) or 'none is built'}"),
        hint=""
        if enough
        else "Plugins are refused unless you accept the lower level by name; see"
        " the user guide, sandbox.accept.",
        facts=facts,
    )
    return [outcome, *missing]


def _guarded(name: str, check: Callable[[], Check]) -> Check:
    try:
        return check()
    except (TavoError, SigningError, MarketplaceError) as error:
        return Check(
            name=name, state="bad", found=str(error), hint=getattr(error, "hint", "") or "",
            code=exit_code_of(error),
        )  # fmt: skip
    except OSError as error:
        reason = f"{error.filename or name}: {error.strerror or error}"
        return Check(name=name, state="bad", found=reason, code=ExitCode.FAILED)


def _tavo() -> Check:
    finder = running()
    if finder is None:
        folder = Path(__file__).parents[2]
        return Check(
            name="tavo", state="good", found=f"{__version__}, installed in {folder}",
            facts={"version": __version__, "single_file": False},
        )  # fmt: skip
    from tavo.onefile.contents import read_manifest, wrong_members

    archive = Path(finder.archive)
    try:
        wrong = next(wrong_members(archive, read_manifest(archive)), "")
    except (OSError, ValueError, LookupError) as error:
        wrong = f"its manifest cannot be read: {error}"
    if wrong:
        return Check(
            name="tavo", state="bad", found=f"{archive}: {wrong}", code=ExitCode.REFUSED,
            hint="Download the file again and compare its sha256.",
        )  # fmt: skip
    platforms = ", ".join(sorted(finder.index["natives"]))
    full = ", with optional engines" if finder.index["full"] else ""
    return Check(
        name="tavo",
        state="good",
        found=f"{finder.index['line'].removeprefix('tavo ')}{full}, {finder.archive}, built"
        f" {_day(finder.index['when'])} for {platforms}",
        facts={
            "version": __version__, "single_file": True, "file": finder.archive,
            "build": finder.index["build"],
            "development_root": "DEVELOPMENT" in finder.index["line"],
        },
    )  # fmt: skip


def _python() -> Check:
    version = platform.python_version()
    finder = running()
    compiled = finder.index["compiled"] if finder else version
    facts = {"version": version, "executable": sys.executable, "compiled_with": compiled}
    found = f"CPython {version}, {sys.executable}"
    if not compiled:
        return Check(
            name="python", state="note", found=f"{found}: tavo is compiled at each start",
            hint="This file was built without an interpreter of this version at hand; it works,"
            " slower.", facts=facts,
        )  # fmt: skip
    return Check(name="python", state="good", found=found, facts=facts)


def _system() -> Check:
    libc = " ".join(platform.libc_ver()).strip()
    found = f"{platform.system()} {platform.machine()}" + (f", {libc}" if libc else "")
    return Check(name="system", state="good", found=f"{found}, kernel {platform.release()}")


def _cache() -> Check:
    finder = running()
    if finder is None:
        return Check(name="cache", state="good", found="none is needed, tavo is installed")
    from tavo.onefile.contents import unpacked_folder, wrong_unpacked

    home = unpacked_folder(finder)
    if home is None:
        return Check(name="cache", state="good", found="nothing is unpacked yet")
    problems = list(wrong_unpacked(finder, home))
    size = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    facts = {"folder": str(home), "bytes": size, "problems": problems}
    if problems:
        return Check(
            name="cache", state="bad", found=f"{home}: {problems[0]}", code=ExitCode.REFUSED,
            hint=f"{len(problems)} files are not as tavo put them there. Find out who changed them,"
            f" then delete {home}.", facts=facts,
        )  # fmt: skip
    return Check(
        name="cache", state="good", found=f"{home}, {size / 1e6:.0f} MB, every file hashed",
        facts=facts,
    )  # fmt: skip


def _catalog(opened: Any, now: datetime) -> Check:
    record = opened.record
    age = (now - record.issued).days
    facts = {
        "source": record.source, "issued": record.issued.isoformat(), "age_days": age,
        "expires": record.expires.isoformat(), "root_version": record.root_version,
        "repository": record.repository, "development_root": record.development,
        "embedded": record.embedded,
    }  # fmt: skip
    where = "the one inside the file" if record.embedded else record.source
    root = ", DEVELOPMENT ROOT" if record.development else ""
    found = (
        f"{where}, {age} days old, valid until {record.expires:%Y-%m-%d}; trusted root"
        f" {record.root_version} of repository {record.repository[:12]}{root}"
    )
    if record.embedded and now >= record.expires:
        return Check(
            name="catalog", state="note", found=found, facts=facts,
            hint="It is a starting point; recalls since the build are not known here. Update it:"
            " tavo registry update --mirror SOURCE.",
        )  # fmt: skip
    return Check(name="catalog", state="good", found=found, facts=facts)


def _plugins(count: int) -> Check:
    return Check(
        name="plugins", state="good",
        found=f"{count} installed; `tavo registry verify` hashes them",
        facts={"installed": count},
    )  # fmt: skip


def _engines() -> Check:
    """Name the optional engines that later commands use where they are installed."""
    found = {
        "regopy": importlib.util.find_spec("regopy") is not None,
        **{name: shutil.which(name) for name in ("opa", "opengrep", "semgrep")},
    }
    here = [name for name, place in found.items() if place]
    return Check(
        name="engines", state="good",
        found=f"optional ones: {', '.join(here)}" if here else "no optional ones, none is needed",
        facts=found,
    )  # fmt: skip


def _disk(paths: Paths) -> Check:
    free: dict[str, int] = {}
    for name in ("config", "data", "state", "cache"):
        folder: Path = getattr(paths, name)
        free[str(folder)] = shutil.disk_usage(_existing(folder)).free
        if not os.access(_existing(folder), os.W_OK):
            return Check(
                name="disk", state="bad", found=f"{folder}: cannot be written",
                hint="Set HOME, or the XDG variables, to folders of your own.",
                code=ExitCode.FAILED, facts=free,
            )  # fmt: skip
    least = min(free.values())
    return Check(
        name="disk", state="good" if least > _LITTLE_SPACE else "bad",
        found=f"{least / 1e9:.1f} GB free for {', '.join(dict.fromkeys(free))}",
        hint="" if least > _LITTLE_SPACE else "Free some space; tavo unpacks about 30 MB.",
        code=ExitCode.OK if least > _LITTLE_SPACE else ExitCode.FAILED, facts=free,
    )  # fmt: skip


def _existing(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def _day(seconds: int) -> str:
    from datetime import UTC

    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"


def codes(checks: Iterable[Check]) -> list[ExitCode]:
    """Return the exit codes of checks that are bad."""
    return [check.code for check in checks if check.state == "bad"]
