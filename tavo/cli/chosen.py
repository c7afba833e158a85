"""The plugins that a command names: installed ones verified, local ones agreed to.

An installed plugin runs only if neither it nor what it needs was recalled, and each paid one among
them is covered by an entitlement now.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli.context import Session
from tavo.errors import RefusedError, UsageError

if TYPE_CHECKING:
    from signing.publishers import Recalls
    from tavo.host.installed import Installation, VerifiedInstallation
    from tavo.host.together import Member

__all__ = [
    "AcceptLocal",
    "PluginConfig",
    "check_entitled",
    "configs_of",
    "names_in",
    "needed_plugins",
    "recall_of",
    "verified_plugin",
    "verified_plugins",
]


PluginConfig = Annotated[
    Path | None,
    typer.Option(
        "--plugin-config", metavar="FILE", help="YAML, JSON or TOML: plugin to configuration."
    ),
]
AcceptLocal = Annotated[
    list[str] | None,
    typer.Option(
        "--accept-local", metavar="SHA256", help="Run a local plugin with this digest, this time."
    ),
]
_WAYS = {
    "static": "with --static-plugins of `tavo scan`",
    "dynamic": "with --dynamic-plugins and --target of `tavo scan`",
    "log": "with --log-plugins of `tavo logs analyze`",
}


def names_in(listed: str) -> list[str]:
    """Return the names of a list with commas, each once."""
    return list(dict.fromkeys(name.strip() for name in listed.split(",") if name.strip()))


def verified_plugins(
    session: Session, names: Sequence[str], accept_local: Sequence[str], *, command: str,
    wanted: str,
) -> tuple[VerifiedInstallation, ...]:  # fmt: skip
    """Verify plugins of a type. One that is refused ends the command: nothing was started.

    Raises as `verified_plugin`, UsageError for one of another type.
    """
    verified = tuple(verified_plugin(session, name, accept_local) for name in names)
    for one in verified:
        kind = one.manifest.plugin_type
        if kind != wanted:
            raise UsageError(
                f"{command}: {one.manifest.full_id} is a {kind} plugin, not a {wanted} one",
                hint=f"Name it {_WAYS[kind]}." if kind in _WAYS
                else "It filters what passes through `tavo proxy`.",
            )  # fmt: skip
    return verified


def configs_of(
    path: Path | None, verified: Sequence[VerifiedInstallation]
) -> dict[str, dict[str, Any]]:
    """Return the configurations of plugins, by their full ids."""
    if path is None:
        return {}
    from tavo.runs.plugin_config import by_plugin, read_config

    plugins = [one.manifest.full_id for one in verified]
    return by_plugin(read_config(path), plugins, where=str(path))


def verified_plugin(
    session: Session, name: str, accept_local: Sequence[str], *, folder: Path | None = None
) -> VerifiedInstallation:
    """Verify a plugin by its name or path; `folder` is where a relative path starts.

    Raises RefusedError, TamperedError, NotConfirmedError: then nothing may be started.
    """
    began = time.thread_time()
    verified = _verified(session, name, accept_local, folder or Path())
    verified.cpu_s += time.thread_time() - began
    return verified


def _verified(
    session: Session, name: str, accept_local: Sequence[str], folder: Path
) -> VerifiedInstallation:
    from marketplace_db.catalog import full_id_of
    from tavo.host.local import is_local_name

    if is_local_name(name):
        return _local(session, folder / Path(name).expanduser(), accept_local)
    store = session.installations()
    try:
        installed = store.get(full_id_of(name))
    except UsageError as error:
        if (folder / name / "plugin.yaml").is_file():
            # said, never done: a scanned project may hold a folder of any name
            raise UsageError(str(error), hint=f"Did you mean the folder ./{name}?") from None
        raise
    verified = store.verify(installed)
    try:
        _check_recalls(session, (verified, *verified.needs))
        check_entitled(session, (one.installation for one in (verified, *verified.needs)))
        verified.check_granted()
    except BaseException:
        verified.close()
        raise
    return verified


def needed_plugins(session: Session) -> Callable[[Member], tuple[VerifiedInstallation, ...]]:
    """Return what verifies the installed plugins whose code a local plugin uses."""

    def needed_by(one: Member) -> tuple[VerifiedInstallation, ...]:
        needs = session.installations().needed_by(one)
        try:
            _check_recalls(session, needs)
            check_entitled(session, (other.installation for other in needs))
        except BaseException:
            for other in needs:
                other.close()
            raise
        return needs

    return needed_by


def _check_recalls(session: Session, plugins: Iterable[VerifiedInstallation]) -> None:
    recalls = session.recalls()
    for one in (plugin.installation for plugin in plugins):
        reason = recall_of(recalls, one)
        if reason is not None:
            raise RefusedError(
                f"{one.full_id} {one.version}: was recalled: {reason}",
                hint=f"Remove it: tavo registry uninstall {one.full_id}",
            )


def check_entitled(session: Session, installed: Iterable[Installation]) -> None:
    """Raise NotAcceptedError, or RefusedError, for a paid plugin that nothing covers now."""
    for one in installed:
        if json.loads(one.manifest_json).get("pricing_tier", "free") == "free":
            continue  # most are
        manifest = one.manifest
        held = session.entitlements(repository=one.repository)
        if held is None:
            raise RefusedError(
                f"{one.full_id} {one.version}: is a {manifest.pricing_tier} plugin of a marketplace"
                f" ({one.repository[:12]}) that this tavo does not trust now, so its entitlement"
                " cannot be verified",
                hint="Configure that marketplace: registry.root in the user configuration, or"
                " `tavo trust add`.",
            )
        held.check(manifest)


def recall_of(recalls: Recalls, one: Installation) -> str | None:
    """Say why an installed plugin may not run any more: it, or the keys behind it, went."""
    signed = one.provenance
    return recalls.reason(
        one.package, signed.get("publisher_keys", ()), signed.get("reviewer_keys", ())
    )


def _local(session: Session, path: Path, accept_local: Sequence[str]) -> VerifiedInstallation:
    """Copy a folder or zip that nobody signed, ask about it, and return it ready to run."""
    import atexit

    from tavo.cli.plugin_trust import confirm_local
    from tavo.host.local import open_local

    local = open_local(path, needed_by=needed_plugins(session))
    atexit.register(local.close)
    recalled = session.recalls().packages.get(local.digest)
    if recalled is not None:
        raise RefusedError(f"{path}: was recalled: {recalled}", hint="Do not run it.")
    with session.state() as state:
        if local.digest.hex not in accept_local:
            confirm_local(session, state, local)
        return local.confirmed(state, accept=accept_local)
