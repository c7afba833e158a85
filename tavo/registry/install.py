"""From a plugin's name to verified files on this machine, ready to be installed.

Rules this module keeps:
- every blob is fetched by the digest that the verified catalog names, with its length as limit;
- the decision is `marketplace_db.acceptance`'s; nothing is installed that it has not accepted;
- the user sees what the plugin may and may not do before anything is installed.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.tags import sys_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from marketplace_db.acceptance import AcceptedPackage, accept
from marketplace_db.catalog import Catalog, ReleaseRow, WheelRow
from marketplace_db.errors import NotAcceptedError
from marketplace_db.manifest import permission_sentences
from signing.client import fetch_blob
from signing.digests import Digest
from signing.errors import SourceError
from tavo import __version__
from tavo.errors import RefusedError
from tavo.registry.trust import OpenCatalog

__all__ = ["Prepared", "fetch_accepted", "prepare"]

_LONGEST_STATEMENT = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An accepted package with its wheels in a temporary folder, and what to tell the user."""

    accepted: AcceptedPackage
    wheels: Mapping[str, Path]
    can: tuple[str, ...]
    cannot: tuple[str, ...]
    provenance: Mapping[str, object]


def prepare(
    opened: OpenCatalog, catalog: Catalog, name: str, version: str | None, folder: Path
) -> Prepared:
    """Fetch and accept one release into `folder`, which the caller deletes afterwards.

    Raises NotInCatalogError, NotAcceptedError, PackageError, VerificationError, SourceError, and
    RefusedError if this system or this version of tavo cannot run the plugin.
    """
    release = catalog.release(name, version)
    manifest = release.parsed_manifest()
    _check_compatible(release, manifest.compatible_scanner_version)
    accepted = fetch_accepted(opened, release, folder)
    wheels: dict[str, Path] = {}
    for wheel in _fitting(release):
        path = folder / wheel.filename
        _fetch(opened, wheel.digest, wheel.length, path, wheel.filename)
        wheels[wheel.filename] = path
    can, cannot = permission_sentences(accepted.inspected.manifest)
    record = opened.record
    return Prepared(
        accepted=accepted,
        wheels=wheels,
        can=tuple(can),
        cannot=tuple(cannot),
        provenance={
            "repository": record.repository,
            "source": record.source,
            "root_version": record.root_version,
            "catalog": opened.file.digest.hex,
            "catalog_version": opened.file.version,
            "catalog_issued": opened.file.issued.isoformat(),
            "development": record.development,
            "publisher_keys": list(accepted.publisher_keys),
            "reviewer_keys": list(accepted.reviewer_keys),
        },
    )


def fetch_accepted(opened: OpenCatalog, release: ReleaseRow, folder: Path) -> AcceptedPackage:
    """Fetch the package of a release and the statements about it into `folder`, and accept it.

    Raises NotAcceptedError, PackageError, VerificationError, SourceError.
    """
    package = folder / "package.zip"
    _fetch(opened, release.package, release.length, package, f"the package of {release.full_id}")
    publisher = _statement(opened, release.publisher_envelope, folder, release)
    reviews = [_statement(opened, d, folder, release) for d in release.reviewer_envelopes]
    return accept(release, opened.publishers, package, publisher, reviews)


def _statement(opened: OpenCatalog, digest: Digest, folder: Path, release: ReleaseRow) -> bytes:
    path = folder / f"{digest.hex}.dsse"
    try:
        _fetch(opened, digest, None, path, f"a statement about {release.full_id}")
    except SourceError as error:
        raise NotAcceptedError(
            f"{release.full_id} {release.version}: a statement that the catalog names is missing:"
            f" {error}",
            hint="The mirror is incomplete: sync it again, or use another one.",
        ) from error
    return path.read_bytes()


def _fetch(opened: OpenCatalog, digest: Digest, length: int | None, path: Path, what: str) -> None:
    problem: SourceError | None = None
    for source in opened.sources:
        try:
            fetch_blob(source, digest, length, path, limit=_LONGEST_STATEMENT)
            return
        except SourceError as error:
            problem = problem or error
    raise SourceError(
        f"{what} cannot be had: {problem or 'no source holds packages'}",
        hint="Name a mirror that holds it with --mirror.",
    )


def _fitting(release: ReleaseRow) -> list[WheelRow]:
    """Choose, for each distribution of the lock, the best wheel for this interpreter."""
    order = {tag: rank for rank, tag in enumerate(sys_tags())}
    best: dict[str, tuple[int, WheelRow]] = {}
    names: set[str] = set()
    for wheel in release.wheels:
        try:
            name, _, _, tags = parse_wheel_filename(wheel.filename)
        except InvalidWheelFilename as error:
            raise RefusedError(
                f"{release.full_id}: {wheel.filename} is no wheel: {error}"
            ) from error
        names.add(name)
        ranks = [order[tag] for tag in tags if tag in order]
        if ranks and (name not in best or min(ranks) < best[name][0]):
            best[name] = (min(ranks), wheel)
    if missing := sorted(names - set(best)):
        version = f"{sys.version_info[0]}.{sys.version_info[1]}"
        raise RefusedError(
            f"{release.full_id} {release.version}: {', '.join(missing)} has no wheel for Python"
            f" {version} on this system",
            hint=f"`tavo registry show {release.full_id}` lists other versions.",
        )
    return [wheel for _, wheel in best.values()]


def _check_compatible(release: ReleaseRow, wanted: str) -> None:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        fits = not wanted or SpecifierSet(wanted).contains(__version__, prereleases=True)
    except InvalidSpecifier as error:
        raise RefusedError(
            f"{release.full_id} {release.version}: {wanted!r} is no version range"
        ) from error
    if not fits:
        raise RefusedError(
            f"{release.full_id} {release.version}: needs tavo {wanted}, this is {__version__}",
            hint=f"`tavo registry show {release.full_id}` lists other versions.",
        )
