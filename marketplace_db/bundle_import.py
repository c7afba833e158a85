"""Importing a bundle into a mirror: a sync whose source is the bundle.

Rules this module keeps:
- one code path: what comes on a disk is verified as what comes over the network;
- before anything is copied it is known that everything needed is in the bundle or in the mirror;
- a bundle that holds more than signed metadata names is refused, and the mirror stays as it was;
- the bundle is only read, so that the same import can run again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from marketplace_db.bundle import Bundle, BundleSource
from marketplace_db.errors import MirrorError
from marketplace_db.mirror import MirrorReport, read_hint, sync
from marketplace_db.mirror_copy import Observer
from signing.client import TrustState, root_facts
from signing.errors import MissingError, VerificationError

__all__ = ["import_bundle"]

_ROOT = re.compile(r"metadata/[0-9]+\.root\.json")
_SHOWN = 5


def import_bundle(
    places: Sequence[Path],
    destination: Path,
    *,
    root: bytes,
    cache: Path,
    state: TrustState,
    now: datetime,
    build_time: datetime,
    reporter: Observer | None = None,
) -> tuple[MirrorReport, Bundle]:
    """Bring a mirror to what a bundle holds. Errors as `marketplace_db.mirror.sync`."""
    bundle = Bundle.open(places)
    ours = root_facts(root).repository
    if bundle.summary.repository != ours:
        raise VerificationError(
            f"{bundle.name} is of another repository ({bundle.summary.repository:.12}), trusted is"
            f" {ours:.12}",
            hint="Configure the root of that repository, or ask for a bundle of this one.",
        )
    _check_base(bundle, destination)
    report = sync(
        BundleSource(bundle, destination),
        destination,
        root=root,
        cache=cache,
        state=state,
        now=now,
        build_time=build_time,
        selection=bundle.summary.filters,
        audit=_Audit(bundle),
        connections=1,  # a medium has one head
        reporter=reporter,
    )
    accepted = report.refreshed
    record = accepted.record._replace(source=str(destination.resolve()))
    return replace(report, refreshed=accepted._replace(record=record)), bundle


def _check_base(bundle: Bundle, destination: Path) -> None:
    base = bundle.summary.base
    if base is None:
        return
    hint = read_hint(destination)
    what = f"{bundle.name} goes from version {base} to {bundle.summary.timestamp}"
    if hint is None:
        raise MirrorError(
            f"{what}, and {destination} is no mirror yet", hint="Import a full bundle first."
        )
    have = hint.get("timestamp")
    if type(have) is not int or have < base:
        raise MirrorError(
            f"{what}, and {destination} is at version {have!r:.20}",
            hint=f"Import the bundles up to version {base} first, or a full one.",
        )


class _Audit:
    """Compares what a bundle and the mirror hold with what signed metadata names."""

    def __init__(self, bundle: Bundle) -> None:
        self._bundle = bundle

    def needed(self, files: Iterable[str], destination: Path) -> None:
        """Raise MissingError with the names of files that are in neither."""
        missing = [
            path
            for path in files
            if path not in self._bundle.entries and not (destination / path).is_file()
        ]
        if missing:
            more = f" and {len(missing) - _SHOWN} more" if len(missing) > _SHOWN else ""
            raise MissingError(
                f"{self._bundle.name} and {destination} lack {len(missing)} files that are needed:"
                f" {', '.join(missing[:_SHOWN])}{more}",
                hint="It was made for a mirror that has them: import the bundles before it first,"
                " or ask for a full one.",
            )

    def named(self, files: Iterable[str]) -> None:
        """Raise VerificationError if the bundle holds a file that nothing signed names."""
        left = set(self._bundle.entries)
        left.difference_update(files)
        extra = sorted(path for path in left if not _ROOT.fullmatch(path))
        if extra:
            raise VerificationError(
                f"{self._bundle.name} holds {len(extra)} files that the signed metadata does not"
                f" name, such as {extra[0]:.120}",
                hint="This bundle was changed on its way: ask for another one.",
            )
