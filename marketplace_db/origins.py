"""Where each wheel of a package comes from: built out of named sources, or to be found in an index.

Rules this module keeps:
- a build statement counts only if a key of the plugin's own namespace signed it, for this very
  wheel under this very name;
- a wheel without one is not refused and not vouched for: a reviewer looks for its digest in the
  index that its publisher took it from;
- what is known is written as one report with the statements in it, which reviewers name by digest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from marketplace_db.errors import PackageError
from marketplace_db.lock import LOCK_NAME, LockedWheel
from marketplace_db.package import InspectedPackage
from signing.attest import BuildClaim, verify_build
from signing.publishers import Publishers

__all__ = ["ORIGINS", "WheelOrigin", "origins_report", "wheel_origins"]

ORIGINS = "wheel origins"
_VERSION = "tavo-wheel-origins/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class WheelOrigin:
    """One wheel of the lock; for one that an index must have, the other fields are None."""

    wheel: LockedWheel
    build: BuildClaim | None = None
    envelope: bytes | None = None


def wheel_origins(
    inspected: InspectedPackage, builds: Mapping[str, bytes], publishers: Publishers
) -> list[WheelOrigin]:
    """Verify the build statements, by the wheels' file names, against the lock.

    Raises AttestationError for a statement that does not hold, PackageError for one about a wheel
    that is not locked.
    """
    if extra := sorted(set(builds) - {wheel.filename for wheel in inspected.locked}):
        raise PackageError(f"a build statement is about {extra[0]}, which is not in {LOCK_NAME}")
    namespace = publishers.namespace(inspected.manifest.full_id)
    origins = []
    for wheel in inspected.locked:
        envelope = builds.get(wheel.filename)
        if envelope is None:
            origins.append(WheelOrigin(wheel=wheel))
            continue
        claim = verify_build(
            envelope, namespace.keys, wheel.filename, wheel.digest, revoked=publishers.revoked_keys
        )
        origins.append(WheelOrigin(wheel=wheel, build=claim, envelope=envelope))
    return origins


def origins_report(origins: Sequence[WheelOrigin]) -> bytes:
    """Return the report as JSON; the same origins give the same bytes."""
    wheels = []
    for one in origins:
        entry: dict[str, object] = {
            "wheel": one.wheel.filename,
            "sha256": one.wheel.digest.hex,
            "origin": "index" if one.build is None else "built",
        }
        if one.build is not None and one.envelope is not None:
            entry |= {
                "statement": one.envelope.decode("utf-8"),
                "source": one.build.source,
                "source_sha256": one.build.source_digest.hex,
                "sandbox": one.build.sandbox,
            }
        wheels.append(entry)
    document = {"version": _VERSION, "wheels": wheels}
    return json.dumps(document, indent=1, sort_keys=True).encode() + b"\n"
