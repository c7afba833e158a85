"""Roles, keys and delegations in TUF's form, made from public keys by role.

Rules this module keeps:
- each role has as many different keys as its threshold asks for, or more;
- no key serves an offline and an online role.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from securesystemslib.signer import Key, SSlibKey  # type: ignore[attr-defined]
from tuf.api.metadata import (  # type: ignore[attr-defined]
    DelegatedRole,
    Delegations,
    Metadata,
    Role,
    Root,
    Targets,
)

from signing.errors import RepositoryError
from signing.keys import PublicKey
from signing.roles import DELEGATED_PATHS, OFFLINE_ROLES, ONLINE_ROLES, THRESHOLDS

__all__ = ["TOP_ROLES", "PublicKeys", "apply_keys", "check_keys", "keys_of", "role_of"]

TOP_ROLES = ("root", "targets", "snapshot", "timestamp")

PublicKeys = Mapping[str, Sequence[PublicKey]]


def check_keys(keys: PublicKeys) -> None:
    """Raise RepositoryError if a threshold cannot be met, or a key serves offline and online."""
    for role, threshold in THRESHOLDS.items():
        held = {key.key_id for key in keys.get(role, ())}
        if len(held) < threshold:
            raise RepositoryError(
                f"{role}: {threshold} different keys are needed, the keyring holds {len(held)}"
            )
    offline = {key.key_id for role in OFFLINE_ROLES for key in keys[role]}
    online = {key.key_id for role in ONLINE_ROLES for key in keys[role]}
    if offline & online:
        raise RepositoryError(
            "the same key serves an offline and an online role",
            hint="Make separate keys: whoever steals the online keys must gain nothing offline.",
        )


def apply_keys(root: Root, targets: Targets, keys: PublicKeys) -> frozenset[str]:
    """Put the keys into both; return the roles whose own keys are others now."""
    before = keys_of(root, targets)
    root.roles = {
        role: Role([key.key_id for key in keys[role]], THRESHOLDS[role]) for role in TOP_ROLES
    }
    root.keys = {key.key_id: _tuf_key(key) for role in TOP_ROLES for key in keys[role]}
    delegated: dict[str, Key] = {
        key.key_id: _tuf_key(key) for role in DELEGATED_PATHS for key in keys[role]
    }
    roles = {
        role: DelegatedRole(
            role,
            [key.key_id for key in keys[role]],
            THRESHOLDS[role],
            terminating=True,
            paths=list(paths),
        )
        for role, paths in DELEGATED_PATHS.items()
    }
    targets.delegations = Delegations(delegated, roles)
    return frozenset(
        role for role, listed in keys.items() if set(before.get(role, ())) != set(listed)
    )


def keys_of(root: Root, targets: Targets) -> dict[str, tuple[PublicKey, ...]]:
    """Return the public keys of all roles."""
    found = {role: _listed(value, root.keys) for role, value in root.roles.items()}
    delegations = targets.delegations
    if delegations is not None and delegations.roles is not None:
        found |= {role: _listed(value, delegations.keys) for role, value in
                  delegations.roles.items()}  # fmt: skip
    return found


def role_of(name: str, metadata: Mapping[str, Metadata[Any]]) -> Role:
    """Return how many of which keys must sign a role."""
    if name in TOP_ROLES:
        found: Role = metadata["root"].signed.roles[name]
        return found
    delegated: Role = metadata["targets"].signed.delegations.roles[name]
    return delegated


def _listed(role: Role, keys: Mapping[str, Key]) -> tuple[PublicKey, ...]:
    return tuple(PublicKey.from_hex(keys[key_id].keyval["public"]) for key_id in role.keyids)


def _tuf_key(key: PublicKey) -> SSlibKey:
    return SSlibKey(key.key_id, "ed25519", "ed25519", {"public": key.hex})
