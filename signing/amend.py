"""Changes of the publishers' document, and what a change means in sentences.

Rules this module keeps:
- a document comes in and a document goes out; who may sign it is decided elsewhere;
- what there is not to be changed is a RepositoryError: nothing was refused, a name is mistyped;
- taking away is never silent: a revoked key or package stays listed with its reason;
- the sentences are made by comparing two documents, so they show what a signature would cover.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from signing.digests import Digest
from signing.errors import RepositoryError, VerificationError
from signing.keys import PublicKey
from signing.publishers import Namespace, Publishers

__all__ = ["appoint", "bind", "bind_entitlements", "differences", "dismiss", "lift", "revoke_key",
           "revoke_package", "transfer", "unbind"]  # fmt: skip

EMPTY = Publishers(namespaces={})
_LISTED = "`tavo market publisher list` shows namespaces, keys and reviewers."


def bind(
    document: Publishers,
    name: str,
    keys: Iterable[PublicKey],
    *,
    official: bool | None = None,
    threshold: int | None = None,
) -> Publishers:
    """Add keys to a namespace; make the namespace if it is new.

    `threshold` is how many of its keys must sign a package. Raises VerificationError for a name,
    a key or a number that the document cannot have.
    """
    before = document.namespaces.get(name, Namespace(keys={}))
    after = replace(
        before,
        keys={**before.keys, **_by_id(keys)},
        threshold=before.threshold if threshold is None else threshold,
        official=before.official if official is None else official,
    )
    _check_not_revoked(document, after.keys)
    return replace(document, namespaces={**document.namespaces, name: after})


def bind_entitlements(document: Publishers, name: str, keys: Iterable[PublicKey]) -> Publishers:
    """Let keys say who may use the paid plugins of a namespace.

    Raises VerificationError, and RepositoryError for an unknown namespace.
    """
    before = _namespace(document, name)
    after = replace(before, entitlement_keys={**before.entitlement_keys, **_by_id(keys)})
    _check_not_revoked(document, after.entitlement_keys)
    return replace(document, namespaces={**document.namespaces, name: after})


def unbind(document: Publishers, name: str, key_id: str) -> Publishers:
    """Take a key that is not in use any more from a namespace; it is not revoked by that.

    Raises RepositoryError for an unknown namespace or key.
    """
    before = _namespace(document, name)
    if key_id not in {**before.keys, **before.entitlement_keys}:
        raise RepositoryError(f"namespace {name}: has no key {key_id[:12]!r}", hint=_LISTED)
    after = replace(
        before,
        keys={known: key for known, key in before.keys.items() if known != key_id},
        entitlement_keys={k: key for k, key in before.entitlement_keys.items() if k != key_id},
    )
    return replace(document, namespaces={**document.namespaces, name: after})


def transfer(document: Publishers, name: str, keys: Iterable[PublicKey]) -> Publishers:
    """Give a namespace to others: it has these keys and none of the old ones.

    What was released before stays as it is; who sells its paid plugins from now on, the new owner
    says with keys for entitlements. Raises VerificationError, and RepositoryError for an unknown
    namespace.
    """
    after = replace(_namespace(document, name), keys=_by_id(keys), threshold=1, entitlement_keys={})
    _check_not_revoked(document, after.keys)
    return replace(document, namespaces={**document.namespaces, name: after})


def appoint(document: Publishers, keys: Iterable[PublicKey]) -> Publishers:
    """Add reviewers' keys. Raises VerificationError for a key of a publisher."""
    added = _by_id(keys)
    _check_not_revoked(document, added)
    return replace(document, reviewers={**document.reviewers, **added})


def dismiss(document: Publishers, key_id: str) -> Publishers:
    """Take a reviewer's key away, so that its statements count no longer.

    Raises RepositoryError for a key that no reviewer has.
    """
    if key_id not in document.reviewers:
        raise RepositoryError(f"the reviewers have no key {key_id[:12]!r}", hint=_LISTED)
    kept = {known: key for known, key in document.reviewers.items() if known != key_id}
    return replace(document, reviewers=kept)


def revoke_key(document: Publishers, key_id: str, reason: str) -> Publishers:
    """Revoke somebody's key: nothing that it alone signed counts any more.

    Raises RepositoryError for a key that nobody has, VerificationError if it was revoked before.
    """
    _check_reason(reason)
    known = {
        key
        for namespace in document.namespaces.values()
        for key in (*namespace.keys, *namespace.entitlement_keys)
    }
    if key_id not in known | set(document.reviewers):
        raise RepositoryError(f"publishers.json: nobody has the key {key_id[:12]!r}", hint=_LISTED)
    if key_id in document.revoked_keys:
        raise VerificationError(f"publishers.json: key {key_id:.12} was revoked before")
    return replace(document, revoked_keys={**document.revoked_keys, key_id: reason})


def revoke_package(document: Publishers, package: Digest, reason: str) -> Publishers:
    """Recall a package: no client runs it from then on. Raises VerificationError."""
    _check_reason(reason)
    if package in document.revoked_packages:
        raise VerificationError(f"publishers.json: package {package.short} was recalled before")
    return replace(document, revoked_packages={**document.revoked_packages, package: reason})


def lift(document: Publishers, package: Digest) -> Publishers:
    """Let a yanked release be installed again, which no online key can do.

    Raises VerificationError for one that was recalled, which is for good, or lifted before.
    """
    reason = document.revoked_packages.get(package)
    if reason is not None:
        raise VerificationError(
            f"publishers.json: package {package.short} was recalled, which is for good: {reason}"
        )
    if package in document.unyanked:
        raise VerificationError(f"publishers.json: package {package.short} was lifted before")
    return replace(document, unyanked=document.unyanked | {package})


def differences(before: Publishers | None, after: Publishers) -> tuple[str, ...]:
    """Say what signing `after` in place of `before` would change, most weighty first."""
    old = before or EMPTY
    lines = [f"recalls the package {package.hex}: {reason}"
             for package, reason in after.revoked_packages.items()
             if package not in old.revoked_packages]  # fmt: skip
    lines += [f"NO LONGER recalls the package {package.hex}" for package in old.revoked_packages
              if package not in after.revoked_packages]  # fmt: skip
    lines += [f"revokes the key {key_id}: {reason}"
              for key_id, reason in after.revoked_keys.items()
              if key_id not in old.revoked_keys]  # fmt: skip
    lines += [f"NO LONGER revokes the key {key_id}"
              for key_id in old.revoked_keys if key_id not in after.revoked_keys]  # fmt: skip
    lines += [f"lets the withdrawn package {package.hex} be installed again"
              for package in sorted(after.unyanked - old.unyanked, key=str)]  # fmt: skip
    lines += [f"closes the namespace {name}" for name in old.namespaces
              if name not in after.namespaces]  # fmt: skip
    for name, namespace in after.namespaces.items():
        known = old.namespaces.get(name)
        if known is None:
            lines.append(f"opens the {'official ' if namespace.official else ''}namespace {name}")
        elif known.official != namespace.official:
            lines.append(f"makes {name} {'an' if namespace.official else 'no longer an'} official"
                         " namespace")  # fmt: skip
        lines += _key_lines(f"the namespace {name}", known.keys if known else {}, namespace.keys)
        lines += _key_lines(
            f"the entitlements of {name}",
            known.entitlement_keys if known else {},
            namespace.entitlement_keys,
        )
        if (known.threshold if known else 1) != namespace.threshold:
            lines.append(f"asks for {namespace.threshold} signatures on packages of {name}")
    lines += _key_lines("the reviewers", old.reviewers, after.reviewers)
    if old.required_reviews != after.required_reviews:
        lines.append(f"asks for {after.required_reviews} approvals of a package")
    if old.required_reviews_official != after.required_reviews_official:
        lines.append(f"asks for {after.required_reviews_official} approvals of an official package")
    return tuple(lines)


def _key_lines(
    whose: str, before: Mapping[str, PublicKey], after: Mapping[str, PublicKey]
) -> list[str]:
    lines = [f"gives {whose} the key {key_id}" for key_id in after if key_id not in before]
    return lines + [f"takes from {whose} the key {key_id}" for key_id in before
                    if key_id not in after]  # fmt: skip


def _namespace(document: Publishers, name: str) -> Namespace:
    try:
        return document.namespaces[name]
    except KeyError:
        raise RepositoryError(
            f"publishers.json: there is no namespace {name!r:.80}", hint=_LISTED
        ) from None


def _by_id(keys: Iterable[PublicKey]) -> dict[str, PublicKey]:
    return {key.key_id: key for key in keys}


def _check_reason(reason: str) -> None:
    if not reason.strip():
        raise VerificationError(
            "publishers.json: a revocation has a reason, which users read",
            hint="Say in one sentence what happened.",
        )


def _check_not_revoked(document: Publishers, keys: Iterable[str]) -> None:
    for key_id in keys:
        if key_id in document.revoked_keys:
            raise VerificationError(
                f"publishers.json: key {key_id:.12} was revoked: {document.revoked_keys[key_id]}",
                hint="Make a new key: a revoked one never comes back.",
            )
