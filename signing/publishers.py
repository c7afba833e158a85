"""The offline role's document: who may publish, who reviews, what is revoked.

Rules this module keeps:
- every namespace is listed with its keys; there is no default and no unclaimed one;
- a key belongs to one namespace or to the reviewers, never to two: nobody approves their own work;
- a key that signs entitlements signs nothing else, so that a shop's key publishes and approves
  nothing; it may serve several namespaces;
- revocations only take away, so they count even from a document that has expired.

The document is JSON with sorted keys; unknown fields are errors, so that a client never
overlooks a restriction it does not understand.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from signing.digests import Digest
from signing.errors import VerificationError, printable
from signing.keys import PublicKey

__all__ = ["Namespace", "Publishers", "Recalls"]

FORMAT = 1
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?\Z")
_MOST_REVIEWS = 16
_ENTITLEMENTS = "entitlement_keys"


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """The keys that may sign for a namespace, by key id, and how many of them are needed.

    `entitlement_keys` say who may use its paid plugins (`signing.entitlements`), and sign nothing
    else.
    """

    keys: Mapping[str, PublicKey]
    threshold: int = 1
    official: bool = False
    entitlement_keys: Mapping[str, PublicKey] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalls:
    """What was taken back: key ids and package digests, each with its reason."""

    keys: Mapping[str, str] = field(default_factory=dict)
    packages: Mapping[Digest, str] = field(default_factory=dict)

    def union(self, other: Recalls) -> Recalls:
        """Return what either of the two takes back."""
        return Recalls(
            keys={**other.keys, **self.keys}, packages={**other.packages, **self.packages}
        )

    def reason(self, package: Digest, *signers: Collection[str]) -> str | None:
        """Say why a package may not be used any more, None if it may.

        Each of `signers` are the ids of the keys behind one kind of statement about it. A statement
        is worth nothing when none of its keys is left: whoever stole one could have made it.
        """
        if package in self.packages:
            return self.packages[package]
        for keys in signers:
            if keys and all(key in self.keys for key in keys):
                first = min(keys)
                return f"the key {first[:12]} that signed it was revoked: {self.keys[first]}"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Publishers:
    """Who may publish and review. Raises VerificationError if it contradicts itself."""

    namespaces: Mapping[str, Namespace]
    reviewers: Mapping[str, PublicKey] = field(default_factory=dict)
    required_reviews: int = 1
    required_reviews_official: int = 2
    revoked_keys: Mapping[str, str] = field(default_factory=dict)
    revoked_packages: Mapping[Digest, str] = field(default_factory=dict)
    unyanked: frozenset[Digest] = frozenset()

    def __post_init__(self) -> None:
        owner: dict[str, str] = {}
        for name, namespace in self.namespaces.items():
            if not _NAME.match(name):
                raise _error(f"{name!r:.80} is not a namespace name")
            if not 1 <= namespace.threshold <= len(namespace.keys):
                raise _error(
                    f"namespace {name}: {namespace.threshold} signatures are needed, "
                    f"of {len(namespace.keys)} keys"
                )
            _claim(owner, namespace.keys, f"namespace {name}")
        _claim(owner, self.reviewers, "the reviewers")
        for name, namespace in self.namespaces.items():
            whose = f"the entitlements of {name}"
            _claim({}, namespace.entitlement_keys, whose)
            for key_id in namespace.entitlement_keys:
                if key_id in owner:
                    raise _error(
                        f"key {key_id[:12]} belongs to {owner[key_id]} and to {whose};"
                        " expected a key of its own"
                    )
        for count in (self.required_reviews, self.required_reviews_official):
            if not 1 <= count <= _MOST_REVIEWS:
                raise _error(f"{count} reviews are required, expected 1 to {_MOST_REVIEWS}")

    @property
    def recalls(self) -> Recalls:
        """Return the revocations alone."""
        return Recalls(keys=self.revoked_keys, packages=self.revoked_packages)

    def namespace(self, full_id: str) -> Namespace:
        """Return the namespace of `publisher/name` or `publisher`.

        Raises VerificationError if it is not listed.
        """
        name = full_id.partition("/")[0]
        try:
            return self.namespaces[name]
        except KeyError:
            raise VerificationError(
                f"publishers.json: nobody may publish in the namespace {name!r:.80}",
                hint="Check the spelling of the plugin's full id.",
            ) from None

    def reviews_needed(self, full_id: str) -> int:
        """Return how many reviewers must approve a package of this namespace."""
        if self.namespace(full_id).official:
            return max(self.required_reviews, self.required_reviews_official)
        return self.required_reviews

    def with_recalls(self, recalls: Recalls) -> Publishers:
        """Return this document with further revocations, such as those known from elsewhere."""
        together = self.recalls.union(recalls)
        return replace(self, revoked_keys=together.keys, revoked_packages=together.packages)

    def to_bytes(self) -> bytes:
        """Return the canonical JSON form."""
        keys = {**self.reviewers}
        for namespace in self.namespaces.values():
            keys.update(namespace.keys)
            keys.update(namespace.entitlement_keys)
        value = {
            "format": FORMAT,
            "keys": {key_id: key.to_dict() for key_id, key in keys.items()},
            "namespaces": {
                name: {
                    "keys": sorted(namespace.keys),
                    "threshold": namespace.threshold,
                    "official": namespace.official,
                    # without any, the document is the one that every version reads
                    **_entitlement_form(namespace),
                }
                for name, namespace in self.namespaces.items()
            },
            "reviewers": sorted(self.reviewers),
            "required_reviews": {
                "default": self.required_reviews,
                "official": self.required_reviews_official,
            },
            "revoked_keys": dict(self.revoked_keys),
            "revoked_packages": {d.hex: reason for d, reason in self.revoked_packages.items()},
            "unyanked": sorted(digest.hex for digest in self.unyanked),
        }
        return (json.dumps(value, sort_keys=True, indent=1) + "\n").encode()

    @classmethod
    def parse(cls, data: bytes) -> Publishers:
        """Read the JSON form. Raises VerificationError for anything that is not understood."""
        try:
            value = json.loads(data, object_pairs_hook=_unique)
            _fields(value, _TOP_FIELDS, "the document")
            if value["format"] != FORMAT:
                raise _error(
                    f"format {value['format']!r:.20}, expected {FORMAT}",
                    hint="Update tavo: this repository is written for a newer version.",
                )
            keys = {
                key_id: PublicKey.from_dict(key_id, form) for key_id, form in value["keys"].items()
            }
            reviews = _fields(value["required_reviews"], {"default", "official"}, "reviews")
            return cls(
                namespaces={
                    name: _read_namespace(name, form, keys)
                    for name, form in value["namespaces"].items()
                },
                reviewers=_pick(value["reviewers"], keys, "reviewers"),
                required_reviews=_whole(reviews["default"]),
                required_reviews_official=_whole(reviews["official"]),
                revoked_keys=_reasons(value["revoked_keys"]),
                revoked_packages={
                    Digest(hexadecimal): reason
                    for hexadecimal, reason in _reasons(value["revoked_packages"]).items()
                },
                unyanked=frozenset(Digest(item) for item in value["unyanked"]),
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise _error(f"cannot be read: {printable(error)}") from None


_TOP_FIELDS = {
    "format",
    "keys",
    "namespaces",
    "reviewers",
    "required_reviews",
    "revoked_keys",
    "revoked_packages",
    "unyanked",
}


def _error(problem: str, *, hint: str = "") -> VerificationError:
    return VerificationError(f"publishers.json: {problem}", hint=hint)


def _claim(owner: dict[str, str], keys: Mapping[str, PublicKey], who: str) -> None:
    for key_id, key in keys.items():
        if key_id != key.key_id:
            raise _error(f"{who}: key {key.key_id[:12]} is listed under another id")
        before = owner.setdefault(key_id, who)
        if before != who:
            raise _error(f"key {key_id[:12]} belongs to {before} and to {who}; expected one owner")


def _fields(value: Any, expected: set[str], where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or set(value) != expected:
        found = sorted(value) if isinstance(value, dict) else value
        raise ValueError(f"{where} has the fields {found!s:.120}, expected {sorted(expected)}")
    return value


def _entitlement_form(namespace: Namespace) -> dict[str, list[str]]:
    listed = sorted(namespace.entitlement_keys)
    return {_ENTITLEMENTS: listed} if listed else {}


def _read_namespace(name: str, form: Any, keys: Mapping[str, PublicKey]) -> Namespace:
    more = {_ENTITLEMENTS} if isinstance(form, dict) and _ENTITLEMENTS in form else set()
    _fields(form, {"keys", "threshold", "official"} | more, f"namespace {name}")
    if not isinstance(form["official"], bool):
        raise ValueError(f"namespace {name}: official is not true or false")
    return Namespace(
        keys=_pick(form["keys"], keys, f"namespace {name}"),
        threshold=_whole(form["threshold"]),
        official=form["official"],
        entitlement_keys=_pick(form.get(_ENTITLEMENTS, ()), keys, f"entitlements of {name}"),
    )


def _pick(
    key_ids: Iterable[str], keys: Mapping[str, PublicKey], where: str
) -> dict[str, PublicKey]:
    listed = list(key_ids)
    missing = [key_id for key_id in listed if key_id not in keys]
    if missing or len(set(listed)) != len(listed):
        raise ValueError(f"{where}: a key is missing or listed twice")
    return {key_id: keys[key_id] for key_id in listed}


def _whole(value: object) -> int:
    if type(value) is not int:
        raise ValueError(f"{value!r:.20} is not a whole number")
    return value


def _reasons(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise ValueError("revocations are a mapping to reasons")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a field appears twice")
    return value
