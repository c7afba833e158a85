"""Proofs about a mirror's log of releases, as files that a stranger can check without tavo.

Rules this module keeps:
- the mirror is verified first, as at a sync, and nothing is remembered: looking is no acceptance;
- the log is read from the mirror itself, and never from what this machine keeps of an earlier one;
- each proof holds the signed checkpoint it is about, so that it needs nothing but a public key;
- each is smaller than 2 kB, however long the log is.

The form is read by `examples/verify_log.py`.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from marketplace_db.site import Site
from signing.client import Refreshed, Source, fetch_artifact
from signing.digests import Digest
from signing.errors import MissingError, VerificationError
from signing.keys import PublicKey
from signing.log import Checkpoint, Log, read_checkpoint, read_log
from signing.merkle import consistency_proof, inclusion_proof, leaf_hash, root_hash
from signing.roles import LOG_NAME
from tavo.errors import RefusedError, UsageError

__all__ = ["FORMAT", "Audit", "audit", "consistency", "inclusion"]

FORMAT = "tavo-log-proof/1"
_REPAIR = (
    "`tavo mirror verify` names what is damaged; `tavo mirror sync` or `tavo mirror import` into it"
    " repairs it."
)


class Audit(NamedTuple):
    """What was proved: that a catalog is in the log, and that the log continues an earlier one.

    `earlier` is None where this machine has seen no earlier checkpoint; `keys` are the public keys
    of the role that signs checkpoints.
    """

    checkpoint: Checkpoint
    release: int
    catalog: Digest
    inclusion: bytes
    earlier: Checkpoint | None
    consistency: bytes | None
    keys: tuple[PublicKey, ...]


def audit(source: Source, site: Site, catalog: str, since: str) -> Audit:
    """Verify a mirror and prove that a catalog, by default the newest, is in its log, and that the
    log continues the checkpoint `since` (a note), by default the one that was seen before.

    Raises the errors of `signing.client.refresh`, RefusedError, UsageError.
    """
    refreshed = site.read(source)
    if refreshed.log is None:
        raise RefusedError(
            f"{source.name}: has no log of releases, so nothing can be proved",
            hint="A marketplace begins its log with its next `tavo market release`.",
        )
    log = read_log(_bytes_of_log(source, refreshed), f"the log in {source.name}")
    wanted = _digest(catalog) if catalog else refreshed.catalog.digest
    index = log.index_of(wanted)
    if index is None:
        raise RefusedError(f"{source.name}: the catalog {wanted.hex} was never released")
    earlier = _earlier(site, log, since)
    return Audit(
        checkpoint=log.checkpoint,
        release=index,
        catalog=wanted,
        inclusion=inclusion(log, index),
        earlier=earlier,
        consistency=None if earlier is None else consistency(log, earlier),
        keys=refreshed.catalog_keys,
    )


def inclusion(log: Log, index: int) -> bytes:
    """Return the file that proves that an entry is in the log."""
    return _file(
        {
            "checkpoint": log.checkpoint.note,
            "entry": log.entries[index].decode(),
            "index": index,
            "proof": _texts(inclusion_proof(log.leaves, index)),
        }
    )


def consistency(log: Log, earlier: Checkpoint) -> bytes:
    """Return the file that proves that the log continues an earlier checkpoint.

    Raises RefusedError where it does not.
    """
    leaves = [leaf_hash(entry) for entry in log.entries]
    if earlier.size > len(leaves) or root_hash(leaves[: earlier.size]) != earlier.root:
        raise RefusedError(
            f"the log of {len(leaves)} releases does not continue the checkpoint of {earlier.size}:"
            " history was rewritten, or you are shown another one than others",
            hint="Keep both, compare them with another site, and ask the operator.",
        )
    return _file(
        {
            "checkpoint": log.checkpoint.note,
            "earlier": earlier.note,
            "proof": _texts(consistency_proof(leaves, earlier.size)),
        }
    )


def _bytes_of_log(source: Source, refreshed: Refreshed) -> bytes:
    """Return the log as it lies in the mirror. Raises VerificationError, SourceError."""
    named = next(one for one in refreshed.artifacts if one.name == LOG_NAME)
    with TemporaryDirectory(prefix="tavo-audit-") as folder:
        path = Path(folder, "releases.log")
        try:
            fetch_artifact(source, named, path)
        except (VerificationError, MissingError) as error:
            error.hint = _REPAIR
            raise
        return path.read_bytes()


def _earlier(site: Site, log: Log, since: str) -> Checkpoint | None:
    if since:
        found = read_checkpoint(since, "the checkpoint that was given")
        if found.origin != log.checkpoint.origin or found.size < 1:
            raise UsageError(
                f"the checkpoint that was given is of {found.origin[:60]}, the log is"
                f" {log.checkpoint.origin[:60]}"
            )
        return found
    seen = site.state.log
    if seen is None:
        return None
    notes = [note for note in seen.notes if note != log.checkpoint.note] or [seen.notes[-1]]
    return read_checkpoint(notes[-1], "the checkpoint that was seen")


def _digest(text: str) -> Digest:
    try:
        return Digest(text)
    except ValueError as error:
        raise UsageError(
            f"--catalog: {error}", hint="`tavo mirror status` shows it as catalog sha256."
        ) from None


def _texts(proof: Sequence[bytes]) -> list[str]:
    return [base64.b64encode(one).decode() for one in proof]


def _file(value: dict[str, object]) -> bytes:
    form = {"format": FORMAT, **value}
    return json.dumps(form, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode()
