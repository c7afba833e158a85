"""`tavo self`: this file of tavo: verify, update, unpack, and completion for shells."""

from __future__ import annotations

import enum
import errno
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tavo.cli.context import Session, session_of
from tavo.errors import ExitCode, InputError, RefusedError, UsageError
from tavo.printable import printable

if TYPE_CHECKING:
    from tavo.onefile.finder import Finder

__all__ = ["register"]


class Shell(enum.StrEnum):
    """The shells that completion is written for."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


Mirror = Annotated[
    str | None,
    typer.Option("--mirror", metavar="SOURCE", help="A mirror's folder or https address."),
]


def register(app: typer.Typer) -> None:
    """Add the group to the root command."""
    group = typer.Typer(help="This file of tavo: verify, update, unpack, completion.",
                        no_args_is_help=True)  # fmt: skip
    group.command("verify")(verify)
    group.command("update")(update)
    group.command("unpack")(unpack)
    group.command("completion")(completion)
    app.add_typer(group, name="self")


def verify(context: typer.Context, mirror: Mirror = None) -> None:
    """Compare this file and what it unpacked with its manifest, and with the signed releases."""
    from tavo.onefile.contents import (
        read_manifest,
        unpacked_folder,
        wrong_members,
        wrong_unpacked,
    )

    session = session_of(context)
    finder = _finder("verify")
    archive = Path(finder.archive)
    try:
        manifest = read_manifest(archive)
        problems = list(wrong_members(archive, manifest))
    except (OSError, ValueError, KeyError, LookupError) as error:
        raise RefusedError(
            f"{archive}: its manifest cannot be read: {error}", hint="Download the file again."
        ) from error
    home = unpacked_folder(finder)
    if home is not None:
        problems += wrong_unpacked(finder, home)
    release = _release(session, mirror, archive)
    if session.json:
        session.print_json({
            "file": str(archive), "build": manifest["build"], "unpacked": home and str(home),
            "release": release, "problems": problems,
        })  # fmt: skip
    else:
        members, files = len(manifest["members"]), len(manifest["files"])
        print(
            printable(f"{archive}: {members} members compared with the manifest of {files} files")
        )
        print(printable(f"{home}: every file compared" if home else "nothing is unpacked here yet"))
        print(printable(release or _UNPROVEN))
        for problem in problems:
            print(printable(f"WRONG {problem}"))
        if not problems:
            print("good" if release else "consistent: it is what its own manifest says")
    if problems:
        raise typer.Exit(int(ExitCode.REFUSED))


_PROBE_S = 120
_UNPROVEN = (
    "not compared with a signed release: name a source with --mirror, or set registry.source."
    " A file cannot prove itself; docs/verify_tavo.py can prove it from outside"
)


def update(
    context: typer.Context,
    mirror: Mirror = None,
    check: Annotated[bool, typer.Option("--check", help="Only say whether there is one.")] = False,
    repair: Annotated[
        bool, typer.Option("--repair", help="Put the signed file of this version in place.")
    ] = False,
) -> None:
    """Replace this file by the newest signed release; never by an older one."""
    from packaging.version import Version

    from tavo import __version__
    from tavo.registry.releases import check_file, newest, replace

    session = session_of(context)
    finder = _finder("update")
    releases, source = session.releases(mirror)
    release = newest(releases, Version(__version__))
    if release is None:
        same = [one for one in releases if one.version == Version(__version__)]
        if not same or check_file(Path(finder.archive), same):
            print(f"tavo {__version__} is the newest release of {printable(source.name)}.")
            return
        if not repair:
            raise RefusedError(
                f"{finder.archive}: is version {__version__}, but not the file that"
                f" {source.name} has signed for it",
                hint="Your own build is no release. If it is damaged: tavo self update --repair.",
            )
        release = same[0]
    if check:
        print(f"tavo {release.version} is available; this is {__version__}.")
        return
    if sys.platform == "win32":
        finder.close()  # an open file cannot be replaced there
    replace(
        Path(finder.archive), release, source, probe=lambda path: _probe(path, str(release.version))
    )
    print(f"Updated {printable(finder.archive)} from {__version__} to {release.version}.")


def unpack(
    context: typer.Context,
    to: Annotated[str, typer.Option("--to", metavar="DIR", help="A folder of your own.")],
) -> None:
    """Unpack into a folder, for an image whose users start at once and cannot write."""
    from tavo.onefile.cache import VARIABLE, home_name
    from tavo.onefile.contents import wrong_unpacked
    from tavo.onefile.unpack import unpack as unpack_into

    finder = _finder("unpack")
    if not to:
        raise UsageError("self unpack: --to names no folder", hint="Name a folder of your own.")
    place = Path(to).expanduser().absolute()
    home = str(place / home_name(finder))
    if Path(home).is_dir() and (problems := list(wrong_unpacked(finder, Path(home)))):
        raise RefusedError(problems[0], hint=f"Find out who changed it, then delete {home}.")
    try:
        home = unpack_into(finder, str(place), for_all=True)
    except OSError as error:
        raise InputError(
            f"{place}: cannot unpack here: {error.strerror or error}",
            hint="Free about 40 MB."
            if error.errno == errno.ENOSPC
            else "Name a folder that belongs to you and that nobody else may write to.",
        ) from error
    print(printable(home))
    session_of(context).say(f"Set {VARIABLE}={place} where tavo shall use it.")


def completion(
    shell: Annotated[Shell, typer.Argument(metavar="bash|zsh|fish")],
    name: Annotated[
        str, typer.Option("--name", help="The command that you type, if it is not tavo.")
    ] = "tavo",
) -> None:
    """Print a completion script: `eval "$(tavo self completion bash)"` in your shell's profile."""
    from tavo.cli.completion import script

    print(script(shell.value, name))


def _finder(command: str) -> Finder:
    from tavo.onefile import running

    finder = running()
    if finder is None:
        raise UsageError(
            f"self {command}: this tavo is not a single file, it was installed as a package",
            hint="Use the tool that installed it, such as pip.",
        )
    return finder


def _release(session: Session, mirror: str | None, archive: Path) -> str:
    """Say which signed release the file is. Raises RefusedError if it is none of them."""
    if mirror is None and session.settings().registry.source is None:
        return ""
    from tavo.registry.releases import check_file

    releases, source = session.releases(mirror)
    found = check_file(archive, releases)
    if found is None:
        known = ", ".join(str(one.version) for one in releases) or "none"
        raise RefusedError(
            f"{archive}: is not a release that {source.name} has signed (it has {known})",
            hint="A build of your own is in no release. Otherwise download the file again.",
        )
    return f"this file is the signed release {found.version} of {source.name}"


def _probe(path: Path, version: str) -> None:
    """Start the new file before it takes the place of this one."""
    import subprocess

    for words, expected in ((["--version"], ["tavo", version]), (["rules", "list"], [])):
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", str(path), *words],
                capture_output=True, text=True, check=False, timeout=_PROBE_S,
            )  # fmt: skip
            reason = done.stderr.strip() or f"exit code {done.returncode}"
        except subprocess.TimeoutExpired:
            reason = f"no answer within {_PROBE_S} seconds"
        else:
            if done.returncode == 0 and done.stdout.split()[: len(expected)] == expected:
                continue
        raise RefusedError(
            f"release {version} does not run here: {reason.splitlines()[0]}",
            hint="This file was left as it is.",
        )
