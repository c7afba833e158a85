"""The tree of RFC 9162 against published values, against its definition, and against forgers."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.merkle import (
    consistency_proof,
    inclusion_proof,
    leaf_hash,
    proves_consistency,
    proves_inclusion,
    root_hash,
)

# The eight inputs, the roots of their first n, and proofs, as Certificate Transparency's own
# implementations publish them for tests (RFC 6962 and RFC 9162 hash alike).
INPUTS = [bytes.fromhex(one) for one in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
LEAVES = [leaf_hash(one) for one in INPUTS]


def test_the_published_roots() -> None:
    assert root_hash([]).hex() == EMPTY
    assert [root_hash(LEAVES[:n]).hex() for n in range(1, 9)] == ROOTS


def test_the_published_proofs() -> None:
    assert [one.hex() for one in inclusion_proof(LEAVES, 0)] == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert [one.hex() for one in inclusion_proof(LEAVES[:3], 1)] == [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "0298d122906dcfc10892cb53a73992fc5b9f493ea4c9badb27b791b4127a7fe7",
    ]
    assert [one.hex() for one in consistency_proof(LEAVES, 6)] == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert [one.hex() for one in consistency_proof(LEAVES[:5], 2)] == [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ]


def by_definition(leaves: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    left, right = by_definition(leaves[:k]), by_definition(leaves[k:])
    return hashlib.sha256(b"\x01" + left + right).digest()


SIZES = st.integers(min_value=1, max_value=300)


@settings(max_examples=60, deadline=None)
@given(size=SIZES, data=st.data())
def test_every_proof_holds_and_no_other(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(str(n).encode()) for n in range(size)]
    root = root_hash(leaves)
    assert root == by_definition(leaves)
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(leaves, index)
    assert len(proof) <= (size - 1).bit_length()
    assert proves_inclusion(leaves[index], index, size, proof, root)
    other = data.draw(st.integers(0, size - 1).filter(lambda n: n != index or size == 1))
    if other != index:
        assert not proves_inclusion(leaves[other], index, size, proof, root)
        assert not proves_inclusion(leaves[index], other, size, proof, root)
    assert not proves_inclusion(leaves[index], index, size, [*proof, root], root)

    old = data.draw(st.integers(1, size))
    before = root_hash(leaves[:old])
    steps = consistency_proof(leaves, old)
    assert proves_consistency(old, before, size, root, steps)
    forged = [*leaves]
    forged[data.draw(st.integers(0, old - 1))] = leaf_hash(b"forged")
    rewritten = root_hash(forged)
    assert not proves_consistency(old, before, size, rewritten, consistency_proof(forged, old))
    if old < size:
        assert not proves_consistency(old, root, size, root, steps)
        assert not proves_consistency(old, before, size, root, steps[:-1])


def test_a_leaf_cannot_stand_for_a_node() -> None:
    """Without the first bytes that tell them apart it could: the control."""
    left, right = LEAVES[:2]
    pair = left + right
    assert leaf_hash(pair) != root_hash([left, right])
    assert hashlib.sha256(b"\x01" + pair).digest() == root_hash([left, right])


@pytest.mark.parametrize(("index", "size"), [(0, 0), (1, 1), (-1, 4), (4, 4)])
def test_what_is_not_there_has_no_proof(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_proof(LEAVES[:size], index)
    assert not proves_inclusion(LEAVES[0], index, size, [], LEAVES[0])


def test_an_earlier_tree_that_never_was_has_no_proof() -> None:
    for size in (0, 9):
        with pytest.raises(ValueError, match="no earlier one"):
            consistency_proof(LEAVES, size)
    assert not proves_consistency(0, root_hash([]), 8, root_hash(LEAVES), [])
    assert not proves_consistency(8, LEAVES[0], 8, root_hash(LEAVES), [])
