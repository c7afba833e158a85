"""`tavo registry` install, upgrade, rollback, lock, prune: changing what is installed.

Rules this module keeps:
- the whole set is known, verified and agreed to before the first plugin is installed;
- all of it is installed or none.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tavo.cli.consent import Grant, Yes, ask_consent, record_consent, tell_unasked, waiting
from tavo.cli.context import Session, session_of
from tavo.cli.registry_entitle import covered
from tavo.errors import RefusedError, UsageError
from tavo.printable import counted, printable

if TYPE_CHECKING:
    from marketplace_db.catalog import ReleaseRow
    from marketplace_db.manifest import Manifest
    from marketplace_db.requirement import PluginRequirement
    from tavo.host.installed import Installation
    from tavo.registry.consent import Consent, Grants
    from tavo.registry.entitlements import Entitlements
    from tavo.registry.plan import Step
    from tavo.registry.shelves import Shelves

__all__ = ["install", "lock", "prune", "rollback", "upgrade"]

Mirror = Annotated[
    str | None,
    typer.Option("--mirror", metavar="SOURCE", help="A mirror's folder or https address."),
]
Names = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PLUGIN...",
        help="publisher/name, with a range as in 'publisher/name>=1,<2'; name alone means"
        " tavo/name.",
    ),
]

_USE = {
    "static": "tavo scan . --static-plugins {name}",
    "dynamic": "tavo scan . --dynamic-plugins {name} --target URL",
    "log": "tavo logs analyze FILE --log-plugins {name}",
    "proxy": "under `filters` of a proxy.yaml: {{filter: plugin, plugin: {id}}}",
}


def install(
    context: typer.Context,
    plugins: Names = None,
    requirement: Annotated[
        Path | None,
        typer.Option("-r", "--requirement", metavar="FILE", help="Install what a lock file names."),
    ] = None,
    version: Annotated[str | None, typer.Option(help="This version, not the newest.")] = None,
    write: Annotated[
        Path | None, typer.Option("--lock", metavar="FILE", help="Write a lock file of it, too.")
    ] = None,
    yes: Yes = False,
    words: Grant = None,
    mirror: Mirror = None,
) -> None:
    """Verify plugins and what they need, show what they may do, ask, and install them all."""
    from tavo.registry.consent import read_grants
    from tavo.registry.lockfile import read_lock
    from tavo.registry.plan import locked_steps, plan

    session = session_of(context)
    grants = read_grants(words or (), yes=yes)
    if requirement is not None and (plugins or version):
        raise UsageError("registry install: name plugins or a lock file with -r, not both")
    wanted = _requirements(plugins or [], version)
    locked = None if requirement is None else read_lock(requirement)
    passed_over: dict[str, str] = {}
    with session.shelves(mirror) as shelves:
        installed = session.installations().list()
        if locked is not None:
            steps = locked_steps(shelves, locked, installed)
        else:
            steps = plan(shelves, wanted, installed, passed_over=passed_over)
            _tell_passed_over(session, passed_over)
        done = _install(session, shelves, steps, grants)
        if write is not None:
            names = {step.release.full_id for step in steps}
            _write_lock(session, shelves, write, names)
    _refuse_incomplete(done)
    for step in steps if locked is None else ():
        if step.wanted is not None and len(wanted) == 1:
            manifest = step.release.parsed_manifest()
            name = manifest.full_id.removeprefix("tavo/")
            used = _USE[manifest.plugin_type].format(name=name, id=manifest.full_id)
            print(printable(f"Use it: {used}"))


def upgrade(
    context: typer.Context,
    plugins: Names = None,
    yes: Yes = False,
    words: Grant = None,
    mirror: Mirror = None,
) -> None:
    """Install the newest releases of these installed plugins, or of all; all of them or none."""
    from tavo.registry.consent import read_grants
    from tavo.registry.plan import plan_upgrade

    session = session_of(context)
    grants = read_grants(words or (), yes=yes)
    wanted = _requirements(plugins or [], None)
    passed_over: dict[str, str] = {}
    with session.shelves(mirror) as shelves:
        installed = session.installations().list()

        def entitled(release: ReleaseRow, manifest: Manifest) -> str:
            if manifest.pricing_tier == "free":
                return ""
            held = session.entitlements(shelves.of(release.full_id).opened)
            return "needs an entitlement" if held is None else held.problem(manifest)

        steps = plan_upgrade(shelves, wanted, installed, judges=[entitled], passed_over=passed_over)
        _tell_passed_over(session, passed_over)
        if not steps:
            session.say("Nothing to upgrade: the newest releases that fit are installed.")
        done = _install(session, shelves, steps, grants)
    _refuse_incomplete(done)


def rollback(
    context: typer.Context,
    plugins: Annotated[list[str], typer.Argument(metavar="PLUGIN...", help="Installed plugins.")],
    mirror: Mirror = None,
) -> None:
    """Go back to the installation before, of one plugin or of several together."""
    from marketplace_db.acceptance import check_not_recalled
    from marketplace_db.catalog import full_id_of
    from tavo.cli.chosen import check_entitled, recall_of

    session = session_of(context)
    store, recalls = session.installations(), session.recalls()
    with session.shelves(mirror) as shelves:

        def check(before: Installation) -> None:
            shelf = shelves.find(before.repository)
            if shelf is None or shelves.of(before.full_id) is not shelf:
                raise RefusedError(
                    f"{before.full_id} {before.version}: is from another repository, whose"
                    " recalls are not known here",
                    hint="Name a mirror of that repository with --mirror.",
                )
            release = shelf.catalog.release(before.full_id, before.version)
            if release.package != before.package:
                raise RefusedError(
                    f"{before.full_id} {before.version}: is not the package of the catalog"
                )
            opened = shelf.opened
            check_not_recalled(release, opened.publishers, known_yanks=opened.withdrawn)
            if (reason := recall_of(recalls, before)) is not None:
                raise RefusedError(f"{before.full_id} {before.version}: was recalled: {reason}")
            check_entitled(session, [before])

        pairs = store.roll_back([full_id_of(name) for name in plugins], check)
    for now, before in pairs:
        print(printable(f"{now.full_id}: went back from {now.version} to {before.version}."))
        if store.granted(before) is None:
            session.say(
                f"{before.full_id} {before.version} does not run until you accept its permissions:"
                f" tavo registry install {before.full_id}=={before.version}"
            )


def lock(
    context: typer.Context,
    plugins: Names = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to write it.")
    ] = Path("tavo.lock"),
    mirror: Mirror = None,
) -> None:
    """Write a lock file of what is installed, or of plugins as they would be installed."""
    from tavo.registry.lockfile import LockedPlugin, write_lock_file
    from tavo.registry.plan import plan

    session = session_of(context)
    wanted = _requirements(plugins or [], None)
    with session.shelves(mirror) as shelves:
        if not wanted:
            names = {one.full_id for one in session.installations().list()}
            if not names:
                raise UsageError(
                    "registry lock: no plugins are installed", hint="Name the plugins to lock."
                )
            _write_lock(session, shelves, output, names)
            return
        steps = plan(shelves, wanted, ())
        repository = _one_repository({step.shelf.repository for step in steps})
    locked = [LockedPlugin.of(step.release, step.wanted) for step in steps]
    write_lock_file(output, repository, locked)
    session.say(f"{output}: {_count(len(locked))}.")


def prune(context: typer.Context) -> None:
    """Delete what is kept for rollbacks."""
    session = session_of(context)
    for one in session.installations().prune():
        print(printable(f"Deleted {one.full_id} {one.version}."))


def _requirements(given: Sequence[str], version: str | None) -> list[PluginRequirement]:
    from marketplace_db.requirement import parse_requirement

    if version is not None and len(given) != 1:
        raise UsageError("registry install: --version goes with one plugin")
    try:
        texts = [f"{one}=={version}" for one in given] if version is not None else given
        return [parse_requirement(text, typed=True) for text in texts]
    except ValueError as error:
        raise UsageError(
            str(error), hint="Expected publisher/name, name@1.2, or 'name>=1,<2' in quotes."
        ) from error


def _install(
    session: Session,
    shelves: Shelves,
    steps: Sequence[Step],
    grants: Grants,
) -> list[Consent]:
    """Fetch and accept everything, have everything agreed to, then install all of it."""
    import tempfile

    from tavo.registry.plan import prepare_step
    from tavo.registry.reviews import override_sentences

    if not steps:
        return []
    if len(steps) > 1:
        print("Together:")
        for step in steps:
            print(printable(f"  {_line(step)}"))

    def held(step: Step) -> Entitlements | None:
        paid = step.release.parsed_manifest().pricing_tier != "free"
        return session.entitlements(step.shelf.opened) if paid else None

    with tempfile.TemporaryDirectory(prefix="tavo-install-") as folder:
        ready = [(step, prepare_step(step, Path(folder), held(step))) for step in steps]
        consents = []
        for step, prepared in ready:
            release = step.release
            print(printable(
                f"{release.full_id} {release.version}: verified ({release.package.short}, signed by"
                f" its publisher, {len(prepared.accepted.reviewer_keys)} reviews)"
                + (f" from {step.shelf.name}" if shelves.several else "")
            ))  # fmt: skip
            if prepared.entitlement is not None:
                print(printable(f"  {covered(prepared.entitlement)}"))
            for sentence in override_sentences(prepared.accepted.overrides):
                print(printable(f"ATTENTION: {sentence}"))
            consents.append(ask_consent(session, prepared, grants, is_named=step.named))
        installed = session.installations().install_all(
            [prepared.staged(**step.provenance) for step, prepared in ready]
        )
    for one, consent in zip(installed, consents, strict=True):
        print(printable(f"Installed {one.full_id} {one.version}."))
        record_consent(session, consent, one)
    tell_unasked(session, grants, *(consent.demand for consent in consents))
    return consents


def _tell_passed_over(session: Session, passed_over: Mapping[str, str]) -> None:
    for name, problem in passed_over.items():
        session.say(f"Passed over {name}: {problem}.")


def _refuse_incomplete(consents: Sequence[Consent]) -> None:
    """End with the refusal of an update that waits, after all others were said."""
    errors = [waiting(consent) for consent in consents if not consent.complete]
    for error in errors[:-1]:
        print(printable(f"tavo: {error}\n  {error.hint}"), file=sys.stderr)
    if errors:
        raise errors[-1]


def _line(step: Step) -> str:
    release = step.release
    text = f"{release.full_id} {release.version}"
    if step.replaces and step.replaces != release.version:
        text += f", in place of {step.replaces}"
    if step.wanted is None:
        text += ", which others need"
    return text


def _one_repository(found: set[str]) -> str:
    if len(found) != 1:
        raise RefusedError(
            f"a lock file is for one marketplace, and these plugins come from {len(found)}",
            hint="Write one for the plugins of each, and install from both.",
        )
    return next(iter(found))


def _write_lock(session: Session, shelves: Shelves, path: Path, names: set[str]) -> None:
    """Lock installed plugins as they are; each must be what the catalog says."""
    from tavo.registry.lockfile import LockedPlugin, write_lock_file
    from tavo.registry.plan import is_only_needed

    store = session.installations()
    locked = []
    repositories: set[str] = set()
    pending = sorted(names)
    while pending:
        one = store.get(pending.pop())
        shelf = shelves.of(one.full_id)
        release = shelf.catalog.release(one.full_id, one.version)
        repositories.add(one.repository)
        if one.repository != shelf.repository or release.package != one.package:
            raise RefusedError(
                f"{one.full_id} {one.version}: the one that is installed is not that of this"
                " catalog, so it was not locked",
                hint="Name the mirror that it came from with --mirror.",
            )
        wanted = None if is_only_needed(one) else str(one.provenance.get("wanted", ""))
        locked.append(LockedPlugin.of(release, wanted))
        for need in one.manifest.requirements:
            if need.full_id not in names:
                names.add(need.full_id)
                pending.append(need.full_id)
    write_lock_file(path, _one_repository(repositories), locked)
    session.say(f"{path}: {_count(len(locked))}.")


def _count(number: int) -> str:
    return f"{counted(number, 'plugin')} locked"
