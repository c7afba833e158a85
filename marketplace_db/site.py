"""Who reads a repository, and what that machine trusts and has accepted."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from marketplace_db.delta import apply
from signing.client import Refreshed, Source, TrustState, refresh, root_facts

__all__ = ["Site"]


class Site(NamedTuple):
    """The trusted root, the client's cache, what was accepted before, the time and the build's."""

    root: bytes
    cache: Path
    state: TrustState
    now: datetime
    build_time: datetime

    @property
    def of_repository(self) -> Path:
        """Where the client keeps what it has accepted of this root's repository."""
        return self.cache / root_facts(self.root).repository

    def read(
        self, source: Source, *, cache: Path | None = None, old_artifacts: Sequence[Path] = ()
    ) -> Refreshed:
        """Accept all of a repository, by deltas where they lead to it. Errors as `refresh`.

        `cache` is used instead of the client's own, which then learns nothing.
        """
        return refresh(
            source,
            root=self.root,
            cache=self.cache if cache is None else cache,
            state=self.state,
            now=self.now,
            build_time=self.build_time,
            with_releases=True,
            apply_deltas=apply,
            old_artifacts=old_artifacts,
        )
