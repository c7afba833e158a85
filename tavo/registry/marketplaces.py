"""The marketplaces that the user trusts besides the one of the file or of `registry.root`.

    CONFIG/marketplaces.json      each with its name, source, root, fingerprint and namespaces

Rules this module keeps:
- a marketplace gets in only with the fingerprint of its root's keys, which the user had from
  somewhere else; nothing is trusted because it was met first;
- each has its own root, and with it its own cache, state, recalls and grants;
- the file is the user's: strict, written as a whole, in a folder that nobody else may write to;
- a namespace is bound to one marketplace at most.

"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from signing.client import Source, root_facts, root_fingerprint
from signing.digests import Digest
from signing.errors import MissingError, VerificationError
from signing.files import write_atomically
from signing.roles import ROOT_VERSION_FIELD
from signing.sources import Deadline
from tavo.config import MARKETPLACES_NAME
from tavo.errors import ConfigError, InputError, RefusedError, UsageError
from tavo.private import check_private, make_private
from tavo.registry.routes import DEFAULT

__all__ = [
    "Known", "Marketplaces", "find_root", "grouped", "read_fingerprint",
    "repository_of",
]  # fmt: skip

_FORMAT = 1
_LARGEST = 4 << 20
_LARGEST_ROOT = 512_000
_MOST_ROOTS = 256
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_DEADLINE_S = 60.0


class Known(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A marketplace that was added. Without `namespaces` all of it counts that is bound nowhere.

    `plain_http` says that its source may be without https.
    """

    name: str
    source: str
    fingerprint: str
    repository: str
    root: str
    namespaces: tuple[str, ...] = ()
    added: str = ""
    plain_http: bool = False

    @property
    def root_bytes(self) -> bytes:
        """Return the root that was confirmed."""
        return self.root.encode()


class _File(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    format: int
    order: tuple[str, ...]
    marketplaces: tuple[Known, ...]


class Marketplaces(NamedTuple):
    """The added marketplaces, and the names of all in the user's order, the default one too."""

    path: Path
    known: tuple[Known, ...] = ()
    order: tuple[str, ...] = (DEFAULT,)

    @classmethod
    def load(cls, folder: Path) -> Marketplaces:
        """Read what was added. Raises ConfigError, RefusedError, InputError."""
        path = folder / MARKETPLACES_NAME
        try:
            with path.open("rb") as stream:
                data = stream.read(_LARGEST)
        except FileNotFoundError:
            return cls(path)
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        check_private(folder)
        try:
            read = msgspec.json.decode(data, type=_File)
            if read.format != _FORMAT:
                raise ValueError(f"format {read.format}, this tavo knows {_FORMAT}")
            _check(read)
        except (msgspec.DecodeError, ValueError, VerificationError) as error:
            raise ConfigError(
                f"{path}: cannot be read: {error!s:.200}",
                hint="Move it away and add the marketplaces again with `tavo trust add`.",
            ) from None
        return cls(path, read.marketplaces, read.order)

    def __bool__(self) -> bool:
        return bool(self.known)

    @property
    def plain_hosts(self) -> tuple[str, ...]:
        """Return the hosts that may be asked without https."""
        return tuple(urlsplit(one.source).hostname or "" for one in self.known if one.plain_http)

    def find(self, name: str) -> Known | None:
        """Return an added marketplace by its name."""
        return next((one for one in self.known if one.name == name), None)

    def get(self, name: str) -> Known:
        """Return an added marketplace by its name. Raises UsageError."""
        if (found := self.find(name)) is None:
            raise UsageError(
                f"{name!r:.60}: is no marketplace that was added here",
                hint=f"Added: {', '.join(one.name for one in self.known) or 'none'}.",
            )
        return found

    def with_one(self, one: Known, before: str | None) -> Marketplaces:
        """Return these with another one, last or `before` a name; it replaces one of its name.

        Raises UsageError for a name or an order that cannot be, ConfigError where a namespace or
        the repository has a place already.
        """
        if not _NAME.fullmatch(one.name) or one.name == DEFAULT:
            raise UsageError(
                f"{one.name!r:.60} is no name of a marketplace",
                hint="Use lower-case letters, digits and hyphens; 'default' is taken.",
            )
        others = tuple(other for other in self.known if other.name != one.name)
        for other in others:
            if other.repository == one.repository:
                raise ConfigError(f"this marketplace was added already, as {other.name}")
            if both := sorted(set(other.namespaces) & set(one.namespaces)):
                raise ConfigError(
                    f"the namespace {both[0]} is bound to {other.name} already",
                    hint="A namespace comes from one marketplace: remove the other one first.",
                )
        order = [name for name in self.order if name != one.name]
        if before is not None and before not in order:
            raise UsageError(f"--before {before!r:.60}: known are {', '.join(order)}")
        at = (
            self.order.index(one.name) if before is None and one.name in self.order
            else len(order) if before is None else order.index(before)
        )  # fmt: skip
        order.insert(at, one.name)
        return self._replace(known=(*others, one), order=tuple(order))

    def without(self, name: str) -> Marketplaces:
        """Return these without one. Raises UsageError."""
        gone = self.get(name)
        return self._replace(
            known=tuple(one for one in self.known if one is not gone),
            order=tuple(one for one in self.order if one != name),
        )

    def save(self) -> None:
        """Write the file. Raises RefusedError, InputError."""
        value = {
            "format": _FORMAT,
            "order": self.order,
            "marketplaces": [msgspec.to_builtins(one) for one in self.known],
        }
        try:
            make_private(self.path.parent)
            write_atomically(self.path, json.dumps(value, indent=1).encode() + b"\n")
        except OSError as error:
            raise InputError(f"{self.path}: cannot be written: {error.strerror}") from error


def _check(read: _File) -> None:
    names = [one.name for one in read.marketplaces]
    if sorted((*names, DEFAULT)) != sorted(read.order):
        raise ValueError("the order names other marketplaces than there are")
    bound = [name for one in read.marketplaces for name in one.namespaces]
    if len(set(bound)) != len(bound):
        raise ValueError("a namespace is bound twice")
    for one in read.marketplaces:
        if root_fingerprint(one.root_bytes).hex != one.fingerprint:
            raise ValueError(f"the root of {one.name} is not the one that was confirmed")
        if root_facts(one.root_bytes).repository != one.repository:
            raise ValueError(f"the root of {one.name} is of another repository")


def grouped(fingerprint: Digest) -> str:
    """Return a fingerprint as people read it to each other: eight groups of eight."""
    return " ".join(fingerprint.hex[at : at + 8] for at in range(0, 64, 8))


def read_fingerprint(text: str) -> Digest:
    """Read a fingerprint as a person typed it, in groups or not. Raises UsageError."""
    bare = re.sub(r"[\s:-]", "", text.lower()).removeprefix("sha256")
    try:
        return Digest(bare)
    except ValueError:
        raise UsageError(
            f"{text!r:.100} is no fingerprint",
            hint="Expected are 64 hexadecimal digits, in groups or not: what the marketplace's"
            " operator reads to you (`tavo market status` there).",
        ) from None


def find_root(source: Source, expected: Digest) -> bytes:
    """Fetch the root with this fingerprint: the newest, or an earlier one that leads to it.

    Nothing is verified but the fingerprint: a refresh from the root does the rest. Raises
    RefusedError where no root has it, SourceError.
    """
    seen: list[Digest] = []
    for data in _roots(source):
        try:
            found = root_fingerprint(data)
        except VerificationError:
            continue
        if found == expected:
            return data
        seen.append(found)
    raise RefusedError(
        f"{source.name}: its root has other keys than the ones you were told:"
        + (f" its fingerprint begins {seen[0].hex[:8]}, yours {expected.hex[:8]}" if seen else
           " no root can be read there"),
        hint="Do not trust it. Ask its operator, over another way than this address, what the"
        " fingerprint is.",
    )  # fmt: skip


def repository_of(source: Source) -> str:
    """Return which repository a source says it is, empty where it says none; nothing is verified:
    it only chooses the root by which all of it is judged then."""
    for data in _roots(source):
        try:
            return root_facts(data).repository
        except VerificationError:
            continue
    return ""


def _roots(source: Source) -> Iterator[bytes]:
    listed: Sequence[int] | None = sorted(source.root_versions() or (), reverse=True)
    for version in (listed or range(_said_version(source), 0, -1))[:_MOST_ROOTS]:
        try:
            yield _read(source, f"metadata/{version}.root.json", _LARGEST_ROOT)
        except MissingError:
            continue


def _said_version(source: Source) -> int:
    """Return which root the source says is its newest; a lie leads to another fingerprint."""
    try:
        timestamp = json.loads(_read(source, "metadata/timestamp.json", _LARGEST_ROOT))
        version = timestamp["signed"][ROOT_VERSION_FIELD]
    except (ValueError, KeyError, TypeError, RecursionError):
        return 1
    return version if type(version) is int and 0 < version <= _MOST_ROOTS else 1


def _read(source: Source, path: str, limit: int) -> bytes:
    data = bytearray()
    for chunk in source.read(path, Deadline(_DEADLINE_S)):
        data += chunk
        if len(data) > limit:
            raise VerificationError(f"{path} from {source.name}: longer than {limit} bytes")
    return bytes(data)
