"""Known vulnerabilities of the locked wheels, from the snapshot that the market has signed.

What cannot be told (a version that has no place in the order) has failed: a person decides.
"""

from __future__ import annotations

from marketplace_db.advisories.snapshot import Advisories
from tavo.operator.vetting.report import Material, Outcome, failed_if, not_done


def run(material: Material) -> Outcome:
    """Ask the snapshot about each wheel."""
    locked = material.package.locked
    if not locked:
        return failed_if([], good="it locks no wheels")
    if material.advisories is None:
        return not_done("the market has no snapshot of advisories; `tavo market advisories` takes"
                        " one in")  # fmt: skip
    problems = []
    with Advisories(material.advisories) as known:
        for wheel in locked:
            for match in known.about("PyPI", wheel.name, wheel.version):
                one = match.advisory
                severity = f", {one.severity}" if one.severity else ""
                unclear = "" if match.certain else "; whether this version is affected is unclear"
                problems.append(
                    f"{wheel.name} {wheel.version}: {one.id}{severity}: {one.summary}{unclear}"
                )
        facts = {"records": known.info.records, "newest": known.info.newest}
    good = f"nothing is known about its {len(locked)} wheels"
    return failed_if(problems, good=good, facts=facts)
