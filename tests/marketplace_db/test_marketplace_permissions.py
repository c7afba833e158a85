"""Permissions as words: one form for one set, sorted by danger, red combinations said plainly."""

from __future__ import annotations

import itertools

import pytest

from marketplace_db.errors import ManifestError
from marketplace_db.manifest import Manifest, manifest_to_json, parse_manifest
from marketplace_db.permissions import (
    danger_sentences,
    in_order,
    is_optional,
    permission_digest,
    permission_words,
    red_combinations,
    word_sentence,
    words_of_json,
)
from tests.fakes.operator_market import MANIFEST

BASE = MANIFEST.format(id="sample", publisher="acme", version="1.0.0", name="Sample")
EVERYTHING = (
    "permissions: {files: project, network: ['b.example:443', a.example, 'a.example:8443'],"
    " target: true, env: [B, A], subprocess: [git], native_code: true}\n"
)


def parse(more: str = "") -> Manifest:
    return parse_manifest((BASE + more).encode())


def test_every_permission_is_a_word_the_worst_first() -> None:
    assert permission_words(parse(EVERYTHING)) == (
        "subprocess:git", "native_code", "network:a.example", "network:a.example:8443",
        "network:b.example", "env:A", "env:B", "target", "files",
    )  # fmt: skip
    assert permission_words(parse()) == ()


def test_order_and_repetition_make_no_other_set() -> None:
    one = parse("permissions: {network: [b.example, 'a.example:443'], env: [B, A]}\n")
    two = parse("permissions: {env: [A, B, A], network: [a.example, b.example, b.example]}\n")
    assert permission_words(one) == permission_words(two)
    assert permission_digest(one) == permission_digest(two)


def test_the_installed_record_gives_the_same_words() -> None:
    for more in ("", EVERYTHING, "permissions: {target: true}\n"):
        manifest = parse(more)
        assert words_of_json(manifest_to_json(manifest)) == permission_words(manifest)


def test_each_word_has_a_sentence_and_only_variables_are_optional() -> None:
    words = permission_words(parse(EVERYTHING))
    sentences = [word_sentence(word) for word in words]
    assert len(set(sentences)) == len(words)
    assert "connect to a.example:443" in sentences
    assert "connect to a.example:8443" in sentences
    assert [word for word in words if is_optional(word)] == ["env:A", "env:B"]


@pytest.mark.parametrize(
    ("words", "red"),
    [
        ((), ()),
        (("network:a.example",), ()),
        (("env:KEY",), ()),
        (("native_code",), ()),
        (("files", "target"), ()),
        (("env:KEY", "target", "native_code", "files"), ()),
        (("subprocess:git",), (("subprocess:git",),)),
        (("env:KEY", "network:a.example"), (("network:a.example", "env:KEY"),)),
        (("native_code", "network:a.example"), (("native_code", "network:a.example"),)),
        (("files", "network:a.example"), (("network:a.example", "files"),)),
    ],
)
def test_which_combinations_are_red(
    words: tuple[str, ...], red: tuple[tuple[str, ...], ...]
) -> None:
    assert tuple(one.words for one in red_combinations(words)) == red


def test_all_red_ones_are_said_the_worst_first() -> None:
    sentences = list(danger_sentences(parse(EVERYTHING)))
    hosts = "a.example, a.example:8443, b.example"
    assert sentences == [
        f"git runs outside of the sandbox: it can read and change whatever you can, and {hosts} is"
        " a way to send it away",
        "compiled code, which a review cannot read line by line, can send whatever the plugin sees"
        f" to {hosts}",
        f"if you let it read A, B, it can send that to {hosts}",
        f"it can send every file of your project to {hosts}",
    ]


ALL = permission_words(parse(EVERYTHING))


def test_one_permission_more_never_makes_fewer_red_words() -> None:
    """Tried for every set of them, with every word more."""

    def red(words: set[str]) -> set[str]:
        return {word for one in red_combinations(words) for word in one.words}

    for size in range(len(ALL)):
        for few in map(set, itertools.combinations(ALL, size)):
            assert red(few) <= few
            assert all(red(few) <= red(few | {word}) for word in ALL)
            assert in_order(sorted(few, reverse=True)) == in_order([*few, *few])


@pytest.mark.parametrize("evil", ["\\u202e", "\\x1b[31m", "\\u200b", "\\n", "\\u0430", " ", "*"])
@pytest.mark.parametrize("where", ["network", "env", "subprocess"])
def test_permission_text_cannot_steer_a_terminal_or_lie(where: str, evil: str) -> None:
    with pytest.raises(ManifestError, match=f"permissions.{where}"):
        parse(f'permissions: {{{where}: ["api{evil}key"]}}\n')
