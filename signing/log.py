"""The log of a marketplace's releases: append-only, and anybody can check that it is.

    {"catalog":…,"index":0,"length":…,"publishers":…,"releases":…,"time":…,"version":…}
    {"catalog":…,"index":1,…}
                                    an empty line, and the checkpoint, a signed note (C2SP):
    tavo/<repository>
    2
    <root of the tree over the lines above, base64>

    — tavo/<repository> <base64 of the key's hash and the signature>

Rules this module keeps:
- one line for each catalog that was released; a line is an entry of the tree, byte for byte,
  without its end of line;
- the checkpoint is signed by a key of the `catalog` role, and the file is an artifact of that role:
  a refresh believes it because of the latter, a stranger with the public key because of the former;
- what a machine has seen must be the beginning of what it is offered, and the catalog it is
  offered the last line. Else somebody has rewritten history, or shows two of them: that is refused,
  with the evidence, as long as the catalog's keys are the same;
- with new keys, which the offline role alone gives, a log may begin anew, and it is said: so a
  thief's log locks nobody out for good.

Units: bytes, times UTC. Sources: RFC 9162, section 2.1; c2sp.org/signed-note, tlog-checkpoint.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from signing.digests import Digest
from signing.errors import VerificationError, printable
from signing.keys import PrivateKey, PublicKey
from signing.merkle import leaf_hash, root_hash
from signing.roles import parse_time

__all__ = [
    "LONGEST_LOG",
    "Checkpoint",
    "ForkError",
    "Log",
    "SeenLog",
    "append",
    "check_log",
    "entry_of",
    "read_checkpoint",
    "read_log",
    "resign",
]

LONGEST_LOG = 64 << 20
_LONGEST_ENTRY = 1000
_MOST_NOTES = 50
_KEYS = ("catalog", "index", "length", "publishers", "releases", "time", "version")
_END = b"\n\n"


class ForkError(VerificationError):
    """A log that does not continue the one that was seen. `evidence` are files for people."""

    def __init__(self, message: str, *, evidence: Mapping[str, bytes], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.evidence = evidence


class Checkpoint(NamedTuple):
    """How long a log is, the root of its tree, and the note that was signed about it."""

    origin: str
    size: int
    root: bytes
    note: str

    def signed_by(self, keys: Iterable[PublicKey]) -> bool:
        """Tell whether one of the keys signed it."""
        text, _, lines = self.note.partition("\n\n")
        signatures = [line.rpartition(" ")[2] for line in lines.splitlines()]
        for key in keys:
            wanted = _key_hash(self.origin, key)
            for one in signatures:
                raw = base64.b64decode(one)
                if raw[:4] == wanted and key.verify(raw[4:], f"{text}\n".encode()):
                    return True
        return False


class Log(NamedTuple):
    """A log whose checkpoint fits its entries. Who signed it is still to be checked."""

    entries: tuple[bytes, ...]
    checkpoint: Checkpoint

    @property
    def leaves(self) -> list[bytes]:
        """Return the leaf hashes."""
        return [leaf_hash(entry) for entry in self.entries]

    def index_of(self, catalog: Digest) -> int | None:
        """Return where a catalog was released last, None if it never was."""
        for index in range(len(self.entries) - 1, -1, -1):
            if json.loads(self.entries[index])["catalog"] == catalog.hex:
                return index
        return None


class SeenLog(NamedTuple):
    """What a machine has seen of a log: the notes, the newest last, and the keys of the role."""

    notes: tuple[str, ...]
    keys: str

    @property
    def newest(self) -> Checkpoint:
        """Return the newest checkpoint that was seen."""
        return read_checkpoint(self.notes[-1], "the checkpoint that was seen")

    def to_dict(self) -> dict[str, Any]:
        """Return a JSON-able form."""
        return {"notes": list(self.notes), "keys": self.keys}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> SeenLog:
        """Read `to_dict`'s form. Raises ValueError, KeyError, VerificationError for any other."""
        seen = cls(tuple(map(str, value["notes"])), str(value["keys"]))
        if not seen.notes:
            raise ValueError("no note")
        _ = seen.newest
        return seen


# -- writing


def entry_of(
    *, index: int, catalog: Digest, length: int, publishers: Digest | None, releases: int,
    time: str, version: int,
) -> bytes:  # fmt: skip
    """Return the entry of a released catalog; `version` is that of the role's metadata."""
    value = {
        "catalog": catalog.hex, "index": index, "length": length,
        "publishers": "" if publishers is None else publishers.hex, "releases": releases,
        "time": time, "version": version,
    }  # fmt: skip
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def append(entries: Sequence[bytes], entry: bytes, repository: str, key: PrivateKey) -> bytes:
    """Return the log's file with one more entry, its checkpoint signed by the key."""
    return _written([*entries, entry], repository, key)


def resign(data: bytes, repository: str, key: PrivateKey) -> bytes:
    """Return a log's file with the same entries, its checkpoint signed by another key."""
    return _written(read_log(data, "the log").entries, repository, key)


def _written(entries: Sequence[bytes], repository: str, key: PrivateKey) -> bytes:
    origin = f"tavo/{repository}"
    root = base64.b64encode(root_hash([leaf_hash(entry) for entry in entries])).decode()
    text = f"{origin}\n{len(entries)}\n{root}\n"
    signature = base64.b64encode(_key_hash(origin, key.public) + key.sign(text.encode())).decode()
    note = f"{text}\n\N{EM DASH} {origin} {signature}\n"
    return b"".join(entry + b"\n" for entry in entries) + b"\n" + note.encode()


def _key_hash(origin: str, key: PublicKey) -> bytes:
    form = origin.encode() + b"\n\x01" + bytes.fromhex(key.hex)
    return hashlib.sha256(form).digest()[:4]


# -- reading


def read_log(data: bytes, where: str) -> Log:
    """Read a log; its checkpoint must fit its entries. Raises VerificationError."""
    body, end, note = data.partition(_END)
    entries = tuple(body.split(b"\n"))
    try:
        for index, entry in enumerate(entries):
            _check_entry(entry, index)
        checkpoint = read_checkpoint(note.decode(), where)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise VerificationError(f"{where}: is no log of releases: {printable(error)}") from None
    if not end or checkpoint.size != len(entries):
        raise VerificationError(
            f"{where}: its checkpoint is about {checkpoint.size} releases, it holds {len(entries)}"
        )
    log = Log(entries, checkpoint)
    if root_hash(log.leaves) != checkpoint.root:
        raise VerificationError(f"{where}: its checkpoint does not fit its entries")
    return log


def read_checkpoint(note: str, where: str) -> Checkpoint:
    """Read a signed note; who signed it is still to be checked. Raises VerificationError."""
    text, end, signatures = note.partition("\n\n")
    try:
        origin, size, root = text.split("\n")
        raw = base64.b64decode(root, validate=True)
        fits = size.isascii() and size.isdecimal() and len(size) < 12 and size == str(int(size))
        lines = signatures.splitlines()
        for line in lines:
            dash, name, signature = line.split(" ")
            if dash != "\N{EM DASH}" or not name:
                raise ValueError("a signature's line")
            base64.b64decode(signature, validate=True)
        if not (fits and end and len(raw) == 32 and 0 < len(lines) < 10 and len(note) < 4000):
            raise ValueError("not in its form")
    except ValueError as error:
        raise VerificationError(
            f"{where}: is no checkpoint of a log: {printable(error)}",
            hint="Expected is a signed note: origin, size, root, an empty line, signatures.",
        ) from None
    return Checkpoint(origin, int(size), raw, note)


def _check_entry(entry: bytes, index: int) -> None:
    if len(entry) > _LONGEST_ENTRY:
        raise ValueError(f"entry {index} is longer than {_LONGEST_ENTRY} bytes")
    value = json.loads(entry)
    if not isinstance(value, dict) or sorted(value) != sorted(_KEYS) or value["index"] != index:
        raise ValueError(f"entry {index} has another form")
    if json.dumps(value, sort_keys=True, separators=(",", ":")).encode() != entry:
        raise ValueError(f"entry {index} is not in canonical form")
    Digest(value["catalog"])
    parse_time(value["time"])


def check_log(
    data: bytes | None,
    seen: SeenLog | None,
    *,
    repository: str,
    catalog: Digest,
    signers: Sequence[PublicKey],
    keys: str,
    where: str,
) -> tuple[SeenLog | None, str]:
    """Compare the log that is offered with what was seen; return what is seen from now on, and a
    line for the user.

    `data` is None where nothing is offered, `catalog` the one that is, `signers` are the keys of
    the catalog's role and `keys` names them. Raises VerificationError, and ForkError with evidence.
    """
    if data is None:
        if seen is None:
            return None, ""
        return _anew(None, seen, keys, f"{where}: offers no log of releases any more, and one of"
                     f" {seen.newest.size} was seen before", {})  # fmt: skip
    log = read_log(data, f"the log of releases from {where}")
    checkpoint = log.checkpoint
    if checkpoint.origin != f"tavo/{repository}" or not checkpoint.signed_by(signers):
        raise VerificationError(
            f"the log of releases from {where}: its checkpoint is not signed by a key of this"
            " marketplace's catalog",
            hint="Ask its operator: the log is signed with each release.",
        )
    if json.loads(log.entries[-1])["catalog"] != catalog.hex:
        raise VerificationError(
            f"the log of releases from {where}: its last entry is not the catalog that is offered"
            f" ({catalog.short})",
            hint="Do not use this catalog until its operator has explained this.",
        )
    fresh = SeenLog((checkpoint.note,), keys)
    if seen is None:
        return fresh, ""
    before = seen.newest
    if before.size > len(log.entries) or root_hash(log.leaves[: before.size]) != before.root:
        what = (
            f"has {len(log.entries)} entries, and {before.size} were seen before"
            if before.size > len(log.entries)
            else f"differs in its first {before.size} entries from the one that was seen before"
        )
        return _anew(fresh, seen, keys, f"the log of releases from {where}: {what}",
                     {"offered.log": data})  # fmt: skip
    if before.size == len(log.entries):
        return seen._replace(keys=keys), ""
    notes = (*seen.notes, checkpoint.note)[-_MOST_NOTES:]
    return SeenLog(notes, keys), ""


def _anew(
    fresh: SeenLog | None, seen: SeenLog, keys: str, problem: str, evidence: Mapping[str, bytes]
) -> tuple[SeenLog | None, str]:
    """Refuse a log that does not continue the one seen, unless the catalog has new keys."""
    if seen.keys != keys:
        return fresh, (
            f"{problem}. The keys of the catalog are new ones, which the offline keys gave, so the"
            " log begins anew; ask the operator what happened to the old keys."
        )
    raise ForkError(
        f"{problem}: history was rewritten, or you are shown another one than others",
        evidence={"seen.note": seen.notes[-1].encode(), **evidence},
        hint="Do not use it. Compare checkpoints with another site, and ask the operator.",
    )
