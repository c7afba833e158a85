"""From a plugin's name to verified files on this machine, ready to be installed.

Rules this module keeps:
- every blob is fetched by the digest that the verified catalog names, with its length as limit;
- the decision is `marketplace_db.acceptance`'s; nothing is installed that it has not accepted;
- a paid plugin needs an entitlement; the tier is that of the signed manifest, and a catalog that
  says another one is refused;
- the user sees what the plugin may and may not do before anything is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from marketplace_db.acceptance import AcceptedPackage, accept
from marketplace_db.catalog import Catalog, ReleaseRow, WheelRow
from marketplace_db.errors import NotAcceptedError
from marketplace_db.permissions import permission_sentences
from tavo import __version__
from tavo.errors import RefusedError
from tavo.host import interpreters
from tavo.host.installations import Staged
from tavo.host.interpreters import Interpreter
from tavo.registry.origin import check_at_hand
from tavo.registry.reviews import fetch_from, fetch_statement
from tavo.registry.trust import OpenCatalog

if TYPE_CHECKING:
    from signing.entitlements import EntitlementClaim
    from tavo.registry.entitlements import Entitlements

__all__ = ["Prepared", "fetch_accepted", "fitting_wheels", "prepare", "scanner_problem"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """An accepted package with its wheels in a temporary folder, and what to tell the user."""

    accepted: AcceptedPackage
    wheels: Mapping[str, Path]
    can: tuple[str, ...]
    cannot: tuple[str, ...]
    provenance: Mapping[str, object]
    interpreter: Interpreter
    entitlement: EntitlementClaim | None = None

    def staged(self, **provenance: object) -> Staged:
        """Return it as what is installed; `provenance` is recorded besides what is known."""
        return Staged(
            accepted=self.accepted,
            wheels=self.wheels,
            provenance={**self.provenance, **provenance},
            interpreter=self.interpreter,
        )


def prepare(
    opened: OpenCatalog,
    catalog: Catalog,
    name: str,
    version: str | None,
    folder: Path,
    *,
    interpreter: Interpreter | None = None,
    entitlements: Entitlements | None = None,
) -> Prepared:
    """Fetch and accept one release into `folder`, which the caller deletes afterwards.

    `entitlements` are those of this machine; without any, only free plugins are prepared.

    Its wheels are chosen for `interpreter`, else for the one that runs this tavo.
    Raises NotInCatalogError, NotAcceptedError, PackageError, VerificationError, SourceError, and
    RefusedError if this system or this version of tavo cannot run the plugin.
    """
    release = catalog.release(name, version)
    manifest = release.parsed_manifest()
    if problem := scanner_problem(manifest.compatible_scanner_version):
        raise RefusedError(
            f"{release.full_id} {release.version}: {problem}",
            hint=f"`tavo registry show {release.full_id}` lists other versions.",
        )
    python = interpreter or interpreters.running()
    fitting, missing = fitting_wheels(release, python)
    if missing:
        raise RefusedError(
            f"{release.full_id} {release.version}: {', '.join(missing)} has no wheel for CPython"
            f" {python.version} on this system",
            hint=f"`tavo registry show {release.full_id}` lists other versions.",
        )
    check_at_hand(opened, release, fitting)
    accepted = fetch_accepted(opened, release, folder)
    entitlement = _entitlement(catalog, accepted, entitlements)
    wheels: dict[str, Path] = {}
    for wheel in fitting:
        path = folder / wheel.filename
        fetch_from(opened, wheel.digest, wheel.length, path, wheel.filename)
        wheels[wheel.filename] = path
    can, cannot = permission_sentences(accepted.inspected.manifest)
    record = opened.record
    return Prepared(
        accepted=accepted,
        wheels=wheels,
        can=tuple(can),
        cannot=tuple(cannot),
        interpreter=python,
        entitlement=entitlement,
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
    fetch_from(
        opened, release.package, release.length, package, f"the package of {release.full_id}"
    )
    publisher = fetch_statement(opened, release.publisher_envelope, folder, release)
    reviews = [fetch_statement(opened, d, folder, release) for d in release.reviewer_envelopes]
    return accept(
        release, opened.publishers, package, publisher, reviews, known_yanks=opened.withdrawn
    )


def _entitlement(
    catalog: Catalog, accepted: AcceptedPackage, entitlements: Entitlements | None
) -> EntitlementClaim | None:
    """Return what entitles to use a paid plugin. Raises NotAcceptedError."""
    manifest = accepted.inspected.manifest
    row = catalog.plugin(manifest.full_id)
    if row.latest == manifest.version and row.pricing_tier != manifest.pricing_tier:
        raise NotAcceptedError(
            f"{manifest.full_id} {manifest.version}: the catalog says {row.pricing_tier}, its"
            f" publisher signed {manifest.pricing_tier}",
            hint="Do not use this catalog; fetch it again or from another mirror.",
        )
    if manifest.pricing_tier == "free":
        return None
    if entitlements is None:
        raise NotAcceptedError(
            f"{manifest.full_id} {manifest.version}: is a paid plugin and needs an entitlement",
            hint="`tavo registry entitle FILE` puts one in place.",
        )
    return entitlements.check(manifest)


def fitting_wheels(
    release: ReleaseRow, python: Interpreter
) -> tuple[list[WheelRow], tuple[str, ...]]:
    """Return the best wheel of each distribution of the lock, and which ones have none."""
    if not release.wheels:
        return [], ()
    order = {tag: rank for rank, tag in enumerate(interpreters.tags_of(python))}
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
    return [wheel for _, wheel in best.values()], tuple(sorted(names - set(best)))


def scanner_problem(wanted: str) -> str:
    """Return why this version of tavo is none that a release works with; nothing if it is."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        fits = not wanted or SpecifierSet(wanted).contains(__version__, prereleases=True)
    except InvalidSpecifier:
        return f"names {wanted!r} as the versions of tavo it needs, which is no range"
    return "" if fits else f"needs tavo {wanted}, this is {__version__}"
