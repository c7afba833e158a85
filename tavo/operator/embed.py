"""The build's own marketplace: the official plugins, released into a repository, put into the file.

    python -m tavo.operator.embed --plugins examples/plugins --wheels .build/wheels
        --keys keys --repository dist/repository --embedded FOLDER [--all] [--heavy] [ID...]

Rules this module keeps:
- it takes the way of every publisher: pack, sign, submit, check, two reviews, approve, release;
  nothing is put into the catalog by hand;
- everything is made from nothing each time: the same sources, keys and build time give the same
  bytes and modes, whatever was built here before;
- versions of metadata begin at the build time in seconds, so a machine that saw an older build
  accepts a newer one and refuses the older one from then on; the repository's id follows from the
  root keys;
- with development keys, everything that is built says so;
- the file gets the whole catalog, all signed statements, and packages and wheels of the plugins
  that the shelf puts inside, which are bounded in size together and need no native code; what the
  other plugins consist of lies in the repository only;
- an ordinary build has no wheels of other systems and of heavy plugins: their rows have the lock's
  digest and a length that is written down. `--all` and `--heavy` have and check them all;
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
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from marketplace_db.archive import write_canonical
from marketplace_db.errors import MarketplaceError
from marketplace_db.intake import Market
from marketplace_db.lock import LockedWheel
from marketplace_db.package import InspectedPackage, build_package, inspect_package
from marketplace_db.permissions import permission_digest
from marketplace_db.release import release_catalog
from signing.attest import PublisherClaim, ReviewerClaim, sign_publisher, sign_reviewer
from signing.client import DirectorySource, Refreshed, TrustState, refresh
from signing.digests import Digest
from signing.errors import SigningError
from signing.keyring import Keyring
from signing.publishers import Namespace, Publishers
from signing.repository import Repository
from signing.roles import blob_path
from tavo.errors import ConfigError, TavoError, exit_code_of
from tavo.operator.plugin_wheels import Extent, wanted
from tavo.operator.shelf import LARGEST_EMBEDDED, Shelf, lengths_file, read_lengths

__all__ = ["build_time", "embed", "main"]

DEMO_NAME = "demo.zip"
DEMO_AGENTS = ("shop-agent", "flawed-agent")
PUBLISHER = "tavo"
REVIEWERS = ("reviewer-1", "reviewer-2")
_ORDINARY = Extent()
_DELEGATED = ("targets", "publishers", "releases", "catalog")


class _Parts(NamedTuple):
    """A plugin's package, the wheels that are at hand, and the lengths of those that are not."""

    package: InspectedPackage
    wheels: Mapping[str, Path]
    lengths: Mapping[str, int]

    @property
    def at_hand(self) -> list[Digest]:
        """Return the digests of package and wheels that lie here."""
        here = [one.digest for one in self.package.locked if one.filename in self.wheels]
        return [self.package.digest, *here]

    @property
    def elsewhere(self) -> list[Digest]:
        """Return the digests of wheels that lie on a mirror only."""
        return [one.digest for one in self.package.locked if one.filename in self.lengths]

    @property
    def length(self) -> int:
        """Return how long package and wheels are together."""
        at_hand = sum(path.stat().st_size for path in self.wheels.values())
        return self.package.length + at_hand + sum(self.lengths.values())


def embed(
    *,
    plugins: Path,
    wheels: Path,
    keys: Path,
    repository: Path,
    embedded: Path,
    now: datetime,
    extent: Extent = _ORDINARY,
) -> Refreshed:
    """Release all plugins below `plugins` into `repository`, and put it verified into `embedded`.

    `extent` says which wheels are in the repository. Both folders are replaced as a whole, when all
    of it has succeeded. Raises SigningError, MarketplaceError, ConfigError and OSError.
    """
    shelf = Shelf.read(plugins)
    repository, embedded = repository.resolve(), embedded.resolve()
    staged = _staged(repository)
    with tempfile.TemporaryDirectory(prefix="tavo-embed-") as name:
        folder = Path(name)
        parts = {
            plugin: _parts(
                _pack(plugins / plugin, folder / f"{plugin}.zip"), wheels,
                wanted(shelf, plugin, extent),
                read_lengths(plugins, plugin), lengths_file(plugins, plugin),
            )
            for plugin in shelf.plugins
        }  # fmt: skip
        _check_embedded({plugin: parts[plugin] for plugin in shelf.plugins
                         if plugin in shelf.embedded})  # fmt: skip
        keyring = Keyring.generate_development(keys)
        publishers = _publishers(keyring)
        with Market.open(folder / "market") as intake:
            intake.register_publisher(PUBLISHER, display_name="tavo", official=True, now=now)
            _submit(intake, parts.values(), keyring, publishers, now)
            elsewhere = {digest for one in parts.values() for digest in one.elsewhere}
            _publish(intake, staged, keyring, publishers, now, elsewhere)
        accepted = _verify(staged, folder / "cache", now)
    inside = _staged(embedded)
    left_out = {digest for plugin, one in parts.items() for digest in one.at_hand
                if plugin not in shelf.embedded}  # fmt: skip
    left_out -= {digest for plugin in shelf.embedded for digest in parts[plugin].at_hand}
    _write_embedded(staged, inside, accepted, now, left_out, plugins.parent)
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


def _parts(
    package: InspectedPackage,
    folder: Path,
    fetched: Collection[LockedWheel],
    lengths: Mapping[str, int],
    noted: Path,
) -> _Parts:
    """Put together what a plugin is released with. Raises ConfigError for wrong lengths."""
    plugin = package.manifest.id
    wheels = {one.filename: folder / one.filename for one in fetched}
    stale = f"Write it anew: `python3 build.py plugins --sizes {plugin}`."
    locked = {one.filename for one in package.locked}
    if lengths and (other := locked ^ lengths.keys()):
        raise ConfigError(
            f"{noted}: {min(other)} is {'missing' if min(other) in locked else 'not in the lock'}",
            hint=stale,
        )
    if not lengths and (unknown := locked - wheels.keys()):
        raise ConfigError(
            f"{plugin}: is heavy, so its wheels are not fetched, and {noted} does not say how long"
            f" {min(unknown)} is",
            hint=stale,
        )
    for name, path in wheels.items():
        if lengths and path.stat().st_size != lengths[name]:
            raise ConfigError(
                f"{noted}: {name} is {path.stat().st_size} bytes long, not {lengths[name]}",
                hint=stale,
            )
    there = {name: length for name, length in lengths.items() if name not in wheels}
    return _Parts(package, wheels, there)


def _check_embedded(parts: Mapping[str, _Parts]) -> None:
    """Refuse native code inside of the file, and more than it has room for."""
    for plugin, one in parts.items():
        if native := sorted(w.filename for w in one.package.locked if not w.is_pure):
            raise ConfigError(
                f"{plugin}: cannot be inside of the file: {native[0]} is for some systems only",
                hint="Take it out of `embedded` in shelf.yaml: then it comes from a mirror.",
            )
    if (total := sum(one.length for one in parts.values())) > LARGEST_EMBEDDED:
        sizes = ", ".join(f"{plugin} {one.length}" for plugin, one in parts.items())
        raise ConfigError(
            f"the plugins inside of the file are {total} bytes together, more than"
            f" {LARGEST_EMBEDDED}: {sizes}",
            hint="Take one out of `embedded` in shelf.yaml: then it comes from a mirror.",
        )


def _publishers(keyring: Keyring) -> Publishers:
    publisher = keyring.named(f"publisher-{PUBLISHER}").public
    reviewers = [keyring.named(name).public for name in REVIEWERS]
    return Publishers(
        namespaces={PUBLISHER: Namespace(keys={publisher.key_id: publisher}, official=True)},
        reviewers={key.key_id: key for key in reviewers},
    )


def _submit(
    intake: Market,
    parts: Collection[_Parts],
    keyring: Keyring,
    publishers: Publishers,
    now: datetime,
) -> None:
    for one in parts:
        package = one.package
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
            wheels=one.wheels,
            unverified_lengths=one.lengths,
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
    elsewhere: Collection[Digest],
) -> None:
    repository = Repository.create(
        directory,
        keyring,
        now,
        identity=_identity(keyring),
        first_version=max(1, int(now.timestamp())),
    )
    released = release_catalog(intake, intake.directory / "catalog.db")
    lacking = {intake.blob(digest) for digest in elsewhere}
    for blob in released.blobs:
        if blob not in lacking or blob.exists():  # one that another plugin has here is no loss
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


def _write_embedded(
    repository: Path,
    out: Path,
    accepted: Refreshed,
    now: datetime,
    left_out: Collection[Digest],
    examples: Path,
) -> None:
    """Copy what the client verified, and the blobs that the catalog names, but for some."""
    tree = out / "repository"
    for name, data in accepted.metadata.items():
        path = tree / "metadata" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    for artifact in accepted.artifacts:
        path = tree / artifact.path
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(repository / artifact.path, path)
    names = {(repository / blob_path(digest)).name for digest in left_out}
    shutil.copytree(repository / "blobs", tree / "blobs",
                    ignore=lambda _, found: names.intersection(found))  # fmt: skip
    newest = f"{accepted.record.root_version}.root.json"
    facts = {"built": now.isoformat(), "floors": accepted.state.to_dict()}
    files = {
        "__init__.py": b'"""The repository that the build puts into the file."""\n',
        "root.json": accepted.metadata[newest],
        "build.json": (json.dumps(facts, sort_keys=True) + "\n").encode(),
    }
    if demo := _examples(examples):
        files[DEMO_NAME] = demo
    if accepted.record.development:
        files["DEVELOPMENT-ROOT"] = b"The root of this build was made by the build itself.\n"
    for name, data in files.items():
        (out / name).write_bytes(data)


def _examples(folder: Path) -> bytes:
    """Return the agents of the demo in a zip, nothing where there are none beside the plugins."""
    files = [
        (path.relative_to(folder).as_posix(), path.read_bytes())
        for name in DEMO_AGENTS
        for path in sorted((folder / name).rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    return write_canonical(files) if files else b""


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
    for name in ("all", "heavy"):
        parser.add_argument(f"--{name}", action="store_true")
    parser.add_argument("ids", nargs="*")
    given = parser.parse_args(arguments)
    try:
        accepted = embed(
            now=build_time(), extent=Extent(given.all, given.heavy, frozenset(given.ids)),
            **{name: getattr(given, name) for name in folders},
        )  # fmt: skip
    except (SigningError, MarketplaceError, TavoError, OSError) as error:
        sys.stderr.write(f"embed: {error}\n{getattr(error, 'hint', '')}\n")
        return int(exit_code_of(error)) if not isinstance(error, OSError) else 3
    sys.stderr.write(
        f"embed: catalog {accepted.catalog.digest.short}, version {accepted.catalog.version}"
        f"{', DEVELOPMENT ROOT' if accepted.record.development else ''}\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
