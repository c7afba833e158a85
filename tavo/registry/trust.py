"""Which catalog this machine works with: refresh it, reopen it, remember what was accepted.

Rules this module keeps:
- a catalog is used only through `signing.client`: verified at the refresh, hashed again at every
  opening;
- the embedded repository is a starting point: whatever newer catalog was accepted replaces it;
- what was ever recalled stays recalled, whichever catalog is opened;
- what was ever seen withdrawn stays so until the offline role lifts it or gives the catalog new
  keys: a later catalog that forgets it may be the work of a stolen key;
- the same holds for entitlements that the online side took back;
- what the user granted to a namespace stands while the same hands hold it, and is taken back in the
  same step that accepts the document which says otherwise;
- no source is contacted that the user did not name.

Units: times UTC.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from signing.client import (
    AcceptedRecord,
    Artifact,
    DirectorySource,
    Refreshed,
    Source,
    TrustState,
    keys_of,
    prune,
    publishers_of,
    recalls_of,
    refresh,
    reopen,
    root_facts,
    stale_record,
)
from signing.digests import Digest, VerifiedFile
from signing.errors import SigningError, VerificationError, printable
from signing.files import write_atomically
from signing.publishers import Publishers, Recalls
from signing.trust import NO_GRACE, Stale, clock_sentence, set_back_sentence
from tavo.errors import ConfigError, RefusedError
from tavo.registry.embedded import Embedded
from tavo.registry.hands import Keys, follow_keys

if TYPE_CHECKING:
    from marketplace_db.entitlements import Basis

__all__ = ["OpenCatalog", "Trust", "TrustStore", "utc_now"]

_OLD_CATALOGS_S = 7 * 86400.0
_NO_BUILD_TIME = datetime(1970, 1, 1, tzinfo=UTC)


class TrustStore(Protocol):
    """Where the accepted state of each repository is kept, such as `tavo.host.state.State`."""

    def load_trust(self, repository: str) -> Mapping[str, Any] | None: ...
    def save_trust(
        self, repository: str, value: Mapping[str, Any], *, in_same_hands: Collection[str] | None
    ) -> tuple[str, ...]: ...


class OpenCatalog(NamedTuple):
    """A verified catalog, who may publish in it, where its blobs are, and what to tell the user.

    `withdrawn` are the packages that this machine ever saw withdrawn, each with the reason. `stale`
    is what of its metadata has expired and counts only by the policy of the site. `embedded` is the
    one of the sources that is inside of this file, None where none is.
    """

    file: VerifiedFile
    publishers: Publishers
    sources: tuple[Source, ...]
    record: AcceptedRecord
    notes: tuple[str, ...]
    withdrawn: Mapping[Digest, str]
    stale: Stale | None = None
    embedded: DirectorySource | None = None


def utc_now() -> datetime:
    """Return the system's clock."""
    return datetime.now(UTC)


class Trust:
    """The trusted catalog of one repository on this machine."""

    def __init__(
        self,
        store: TrustStore,
        cache: Path,
        *,
        embedded: Embedded | None,
        root: bytes | None = None,
        offline: bool = False,
        now: datetime | None = None,
        grace: timedelta = NO_GRACE,
        plain_http: Collection[str] = (),
        evidence: Path | None = None,
    ) -> None:
        """`root` replaces the embedded root; raises ConfigError if there is neither.

        `grace` is how long expired metadata may be used, by the policy of the site. `evidence` is
        the folder for what shows that a log of releases was rewritten.
        """
        self._embedded = embedded
        self._offline = offline
        self._plain_http = plain_http
        self._grace = grace
        self._evidence = evidence
        if root is None and embedded is None:
            raise ConfigError(
                "this tavo carries no repository and no trusted root is configured",
                hint="Set registry.root and registry.source in the user configuration, or use a"
                " tavo.pyz that was built with `python3 build.py pyz`.",
            )
        self.root = root if root is not None else embedded.root  # type: ignore[union-attr]
        self._same_root = embedded is not None and (
            root is None or root_facts(root).repository == root_facts(embedded.root).repository
        )
        self.repository = root_facts(self.root).repository
        self._store = store
        self.cache = cache
        self.now = now or utc_now()
        self.news: list[str] = []

    def update(self, source: Source, *, embedded: bool = False) -> OpenCatalog:
        """Refresh from a source, remember what was accepted, and open it."""
        from marketplace_db.delta import apply

        with self.keeping_evidence():
            accepted = refresh(
                source,
                root=self.root,
                cache=self.cache,
                state=self.state(),
                now=self.now,
                build_time=self.build_time,
                embedded=embedded,
                apply_deltas=apply,
            )
        recalls = self.remember(accepted)
        if accepted.fallback:
            self.news.append(
                "the whole catalog was fetched, as deltas did not lead to it:"
                f" {printable(accepted.fallback)}"
            )
        return self._opened(
            accepted.catalog, accepted.publishers, accepted.record, recalls, accepted.stale
        )

    def open(self, source: Source | None = None) -> OpenCatalog:
        """Open the catalog of a source, or else the newest that this machine has accepted."""
        if source is not None:
            return self.update(source)
        record = self.record()
        if record is None or self._embedded_is_newer(record):
            if self._embedded is None or not self._same_root:
                raise ConfigError(
                    "no catalog was accepted yet and no source is configured",
                    hint="Name a source with --mirror, or set registry.source in the user"
                    " configuration.",
                )
            return self.update(self._embedded.source, embedded=True)
        try:
            file, publishers = reopen(
                record, state=self.state(), now=self.now, build_time=self.build_time
            )
            stale = stale_record(
                record, state=self.state(), now=self.now, build_time=self.build_time
            )
        except SigningError:
            if not record.embedded or self._embedded is None:
                raise
            return self.update(self._embedded.source, embedded=True)
        return self._opened(file, publishers, record, self.recalls(), stale)

    def artifacts(self, source: Source) -> tuple[Artifact, ...]:
        """Refresh from a source with its `releases` role; return all files that are signed there.

        What was accepted is remembered like a catalog: an older list is a rollback afterwards,
        also when refreshes in between did not ask for it.
        """
        with self.keeping_evidence():
            accepted = refresh(
                source,
                root=self.root,
                cache=self.cache,
                state=self.state(),
                now=self.now,
                build_time=self.build_time,
                with_releases=True,
            )
        if accepted.stale is not None:
            self.news.append(accepted.stale.sentence)
        self.remember(accepted)
        return accepted.artifacts

    def recalls(self) -> Recalls:
        """Return everything known to be recalled, also from catalogs that have expired."""
        stored = self._stored().get("recalls", {})
        try:
            known = Recalls(
                keys=dict(stored.get("keys", {})),
                packages={Digest(d): str(r) for d, r in stored.get("packages", {}).items()},
            )
        except ValueError as error:
            raise RefusedError(f"the stored recalls cannot be read: {error}") from error
        record = self.record()
        if record is None:
            return known
        try:
            return known.union(recalls_of(record))
        except SigningError:
            return known  # the files are gone or changed: opening them says so, recalls are stored

    def remember(self, accepted: Refreshed) -> Recalls:
        """Store what a refresh accepted, in one step; return all recalls known from now on.

        The grants of namespaces that changed hands, or whose key was recalled, are taken back in
        the same step, and `news` says so.
        """
        before = self.recalls()
        recalls = before.union(accepted.publishers.recalls)
        known = self._known_keys()
        keys = {
            name: follow_keys(known.get(name), namespace, recalls, before)
            for name, namespace in accepted.publishers.namespaces.items()
        }
        if accepted.log_news:
            self.news.append(accepted.log_news)
        taken_back = self._store.save_trust(
            self.repository,
            {
                "state": accepted.state.to_dict(),
                "record": accepted.record.to_dict(),
                "recalls": {
                    "keys": dict(recalls.keys),
                    "packages": {d.hex: reason for d, reason in recalls.packages.items()},
                },
                "namespaces": {
                    name: {"now": sorted(one.now), "ever": sorted(one.ever)}
                    for name, one in keys.items()
                },
                "withdrawn": self._withdrawn_with(accepted),
                "entitlements": self._revoked_entitlements_with(accepted),
            },
            in_same_hands=[name for name, one in keys.items() if one.same_hands],
        )
        # Catalogs of earlier days, of which each day leaves one; who looks at one still may.
        prune(
            self.cache,
            [accepted.record],
            repository=self.repository,
            older_than_s=_OLD_CATALOGS_S,
        )
        self.news += [
            f"the namespace {name} has changed hands or lost a key: its plugins on this machine do"
            f" not run until you accept them again (tavo registry grant {name}/…)"
            for name in taken_back
        ]
        return recalls

    def basis(self, organisation: str | None, publishers: Publishers | None = None) -> Basis | None:
        """Return what entitlements are judged by, from what this machine knows; no source is asked.

        `publishers` is the document of an open catalog. Without it, it is the newest that was
        accepted, expired or not, as for plugins that are installed; None where there is none.
        Raises VerificationError, SourceError.
        """
        from marketplace_db.entitlements import Basis
        from signing.trust import reference_time

        if publishers is None:
            record = self.record()
            if record is None:
                return None
            publishers = publishers_of(record).with_recalls(self.recalls())
        reference = reference_time(
            now=self.now, newest_issued=self.state().newest_issued, build_time=self.build_time
        )
        return Basis(
            repository=self.repository,
            publishers=publishers,
            reference=reference,
            organisation=organisation or "",
            revoked=self._stored().get("entitlements", {}).get("revoked", {}),
        )

    def state(self) -> TrustState:
        """Return what this machine and this build have seen of the repository."""
        stored = self._stored().get("state")
        state = TrustState.from_dict(stored) if stored else TrustState()
        if self._embedded is not None and self._same_root:
            state = state.union(self._embedded.floors)
        return replace(state, grace=self._grace)

    @contextmanager
    def keeping_evidence(self) -> Iterator[None]:
        """Write down what shows that a log of releases was rewritten, and say where it lies."""
        try:
            yield
        except VerificationError as error:
            files: Mapping[str, bytes] = getattr(error, "evidence", {})
            if files and self._evidence is not None:
                name = f"{self.now:%Y%m%dT%H%M%SZ}-{self.repository[:12]}"
                for file, data in files.items():
                    write_atomically(self._evidence / name / file, data)
                error.hint = f"The evidence is in {self._evidence / name}. {error.hint}"
            raise

    def source(self, name: str) -> Source:
        """Make a source of a folder or an address, as `source_of`. Raises ConfigError."""
        from tavo.registry.sources import source_of  # most commands name none

        return source_of(name, offline=self._offline, plain_http=self._plain_http)

    def namespaces(self) -> frozenset[str]:
        """Return the namespaces of the newest document of publishers that was accepted here."""
        known = self._known_keys()
        if not known and self.record() is None and self._embedded is not None and self._same_root:
            self.open()
            known = self._known_keys()
        return frozenset(known)

    @property
    def build_time(self) -> datetime:
        """Return when this file was built, 1970 where it carries nothing that says so."""
        return self._embedded.built if self._embedded else _NO_BUILD_TIME

    # -- inside

    def _opened(
        self,
        file: VerifiedFile,
        publishers: Publishers,
        record: AcceptedRecord,
        recalls: Recalls,
        stale: Stale | None,
    ) -> OpenCatalog:
        sources: list[Source] = []
        if not record.embedded:
            try:
                sources.append(self.source(record.source))
            except ConfigError:
                pass  # gone, or not reachable now: what is fetched elsewhere is verified the same
        if self._embedded is not None and self._same_root:
            sources.append(self._embedded.source)
        notes = [
            *self.news,
            record.age_sentence(self.now),
            clock_sentence(record.issued, self.now)
            or set_back_sentence(record.accepted_at, self.now),
            stale.sentence if stale else "",
        ]
        if record.development:
            notes.append(
                "DEVELOPMENT ROOT: this catalog is signed with keys that a build made for itself."
            )
        return OpenCatalog(
            file=file,
            publishers=publishers.with_recalls(recalls),
            sources=tuple(sources),
            record=record,
            notes=tuple(note for note in notes if note),
            withdrawn=self._withdrawn(),
            stale=stale,
            embedded=self._embedded.source if self._embedded and self._same_root else None,
        )

    def _embedded_is_newer(self, record: AcceptedRecord) -> bool:
        if self._embedded is None or not self._same_root:
            return False
        if record.embedded:
            return self._embedded.built > record.build_time
        inside = self._embedded.floors.floors.get("timestamp")
        known = record.floors.get("timestamp")
        return inside is not None and (known is None or inside.version > known.version)

    def _stored(self) -> Mapping[str, Any]:
        return self._store.load_trust(self.repository) or {}

    def record(self) -> AcceptedRecord | None:
        """Return what was accepted last, None if nothing was."""
        stored = self._stored().get("record")
        return AcceptedRecord.from_dict(stored) if stored else None

    def _withdrawn(self) -> Mapping[Digest, str]:
        """Return the packages that were ever seen withdrawn, each with its reason."""
        stored = self._stored().get("withdrawn", {})
        try:
            return {Digest(d): str(r) for d, r in stored.get("packages", {}).items()}
        except ValueError as error:
            raise RefusedError(f"the stored withdrawals cannot be read: {error}") from error

    def _withdrawn_with(self, accepted: Refreshed) -> dict[str, Any]:
        """Return what is withdrawn from now on, and which keys of the catalog said so.

        New keys begin anew, as with the floors of versions: only the offline role gives them, and
        so a thief's withdrawals end with the stolen key.
        """
        keys = accepted.record.floors["catalog"].keys
        stored, record = self._stored().get("withdrawn", {}), self.record()
        same_keys = stored.get("keys") == keys
        if same_keys and record is not None and record.catalog.digest == accepted.catalog.digest:
            return dict(stored)
        from marketplace_db.catalog import Catalog
        from marketplace_db.errors import CatalogError

        packages = {d.hex: reason for d, reason in self._withdrawn().items()} if same_keys else {}
        try:
            with Catalog.open(accepted.catalog) as catalog:
                new = {digest.hex: reason for digest, reason in catalog.withdrawn().items()}
        except CatalogError:
            new = {}  # it withdraws nothing, and whoever opens it is told why
        return {"keys": keys, "packages": {**new, **packages}}

    def _revoked_entitlements_with(self, accepted: Refreshed) -> dict[str, Any]:
        """Return which entitlements are taken back from now on, as `_withdrawn_with` does."""
        keys = accepted.record.floors["catalog"].keys
        stored = self._stored().get("entitlements", {})
        known = stored.get("revoked", {}) if stored.get("keys") == keys else {}
        return {"keys": keys, "revoked": {**accepted.revoked_entitlements, **known}}

    def _known_keys(self) -> dict[str, Keys]:
        """Return the keys of each namespace that this machine has seen, none where it cannot say.

        A state of an earlier tavo holds no keys; then the document that it accepted tells them.
        """
        stored = self._stored().get("namespaces")
        if stored is not None:
            return {
                name: Keys(now=frozenset(one["now"]), ever=frozenset(one["ever"]))
                for name, one in stored.items()
            }
        record = self.record()
        try:
            found = {} if record is None else keys_of(record)
        except SigningError:
            return {}
        return {name: Keys(now=keys, ever=keys) for name, keys in found.items()}
