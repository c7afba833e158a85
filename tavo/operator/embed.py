"""The build's own marketplace: the official plugins, released into a repository, put into the file.

    python -m tavo.operator.embed --plugins examples/plugins --wheels .build/wheels
        --keys keys --repository dist/repository --embedded FOLDER

Rules this module keeps:
- it takes the way of every publisher: pack, sign, submit, check, two reviews, approve, release;
  nothing is put into the catalog by hand;
- everything is made from nothing each time: the same sources, keys and build time give the same
  bytes and modes, whatever was built here before;
- versions of metadata begin at the build time in seconds, so a machine that saw an older build
  accepts a newer one and refuses the older one from then on; the repository's id follows from the
  root keys;
- with development keys, everything that is built says so;
- the outcome is verified by the client, from the root on, before it is put into the file.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from marketplace_db.errors import MarketplaceError
from marketplace_db.intake import Market
from marketplace_db.manifest import permission_digest
from marketplace_db.package import InspectedPackage, build_package, inspect_package
from marketplace_db.release import release_catalog
from signing.attest import PublisherClaim, ReviewerClaim, sign_publisher, sign_reviewer
from signing.client import DirectorySource, Refreshed, TrustState, refresh
from signing.errors import SigningError
from signing.keyring import Keyring
from signing.publishers import Namespace, Publishers
from signing.repository import Repository
from tavo.errors import exit_code_of

__all__ = ["build_time", "embed", "main"]

PUBLISHER = "tavo"
REVIEWERS = ("reviewer-1", "reviewer-2")
_DELEGATED = ("targets", "publishers", "releases", "catalog")


def embed(
    *,
    plugins: Path,
    wheels: Path,
    keys: Path,
    repository: Path,
    embedded: Path,
    now: datetime,
) -> Refreshed:
    """Release all plugins below `plugins` into `repository`, and put it verified into `embedded`.

    Both folders are replaced as a whole, when all of it has succeeded. Raises SigningError,
    MarketplaceError and OSError.
    """
    repository, embedded = repository.resolve(), embedded.resolve()
    staged = _staged(repository)
    with tempfile.TemporaryDirectory(prefix="tavo-embed-") as name:
        folder = Path(name)
        packages = [
            _pack(path.parent, folder / f"{path.parent.name}.zip")
            for path in sorted(plugins.glob("*/plugin.yaml"))
        ]
        keyring = Keyring.generate_development(keys)
        publishers = _publishers(keyring)
        with Market.open(folder / "market") as intake:
            intake.register_publisher(PUBLISHER, display_name="tavo", official=True, now=now)
            _submit(intake, packages, wheels, keyring, publishers, now)
            _publish(intake, staged, keyring, publishers, now)
        accepted = _verify(staged, folder / "cache", now)
    inside = _staged(embedded)
    _write_embedded(staged, inside, accepted, now)
    _replace_folder(staged, repository)
    _replace_folder(inside, embedded)
    return accepted


def build_time() -> datetime:
    """Return SOURCE_DATE_EPOCH as a time where it is set, else the clock, in whole seconds."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch:
        return datetime.fromtimestamp(int(epoch), UTC)
    return datetime.now(UTC).replace(microsecond=0)


def _pack(folder: Path, out: Path) -> InspectedPackage:
    build_package(folder, out)
    return inspect_package(out)


def _publishers(keyring: Keyring) -> Publishers:
    publisher = keyring.named(f"publisher-{PUBLISHER}").public
    reviewers = [keyring.named(name).public for name in REVIEWERS]
    return Publishers(
        namespaces={PUBLISHER: Namespace(keys={publisher.key_id: publisher}, official=True)},
        reviewers={key.key_id: key for key in reviewers},
    )


def _submit(
    intake: Market,
    packages: Sequence[InspectedPackage],
    wheels: Path,
    keyring: Keyring,
    publishers: Publishers,
    now: datetime,
) -> None:
    for package in packages:
        manifest = package.manifest
        claim = PublisherClaim(
            full_id=manifest.full_id,
            version=manifest.version,
            api=manifest.api,
            package=package.digest,
            manifest=package.manifest_digest,
            lock=package.lock_digest,
            permissions=permission_digest(manifest),
            issued=now,
        )
        submission = intake.submit(
            package.path,
            sign_publisher(claim, keyring.named(f"publisher-{PUBLISHER}")),
            wheels={wheel.filename: wheels / wheel.filename for wheel in package.locked},
            publishers=publishers,
            now=now,
        )
        report = intake.record_check(
            submission, name="package", outcome="passed", report=_report(package), now=now
        )
        for name in REVIEWERS:
            review = ReviewerClaim(
                full_id=manifest.full_id,
                version=manifest.version,
                package=package.digest,
                reports=(report,),
                decision="approve",
                issued=now,
            )
            intake.record_review(
                submission, sign_reviewer(review, keyring.named(name)), publishers=publishers,
                now=now,
            )  # fmt: skip
        intake.approve(submission, publishers=publishers, now=now)


def _report(package: InspectedPackage) -> bytes:
    """Say what the inspection of the package established, for the reviewers to read."""
    facts = {
        "check": "package",
        "package": package.digest.hex,
        "files": {str(file.path): file.digest.hex for file in package.files},
        "wheels": {wheel.filename: wheel.digest.hex for wheel in package.locked},
        "permissions": permission_digest(package.manifest).hex,
    }
    return (json.dumps(facts, sort_keys=True, indent=1) + "\n").encode()


def _publish(
    intake: Market,
    directory: Path,
    keyring: Keyring,
    publishers: Publishers,
    now: datetime,
) -> None:
    repository = Repository.create(
        directory,
        keyring,
        now,
        identity=_identity(keyring),
        first_version=max(1, int(now.timestamp())),
    )
    released = release_catalog(intake, intake.directory / "catalog.db")
    for blob in released.blobs:
        repository.add_blob(blob)
    repository.publish(
        catalog=released.path, publishers=publishers.to_bytes(), renew=_DELEGATED, now=now
    )


def _identity(keyring: Keyring) -> str:
    """Return the repository's id, the same for the same root keys in any order."""
    names = sorted(key.public.key_id for key in keyring.of("root"))
    return hashlib.sha256("\n".join(names).encode()).hexdigest()[:32]


def _verify(directory: Path, cache: Path, now: datetime) -> Refreshed:
    root = max(
        (directory / "metadata").glob("*.root.json"), key=lambda p: int(p.name.split(".")[0])
    )
    return refresh(
        DirectorySource(directory),
        root=root.read_bytes(),
        cache=cache,
        state=TrustState(),
        now=now,
        build_time=now,
        embedded=True,
        with_releases=True,
    )


def _write_embedded(repository: Path, out: Path, accepted: Refreshed, now: datetime) -> None:
    """Copy what the client verified, and every blob that the catalog names."""
    tree = out / "repository"
    for name, data in accepted.metadata.items():
        path = tree / "metadata" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for artifact in accepted.artifacts:
        path = tree / artifact.path
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(repository / artifact.path, path)
    shutil.copytree(repository / "blobs", tree / "blobs")
    newest = f"{accepted.record.root_version}.root.json"
    facts = {"built": now.isoformat(), "floors": accepted.state.to_dict()}
    files = {
        "__init__.py": b'"""The repository that the build puts into the file."""\n',
        "root.json": accepted.metadata[newest],
        "build.json": (json.dumps(facts, sort_keys=True) + "\n").encode(),
    }
    if accepted.record.development:
        files["DEVELOPMENT-ROOT"] = b"The root of this build was made by the build itself.\n"
    for name, data in files.items():
        (out / name).write_bytes(data)


def _staged(folder: Path) -> Path:
    """Return where the new folder is made, beside the old one; what a killed build left goes."""
    staged = folder.with_name(f".{folder.name}.new")
    shutil.rmtree(staged, ignore_errors=True)
    return staged


def _replace_folder(staged: Path, folder: Path) -> None:
    """Put the new folder where the old one was, with modes that no umask has shaped."""
    for path in (staged, *staged.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    old = folder.with_name(f".{folder.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    try:
        staged.rename(folder)
    except OSError:
        if old.exists():
            old.rename(folder)
        raise
    shutil.rmtree(old, ignore_errors=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run from the build; print one sentence and return the exit code when something fails."""
    parser = argparse.ArgumentParser(prog="tavo.operator.embed")
    folders = ("plugins", "wheels", "keys", "repository", "embedded")
    for name in folders:
        parser.add_argument(f"--{name}", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        accepted = embed(now=build_time(), **{name: getattr(given, name) for name in folders})
    except (SigningError, MarketplaceError, OSError) as error:
        sys.stderr.write(f"embed: {error}\n{getattr(error, 'hint', '')}\n")
        return int(exit_code_of(error)) if not isinstance(error, OSError) else 3
    sys.stderr.write(
        f"embed: catalog {accepted.catalog.digest.short}, version {accepted.catalog.version}"
        f"{', DEVELOPMENT ROOT' if accepted.record.development else ''}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
