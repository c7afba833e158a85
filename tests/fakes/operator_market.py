"""A marketplace's operator with all keys at hand: plugins, a market, a released repository.

Everything is made by the real code; only the plugins are small.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from marketplace_db.acceptance import publisher_claim
from marketplace_db.intake import Market
from marketplace_db.package import build_package, inspect_package
from marketplace_db.release import ReleasedCatalog, release_catalog
from signing.attest import ReviewerClaim, sign_publisher, sign_reviewer
from signing.digests import Digest
from signing.envelopes import add_signature
from signing.keys import PrivateKey
from signing.publishers import Namespace, Publishers
from tests.fakes.repository import NOW, Machine, RepositorySimulator, key_map

MANIFEST = """\
api: 1
id: {id}
publisher: {publisher}
name: {name}
version: {version}
plugin_type: static
entry_point: main:Plugin
description: Finds {name} for the tests.
author: Test authors
license: Apache-2.0
categories: [testing]
"""


def plugin_folder(
    folder: Path,
    *,
    id: str = "sample",  # noqa: A002
    publisher: str = "acme",
    version: str = "1.0.0",
    name: str = "Sample",
    more: str = "",
    files: Mapping[str, str | bytes] | None = None,
) -> Path:
    """Write the sources of a small static plugin; `more` is added to its plugin.yaml."""
    manifest = MANIFEST.format(id=id, publisher=publisher, version=version, name=name) + more
    contents: dict[str, str | bytes] = {
        "plugin.yaml": manifest,
        "main.py": "class Plugin:\n    pass\n",
        "README.md": f"# {name}\n",
        "LICENSE": "Apache-2.0\n",
        **(files or {}),
    }
    for path, content in contents.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def wheel_bytes(
    name: str = "dep",
    version: str = "1.0",
    *,
    files: Mapping[str, bytes] | None = None,
    record: str | None = None,
) -> bytes:
    """Return a wheel; `record` replaces the RECORD that would fit."""
    info = f"{name}-{version}.dist-info"
    contents = {
        f"{name}/__init__.py": b"VALUE = 1\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **(files or {}),
    }
    if record is None:
        record = record_of(contents) + f"{info}/RECORD,,\n"
    contents[f"{info}/RECORD"] = record.encode()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in contents.items():
            archive.writestr(path, content)
    return stream.getvalue()


def record_of(contents: Mapping[str, bytes]) -> str:
    """Return RECORD rows for these files."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    for path, content in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=")
        writer.writerow([path, f"sha256={digest.decode()}", len(content)])
    return stream.getvalue()


@dataclass
class Marketplace:
    """The operator of two namespaces, `acme` and the official `tavo`, with three reviewers."""

    directory: Path
    acme: PrivateKey = field(default_factory=PrivateKey.generate)
    tavo: PrivateKey = field(default_factory=PrivateKey.generate)
    reviewers: Sequence[PrivateKey] = field(
        default_factory=lambda: [PrivateKey.generate() for _ in range(3)]
    )

    def __post_init__(self) -> None:
        self.now = NOW
        self.publishers = Publishers(
            namespaces={
                "acme": Namespace(keys=key_map(self.acme)),
                "tavo": Namespace(keys=key_map(self.tavo), official=True),
            },
            reviewers=key_map(*self.reviewers),
        )
        self.market = Market.open(self.directory / "market")
        self.market.register_publisher("acme", display_name="Acme", now=NOW)
        self.market.register_publisher("tavo", display_name="tavo", official=True, now=NOW)
        self.catalog = self.directory / "catalog.db"
        self._count = 0

    def package(self, **options: object) -> Path:
        """Build a package; the options are `plugin_folder`'s."""
        self._count += 1
        folder = plugin_folder(self.directory / f"plugin-{self._count}", **options)  # type: ignore[arg-type]
        out = self.directory / f"plugin-{self._count}.zip"
        build_package(folder, out)
        return out

    def sign(self, package: Path, *keys: PrivateKey) -> bytes:
        """Return the publisher's statement about a package, by its own key unless told."""
        inspected = inspect_package(package)
        signers = keys or (getattr(self, inspected.manifest.publisher),)
        envelope = sign_publisher(publisher_claim(inspected, issued=NOW), signers[0])
        for key in signers[1:]:
            envelope = add_signature(envelope, key)
        return envelope

    def review(
        self,
        package: Path,
        key: PrivateKey,
        *,
        decision: str = "approve",
        reports: tuple[Digest, ...] = (),
    ) -> bytes:
        """Return a reviewer's statement about a package."""
        inspected = inspect_package(package)
        claim = ReviewerClaim(
            full_id=inspected.manifest.full_id,
            version=inspected.manifest.version,
            package=inspected.digest,
            decision=decision,  # type: ignore[arg-type]
            reports=reports,
            issued=NOW,
        )
        return sign_reviewer(claim, key)

    def approve(
        self, package: Path, *, wheels: Mapping[str, Path] | None = None, reviewers: int = 2
    ) -> str:
        """Take a package from submission to approval; return the submission's id."""
        submission = self.market.submit(
            package, self.sign(package), wheels=wheels, publishers=self.publishers, now=self.now
        )
        for key in self.reviewers[:reviewers]:
            envelope = self.review(package, key)
            self.market.record_review(
                submission, envelope, publishers=self.publishers, now=self.now
            )
        self.market.approve(submission, publishers=self.publishers, now=self.now)
        return submission

    def release(self) -> ReleasedCatalog:
        """Write the next catalog over the last one."""
        previous = self.catalog if self.catalog.exists() else None
        return release_catalog(self.market, self.catalog, previous=previous)

    def publish(
        self, simulator: RepositorySimulator | None = None, *, first_version: int = 1
    ) -> RepositorySimulator:
        """Release into a repository, a new one unless told; a day later if there is one."""
        released = self.release()
        if simulator is None:
            simulator = RepositorySimulator(
                self.directory / "repository",
                catalog=self.catalog.read_bytes(),
                publishers=self.publishers,
                first_version=first_version,
            )
        else:
            simulator.publish(catalog=self.catalog, now=simulator.now + timedelta(days=1))
        for blob in released.blobs:
            simulator.repository.add_blob(blob)
        return simulator

    def machine(self, simulator: RepositorySimulator) -> Machine:
        """A client that trusts the repository."""
        return Machine(self.directory / "cache", simulator.root)
