"""From a name to an accepted package: every attack on the way, and the way that works."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace_db.catalog import Catalog
from marketplace_db.errors import NotAcceptedError, NotInCatalogError
from signing.client import DirectorySource
from signing.digests import Digest
from signing.errors import SourceError, VerificationError
from signing.roles import blob_path
from tavo.errors import RefusedError
from tavo.registry.install import Prepared, prepare
from tests.fakes.marketplace import Marketplace, MemoryStore


class Mirror:
    """A copy of the repository that an attacker may edit, and a machine that installs from it."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.market = Marketplace(folder, more=more)
        self.path = self.market.copy("mirror")
        self.opened = self.market.machine(MemoryStore()).open(DirectorySource(self.path))
        # Blobs come from this mirror alone: the honest embedded copy would repair the attack.
        self.opened = self.opened._replace(sources=(DirectorySource(self.path),))
        with Catalog.open(self.opened.file) as catalog:
            self.release = catalog.release("small")

    def blob(self, digest: Digest) -> Path:
        return self.path / blob_path(digest)

    def prepare(self, name: str = "small", version: str | None = None) -> Prepared:
        folder = self.market.folder / "work"
        folder.mkdir(exist_ok=True)
        with Catalog.open(self.opened.file) as catalog:
            return prepare(self.opened, catalog, name, version, folder)


@pytest.fixture
def mirror(tmp_path: Path) -> Mirror:
    return Mirror(tmp_path)


def test_an_honest_mirror_gives_an_accepted_package(mirror: Mirror) -> None:
    prepared = mirror.prepare()
    assert prepared.accepted.release.full_id == "tavo/small"
    assert len(prepared.accepted.reviewer_keys) == 2
    assert prepared.provenance["catalog"] == mirror.opened.file.digest.hex
    assert any("network" in sentence for sentence in prepared.cannot)


def test_a_tampered_package_is_refused(mirror: Mirror) -> None:
    path = mirror.blob(mirror.release.package)
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    with pytest.raises(VerificationError, match="sha256"):
        mirror.prepare()


def test_a_longer_package_is_refused_before_its_end(mirror: Mirror) -> None:
    path = mirror.blob(mirror.release.package)
    path.write_bytes(path.read_bytes() + b"!" * 5_000_000)
    with pytest.raises(VerificationError, match="longer than the signed"):
        mirror.prepare()


@pytest.mark.parametrize("which", ["publisher", "reviewer"])
def test_a_missing_statement_is_refused(mirror: Mirror, which: str) -> None:
    release = mirror.release
    digest = release.publisher_envelope if which == "publisher" else release.reviewer_envelopes[0]
    mirror.blob(digest).unlink()
    with pytest.raises(NotAcceptedError, match="statement that the catalog names is missing"):
        mirror.prepare()


def test_a_huge_statement_is_refused(mirror: Mirror) -> None:
    mirror.blob(mirror.release.publisher_envelope).write_bytes(b" " * (2 << 20))
    with pytest.raises(VerificationError, match="longer than"):
        mirror.prepare()


def test_a_missing_package_is_a_failed_source_not_a_refusal(mirror: Mirror) -> None:
    mirror.blob(mirror.release.package).unlink()
    with pytest.raises(SourceError, match="cannot be had"):
        mirror.prepare()


def test_a_plugin_that_is_not_in_the_catalog_is_refused(mirror: Mirror) -> None:
    with pytest.raises(NotInCatalogError, match="smoll"):
        mirror.prepare("smoll")


def test_a_version_that_is_not_in_the_catalog_is_refused(mirror: Mirror) -> None:
    with pytest.raises(NotInCatalogError, match=r"9\.9"):
        mirror.prepare(version="9.9")


@pytest.mark.parametrize(("wanted", "fits"), [(">=0.1", True), ("", True), (">=99", False)])
def test_a_plugin_for_another_tavo_is_refused(tmp_path: Path, wanted: str, fits: bool) -> None:
    mirror = Mirror(tmp_path, f"compatible_scanner_version: '{wanted}'\n")
    if fits:
        assert mirror.prepare().accepted.release.full_id == "tavo/small"
    else:
        with pytest.raises(RefusedError, match="needs tavo >=99"):
            mirror.prepare()
