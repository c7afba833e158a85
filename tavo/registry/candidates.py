"""The releases of a catalog as this machine can use them: candidates for `marketplace_db.resolve`.

Rules this module keeps:
- what was recalled or withdrawn, and what this tavo, its plugin API, the CPythons here or their
  wheels cannot run, is a candidate that says so: it is never chosen, and named in an explanation;
- the best interpreter is the running one, else the newest that fits and has all wheels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from marketplace_db.acceptance import check_not_recalled
from marketplace_db.catalog import Catalog, ReleaseRow
from marketplace_db.errors import ManifestError, NotAcceptedError
from marketplace_db.manifest import API_VERSION, Manifest
from marketplace_db.resolve import Candidate
from signing.digests import Digest
from signing.publishers import Publishers
from tavo.errors import RefusedError
from tavo.host import interpreters
from tavo.host.interpreters import Interpreter
from tavo.registry.install import fitting_wheels, scanner_problem

__all__ = ["CatalogCandidates", "Choice", "Judge", "choose_for"]

Judge = Callable[[ReleaseRow, Manifest], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What runs a release here, and the file names of the wheels that are chosen for it."""

    interpreter: Interpreter
    wheels: tuple[str, ...]


class CatalogCandidates:
    """A `CandidateSource` over an open catalog."""

    def __init__(
        self,
        catalog: Catalog,
        publishers: Publishers,
        *,
        withdrawn: Mapping[Digest, str] | None = None,
        judge: Judge | None = None,
    ) -> None:
        """`withdrawn` are packages that earlier catalogs withdrew.

        `judge` is asked last: it says why a release cannot be used, or nothing.
        """
        self._catalog = catalog
        self._publishers = publishers
        self._withdrawn = withdrawn
        self._judge = judge
        self._releases: dict[tuple[str, str], ReleaseRow] = {}

    def versions(self, full_id: str) -> list[str]:
        """Return all versions of a plugin."""
        return self._catalog.version_names(full_id)

    def release(self, full_id: str, version: str) -> ReleaseRow:
        """Return a release as the catalog tells it. Raises NotInCatalogError."""
        key = (full_id, version)
        if key not in self._releases:
            self._releases[key] = self._catalog.release(full_id, version)
        return self._releases[key]

    def examine(self, full_id: str, version: str) -> Candidate:
        """Return a release with what it needs, and why it cannot be used here if it cannot."""
        release = self.release(full_id, version)
        try:
            manifest = release.parsed_manifest()
            return Candidate(
                full_id=full_id,
                version=version,
                requires=manifest.requirements,
                unusable=self._problem(release, manifest),
            )
        except ManifestError as error:
            return Candidate(full_id=full_id, version=version, unusable=f"is damaged: {error}")

    def _problem(self, release: ReleaseRow, manifest: Manifest) -> str:
        try:
            check_not_recalled(release, self._publishers, known_yanks=self._withdrawn)
        except NotAcceptedError as error:
            return str(error).removeprefix(f"{release.full_id} {release.version}: ")
        if release.api > API_VERSION:
            return f"needs plugin API {release.api}, this version of tavo has {API_VERSION}"
        if problem := scanner_problem(manifest.compatible_scanner_version):
            return problem
        try:
            choice = choose_for(release, [("", manifest.python)])
        except RefusedError as error:
            return f"is damaged: {error}"
        if isinstance(choice, str):
            return choice
        return self._judge(release, manifest) if self._judge else ""


def choose_for(
    release: ReleaseRow, ranges: Iterable[tuple[str, str]], *, tag: str = ""
) -> Choice | str:
    """Choose what runs a release, or say why nothing does, as the end of a sentence."""
    wanted = list(ranges)
    lacking: list[str] = []
    for one in interpreters.fitting(wanted, tag=tag):
        wheels, missing = fitting_wheels(release, one)
        if not missing:
            return Choice(interpreter=one, wheels=tuple(wheel.filename for wheel in wheels))
        lacking.append(f"{', '.join(missing)} has no wheel for CPython {one.version} here")
    return "; ".join(lacking) or interpreters.why_none(wanted, tag=tag)
