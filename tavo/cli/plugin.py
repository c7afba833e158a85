"""`tavo plugin`: the author's kit, and the user's word for a plugin that nobody signed."""

from __future__ import annotations

import enum
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from tavo.cli.chosen import needed_plugins
from tavo.cli.consent import print_permissions
from tavo.cli.context import Session, session_of
from tavo.cli.plugin_run import PluginConfig, run
from tavo.cli.plugin_submit import submit
from tavo.cli.plugin_trust import PluginPath, trust
from tavo.cli.render import styled, wants_color
from tavo.cli.wheels import build_wheels, lock
from tavo.errors import ExitCode, UsageError
from tavo.printable import counted, one_line, printable

if TYPE_CHECKING:
    from tavo.kit.rehearsal import OwnTest
    from tavo.kit.statement import Statement
    from tavo.kit.validate import Validation

__all__ = ["register"]

_STYLES = {"passed": "good", "note": "warning", "skipped": "dim", "failed": "bad",
           "problem": "bad"}  # fmt: skip


class PluginType(enum.StrEnum):
    """The types of plugins."""

    STATIC = "static"
    DYNAMIC = "dynamic"
    PROXY = "proxy"
    LOG = "log"


def register(app: typer.Typer) -> None:
    """Add the group to the root command."""
    group = typer.Typer(help="Write, test, pack and sign plugins.", no_args_is_help=True)
    group.command("init")(init)
    group.command("validate")(validate)
    group.command("run")(run)
    group.command("test")(try_out)
    group.command("lock")(lock)
    group.command("pack")(pack)
    group.command("sign")(sign)
    group.command("submit")(submit)
    group.command("trust")(trust)
    app.add_typer(group, name="plugin")


def init(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The plugin's id.")],
    type: Annotated[  # noqa: A002
        PluginType, typer.Option("--type", help="What it looks at.")
    ] = PluginType.STATIC,
    publisher: Annotated[
        str, typer.Option("--publisher", metavar="NAME", help="Your namespace; default: me.")
    ] = "",
    folder: Annotated[
        Path | None, typer.Option("--folder", metavar="DIR", help="Where to; default: ./NAME.")
    ] = None,
) -> None:
    """Write a complete small plugin that works."""
    from tavo.kit.start import write_plugin

    session = session_of(context)
    target = folder or Path(name)
    named, publisher = publisher, publisher or "me"
    written = write_plugin(name, target, plugin_type=type.value, publisher=publisher)
    if session.json:
        session.print_json({"folder": str(target), "files": written})
        return
    print(printable(f"{publisher}/{name}, a {type.value} plugin, is in {target}:"))
    for path in written:
        print(printable(f"  {path}"))
    if not named:
        session.say("It is published as `me` until you write your namespace into plugin.yaml.")
    session.say(f"Next: tavo plugin test {target}")


def validate(
    context: typer.Context,
    path: PluginPath,
    public_key: Annotated[
        str, typer.Option("--public-key", metavar="HEX", help="Who must have signed the zip.")
    ] = "",
) -> None:
    """Name everything that is wrong with a plugin, without running it; exit 1 if there is."""
    from tavo.kit.validate import validate as look

    session = session_of(context)
    found = look(path, public_key=public_key)
    if session.json:
        session.print_json({**msgspec.to_builtins(found), "passed": found.passed})
    else:
        _print_validation(session, found)
    raise typer.Exit(int(ExitCode.OK if found.passed else ExitCode.FINDINGS))


def try_out(
    context: typer.Context,
    path: PluginPath,
    plugin_config: PluginConfig = None,
) -> None:
    """Try your own plugin on what every plugin must hold, in the sandbox; exit 1 if it fails."""
    from tavo.host.local import open_local
    from tavo.kit.contract import run_suite
    from tavo.runs.plugin_config import for_one, read_config

    session = session_of(context)
    config = read_config(plugin_config)
    with open_local(path, needed_by=needed_plugins(session)) as local:
        report = run_suite(
            local,
            accept=session.settings().sandbox.accept,
            config=for_one(config, local.manifest.full_id),
            reporter=session.reporter(),
        )
    if session.json:
        session.print_json(msgspec.to_builtins(report))
    else:
        color = wants_color(sys.stdout, allowed=session.color)
        width = max(len(check.name) for check in report.checks) + 2
        for check in report.checks:
            _print_line(check.state, check.name.ljust(width), check.found, color=color)
            if check.state in {"failed", "note"} and check.hint:
                print(" " * (9 + width) + printable(check.hint))
        failed: dict[str, list[OwnTest]] = {}
        for one in report.tests:
            if one.outcome == "failed":
                failed.setdefault(one.message.strip().partition("\n")[0], []).append(one)
        for same in failed.values():
            print("\n" + "\n".join(printable(one.name) for one in same))
            print("\n".join(printable(line) for line in same[0].message.strip().splitlines()))
        said = "passed" if report.passed else "FAILED"
        session.say(
            f"{said}: {report.plugin} {report.version}, sandbox {report.sandbox}, package"
            f" {report.package}"
        )
    raise typer.Exit(int(ExitCode.OK if report.passed else ExitCode.FINDINGS))


def pack(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="The plugin's folder.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Where to write it.")
    ] = None,
    build_wheel: Annotated[
        list[Path] | None,
        typer.Option(
            "--build-wheel", metavar="SDIST",
            help="First build its wheel of these sources, in the sandbox; may be repeated.",
        ),
    ] = None,
    build_with: Annotated[
        Path | None,
        typer.Option("--build-with", metavar="DIR", help="Where wheels of the build tools lie."),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", metavar="FILE", help="Your key, which signs how wheels were built."),
    ] = None,
) -> None:  # fmt: skip
    """Pack a plugin: the same files give the same bytes. Prints the package's digest."""
    from tavo.kit.publish import pack as make

    session = session_of(context)
    if not build_wheel and (build_with or key):
        raise UsageError("plugin pack: --build-with and --key are for --build-wheel")
    built = build_wheels(session, path, build_wheel, build_with, key) if build_wheel else []
    package = make(path, output)
    if session.json:
        session.print_json({
            "file": str(package.path), "package": package.digest.hex, "length": package.length,
            "plugin": package.manifest.full_id, "version": package.manifest.version,
            **({"built": built} if built else {}),
        })  # fmt: skip
        return
    for one in built:
        print(printable(f"{one['sha256']}  {one['wheel']}"))
    print(printable(f"{package.digest.hex}  {package.path}"))
    _warn(session, package.path)
    session.say(f"Next: tavo plugin sign {package.path} --key FILE")


def sign(
    context: typer.Context,
    package: Annotated[Path, typer.Argument(metavar="PACKAGE", help="A packed zip.")],
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="Your publisher key.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Where to write it.")
    ] = None,
) -> None:
    """Sign a package: write the publisher's statement about it, beside it."""
    from tavo.cli.key import load_key
    from tavo.kit.publish import sign as make
    from tavo.registry.trust import utc_now

    session = session_of(context)
    private = load_key(key)
    written = make(package, private, now=utc_now(), out=output)
    if session.json:
        session.print_json({"file": str(written), "key_id": private.public.key_id})
        return
    print(printable(str(written)))
    _warn(session, package)
    session.say(f"Signed with key {private.public.key_id}.")


def _print_validation(session: Session, found: Validation) -> None:

    color = wants_color(sys.stdout, allowed=session.color)
    for problem in found.problems:
        _print_line(problem.kind, f"{problem.where}: ", problem.what, color=color)
        if problem.hint:
            print("         " + printable(problem.hint))
    if found.plugin:
        print(printable(f"{found.plugin} {found.version}, a {found.plugin_type} plugin"))
        print_permissions(found.can, found.cannot, found.danger)
    if found.package:
        print(f"sha256 {found.package}")
    if found.statement is not None and not found.statement.problem:
        _print_statement(found.statement)
    count = sum(problem.kind == "problem" for problem in found.problems)
    session.say(f"{counted(count, 'problem')}.")


def _warn(session: Session, package: Path) -> None:
    """Say what is wrong with a package that could be made, and would not work."""
    from tavo.kit.validate import validate as look

    problems = [problem for problem in look(package).problems if problem.kind == "problem"]
    for problem in problems:
        session.say(f"tavo: {problem.where}: {problem.what}")
    if problems:
        session.say("  A marketplace will not take it like this.")


def _print_statement(statement: Statement) -> None:
    keys = ", ".join(statement.key_ids)
    print(printable(f"{statement.file}: every field agrees with the package"))
    print(printable(f"  signed {statement.issued} by key {keys}"))
    if statement.signature == "verified":
        print("  its signature is verified")
    else:
        print("  its signature was not checked: name your key with --public-key HEX")


def _print_line(kind: str, name: str, text: str, *, color: bool) -> None:
    spans = [(_STYLES[kind], kind.ljust(9)), ("", printable(name)), ("", one_line(text))]
    print(styled(spans, color=color))
