"""A marketplace that is robbed: its operator, thieves with some of its keys, and its users.

Everything is signed, released, mirrored and installed by the real code. A thief works on a copy of
the repository, with the stolen keys alone, and lets users read that copy as a mirror.
"""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from marketplace_db.catalog import Catalog
from marketplace_db.manifest import manifest_to_json
from marketplace_db.mirror import MirrorReport, sync
from marketplace_db.package import inspect_package
from marketplace_db.permissions import permission_digest
from signing.client import DirectorySource, TrustState
from signing.digests import Digest
from signing.keys import PrivateKey
from signing.publishers import Namespace
from signing.repository import Repository
from signing.roles import ROLES
from tavo.registry.install import Prepared, prepare
from tavo.registry.trust import OpenCatalog, Trust
from tests.fakes.marketplace import MemoryStore
from tests.fakes.operator_market import Marketplace
from tests.fakes.repository import NOW, key_map
from tests.fakes.results import replace

DAY = timedelta(days=1)
ROW = "id = 2"  # acme/sample 1.1.0


class RobbedMarket:
    """Released on the first day: `acme/sample` 1.0.0 and 1.1.0, the official `tavo/sample`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.market = Marketplace(folder)
        self.packages: dict[str, Path] = {}
        for publisher, version in (("acme", "1.0.0"), ("acme", "1.1.0"), ("tavo", "1.0.0")):
            package = self.market.package(publisher=publisher, version=version)
            self.packages[f"{publisher} {version}"] = package
            self.market.approve(package)
        self.simulator = self.market.publish()

    # -- the honest side

    @property
    def now(self) -> datetime:
        return self.simulator.now

    @property
    def tree(self) -> Path:
        return self.simulator.directory

    def digest(self, package: str) -> Digest:
        """The digest of `acme 1.0.0`."""
        return Digest.of(self.packages[package].read_bytes())

    def later(self, days: float = 1) -> None:
        self.simulator.now += days * DAY

    def publish(self, **publishers: Any) -> None:
        """Release what was approved and withdrawn, and the changed document of publishers."""
        self.later()
        self.market.publishers = replace(self.market.publishers, **publishers)
        released = self.market.release()
        for blob in released.blobs:
            self.simulator.repository.add_blob(blob)
        self.simulator.publish(
            catalog=self.market.catalog, publishers=self.market.publishers, now=self.now
        )

    def rotate(self, *roles: str) -> None:
        """Give the roles new keys, as after a theft."""
        self.later()
        self.simulator.rotate(*roles, now=self.now)

    def revoke(self, namespace: str, stolen: PrivateKey, fresh: PrivateKey) -> None:
        """Revoke a publisher's key, and give the namespace another one."""
        before = self.market.publishers
        known = before.namespaces[namespace]
        keys = {k: v for k, v in known.keys.items() if k != stolen.public.key_id}
        after = Namespace(keys={**keys, **key_map(fresh)}, official=known.official)
        self.publish(
            namespaces={**before.namespaces, namespace: after},
            revoked_keys={**before.revoked_keys, stolen.public.key_id: "stolen"},
        )

    def recall(self, package: Digest, reason: str = "it steals") -> None:
        known = self.market.publishers.revoked_packages
        self.publish(revoked_packages={**known, package: reason})

    def user(self, name: str = "user") -> User:
        return User(self, name)

    def site(self, name: str = "site") -> Site:
        return Site(self, name)

    # -- the other side

    def thief(self, *roles: str, name: str = "thief") -> Thief:
        """A thief who holds the keys that these roles have now."""
        return Thief(self, roles, name)

    def submit_stolen(self, *, reviewers: Sequence[PrivateKey] = (), **package: object) -> Path:
        """Hand in a package that the stolen key of `acme` signed, with some approvals."""
        built = self.market.package(**{"version": "6.6.6", **package})
        submission = self.market.market.submit(
            built, self.market.sign(built), publishers=self.market.publishers, now=self.now
        )
        for key in reviewers:
            self.market.market.record_review(
                submission, self.market.review(built, key),
                publishers=self.market.publishers, now=self.now,
            )  # fmt: skip
        self.market.market.approve(submission, publishers=self.market.publishers, now=self.now)
        self.packages["acme 6.6.6"] = built
        return built


class Thief:
    """Someone with keys of some roles and a copy of the repository as it was when they left."""

    def __init__(self, robbed: RobbedMarket, roles: Sequence[str], name: str) -> None:
        self.robbed = robbed
        self.keys = robbed.simulator.keyring.without(*set(ROLES) - set(roles))
        self.tree = robbed.simulator.copy(robbed.folder / name)
        self.source = DirectorySource(self.tree)

    @property
    def repository(self) -> Repository:
        return Repository.open(self.tree, self.keys)

    def renew(self) -> None:
        """Sign what is there again, with today's date."""
        self.repository.publish(now=self.robbed.now)

    def follow(self) -> None:
        """Copy what the operator has released meanwhile."""
        shutil.copytree(self.robbed.tree, self.tree, dirs_exist_ok=True)

    def edit_catalog(self, *statements: str, values: Sequence[object] = ()) -> None:
        """Release a catalog with other rows."""
        known = self.repository.artifact("catalog/catalog.db")
        assert known is not None
        edited = self.tree.parent / f"{self.tree.name}.catalog.db"
        shutil.copyfile(known, edited)
        with closing(sqlite3.connect(edited)) as connection:
            for statement in statements:
                connection.execute(statement, values if "?" in statement else ())
            connection.commit()
        self.repository.publish(catalog=edited, now=self.robbed.now)

    def release(self, package: Path, envelope: bytes, review: bytes = b"") -> None:
        """Put a package in the place of acme/sample 1.1.0, with the statements at hand."""
        inspected = inspect_package(package)
        manifest = inspected.manifest
        for blob in filter(None, (package, envelope, review)):
            self.repository.add_blob(blob)
        digests = (inspected.digest, inspected.manifest_digest, permission_digest(manifest),
                   Digest.of(envelope))  # fmt: skip
        self.edit_catalog(
            "UPDATE plugin_versions SET package = ?, manifest_digest = ?, permission_digest = ?,"
            f" publisher_envelope = ?, package_length = ?, manifest = ?, version = ? WHERE {ROW}",
            values=(
                *(bytes.fromhex(digest.hex) for digest in digests), inspected.length,
                manifest_to_json(manifest), manifest.version,
            ),
        )  # fmt: skip
        if review:
            self.edit_catalog(
                "UPDATE approvals SET envelope = ? WHERE plugin_version_id = 2",
                values=(bytes.fromhex(Digest.of(review).hex),),
            )


class User:
    """A machine that trusts the first root, with a cache and a memory of its own."""

    def __init__(self, robbed: RobbedMarket, name: str) -> None:
        self.robbed = robbed
        self.cache = robbed.folder / f"cache-{name}"
        self.store = MemoryStore()

    def trust(self) -> Trust:
        root = (self.robbed.tree / "metadata" / "1.root.json").read_bytes()
        return Trust(self.store, self.cache, embedded=None, root=root, now=self.robbed.now)

    def update(self, source: DirectorySource | Path | None = None) -> OpenCatalog:
        """Refresh from a tree, the operator's unless told."""
        if source is None or isinstance(source, Path):
            source = DirectorySource(source or self.robbed.tree)
        return self.trust().update(source)

    def install(
        self,
        name: str = "acme/sample",
        version: str | None = None,
        source: DirectorySource | Path | None = None,
    ) -> Prepared:
        """Update, then take one release through all checks up to the files to install."""
        opened = self.update(source)
        with tempfile.TemporaryDirectory() as folder, Catalog.open(opened.file) as catalog:
            return prepare(opened, catalog, name, version, Path(folder))

    def forbids(self, installed: Prepared) -> str | None:
        """Say why an installed plugin does not run any more, as a run asks before it starts."""
        accepted = installed.accepted
        return (
            self.trust()
            .recalls()
            .reason(accepted.release.package, accepted.publisher_keys, accepted.reviewer_keys)
        )


class Site:
    """A network behind an air gap: a mirror that is brought in, and a user who reads it."""

    def __init__(self, robbed: RobbedMarket, name: str) -> None:
        self.robbed = robbed
        self.mirror = robbed.folder / name
        self.cache = robbed.folder / f"{name}-cache"
        self.state = TrustState()
        self.user = User(robbed, f"{name}-user")

    def bring(self, source: Path | None = None) -> MirrorReport:
        """Bring the mirror up to date from a tree, the operator's unless told."""
        report = sync(
            source or self.robbed.tree,
            self.mirror,
            root=(self.robbed.tree / "metadata" / "1.root.json").read_bytes(),
            cache=self.cache,
            state=self.state,
            now=self.robbed.now,
            build_time=NOW - 5 * DAY,
        )
        self.state = report.refreshed.state
        return report
