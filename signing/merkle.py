"""The Merkle tree of RFC 9162, section 2.1: roots, and proofs that a stranger can check.

Rules this module keeps:
- leaves and nodes are hashed with different first bytes, so that none can stand for the other;
- a proof of the wrong length proves nothing;
- it knows hashes only: what a leaf says is `signing.log`'s.

Units: hashes are 32 bytes, indexes from 0. The algorithms are those of RFC 9162, sections 2.1.1,
2.1.3 and 2.1.4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

__all__ = [
    "consistency_proof", "inclusion_proof", "leaf_hash", "proves_consistency", "proves_inclusion",
    "root_hash",
]  # fmt: skip


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of an entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_hash(leaves: Sequence[bytes]) -> bytes:
    """Return the root over leaf hashes; of none, the hash of nothing."""
    stack: list[tuple[int, bytes]] = []  # perfect subtrees, the largest first
    for leaf in leaves:
        size, value = 1, leaf
        while stack and stack[-1][0] == size:
            value = _node(stack.pop()[1], value)
            size *= 2
        stack.append((size, value))
    if not stack:
        return hashlib.sha256().digest()
    _, value = stack.pop()
    while stack:
        value = _node(stack.pop()[1], value)
    return value


def inclusion_proof(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """Return the proof that the leaf at `index` is in the tree over `leaves`."""
    if not 0 <= index < len(leaves):
        raise ValueError(f"there is no leaf {index} among {len(leaves)}")
    proof: list[bytes] = []
    while len(leaves) > 1:
        half = _split(len(leaves))
        if index < half:
            proof.append(root_hash(leaves[half:]))
            leaves = leaves[:half]
        else:
            proof.append(root_hash(leaves[:half]))
            leaves, index = leaves[half:], index - half
    return proof[::-1]


def consistency_proof(leaves: Sequence[bytes], size: int) -> list[bytes]:
    """Return the proof that the tree over the first `size` leaves is a part of that over all."""
    if not 0 < size <= len(leaves):
        raise ValueError(f"a tree of {len(leaves)} leaves has no earlier one of {size}")
    proof: list[bytes] = []
    whole = True  # the part is a tree whose root the other side knows
    while size < len(leaves):
        half = _split(len(leaves))
        if size <= half:
            proof.append(root_hash(leaves[half:]))
            leaves = leaves[:half]
        else:
            proof.append(root_hash(leaves[:half]))
            leaves, size, whole = leaves[half:], size - half, False
    if not whole:
        proof.append(root_hash(leaves))
    return proof[::-1]


def proves_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Tell whether a proof shows that a leaf hash is at `index` of the tree with this root."""
    if not 0 <= index < size:
        return False
    at, last, value = index, size - 1, leaf
    for one in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            value = _node(one, value)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            value = _node(value, one)
        at, last = at >> 1, last >> 1
    return last == 0 and value == root


def proves_consistency(
    old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Tell whether a proof shows that one tree is the beginning of another one."""
    if old_size == size:
        return not proof and old_root == root
    if not 0 < old_size < size or not proof:
        return False
    path = list(proof)
    if old_size & (old_size - 1) == 0:
        path.insert(0, old_root)
    at, last = old_size - 1, size - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = path[0]
    for one in path[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            old, new = _node(one, old), _node(one, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = _node(new, one)
        at, last = at >> 1, last >> 1
    return last == 0 and old == old_root and new == root


def _split(size: int) -> int:
    """Return the largest power of two below `size`."""
    return 1 << ((size - 1).bit_length() - 1)
