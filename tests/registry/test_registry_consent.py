"""What is asked, what `--yes` and `--grant` grant, and what is still missing: values in and out."""

from __future__ import annotations

import pytest

from marketplace_db.manifest import Manifest, parse_manifest
from tavo.errors import UsageError
from tavo.host.permissions import AcceptedSet
from tavo.registry.consent import Demand, demand_of, read_grants, settle
from tests.fakes.operator_market import MANIFEST

BASE = MANIFEST.format(id="sample", publisher="acme", version="1.0.0", name="Sample")
NET = "network: [a.example]"
KEYED = "network: [a.example], env: [KEY, OTHER]"
NATIVE = "network: [a.example], native_code: true"


def manifest(permissions: str = "") -> Manifest:
    return parse_manifest((BASE + f"permissions: {{{permissions}}}\n").encode())


def demand(permissions: str = "", *before: str) -> Demand:
    """What a release asks for; `before` are `asked` or `asked > granted`, in words."""
    sets = []
    for one in before:
        asked, _, granted = one.partition(">")
        sets.append(
            AcceptedSet(
                asked=frozenset(asked.split()),
                granted=frozenset((granted if ">" in one else asked).split()),
            )
        )
    return demand_of(manifest(permissions), sets)


@pytest.mark.parametrize(
    ("permissions", "before", "new", "accepted"),
    [
        ("", (), "", False),
        (NET, (), "network:a.example", False),
        (NET, ("network:a.example",), "", True),
        (NET, ("network:a.example native_code",), "", True),
        (NATIVE, ("network:a.example",), "native_code", False),
        (KEYED, ("network:a.example",), "env:KEY env:OTHER", True),
        (KEYED, ("network:a.example env:KEY env:OTHER > network:a.example",), "", True),
        ("network: ['a.example:8443']", ("network:a.example",), "network:a.example:8443", False),
        # compared with the newest answer, unless an earlier one covers it
        (NATIVE, ("network:a.example", "native_code"), "network:a.example", False),
        (NET, ("network:a.example", "native_code"), "", True),
        # asked before, and taken back since
        (NATIVE, ("native_code network:a.example > network:a.example",), "native_code", False),
    ],
)
def test_only_what_was_never_accepted_is_new(
    permissions: str, before: tuple[str, ...], new: str, accepted: bool
) -> None:
    found = demand(permissions, *before)
    assert " ".join(found.is_new) == new
    assert found.accepted is accepted
    assert found.first is (not before)


@pytest.mark.parametrize(
    ("permissions", "words", "yes", "granted", "missing"),
    [
        (NET, "", False, "", "network:a.example"),
        (NET, "", True, "network:a.example", ""),
        (NET, "network:a.example", False, "network:a.example", ""),
        (NET, "network:A.example:443", False, "network:a.example", ""),
        (NET, "network:a.example:8443", False, "", "network:a.example"),
        (NET, "env:KEY native_code", False, "", "network:a.example"),
        (KEYED, "", True, "network:a.example", ""),
        (KEYED, "env:KEY", True, "env:KEY", "network:a.example"),
        (KEYED, "env:KEY network:a.example", False, "env:KEY network:a.example", ""),
        ("env: [KEY]", "", True, "", ""),
        ("env: [KEY]", "env:KEY", False, "env:KEY", ""),
        (NATIVE, "", True, "", "native_code network:a.example"),
        (NATIVE, "native_code", True, "native_code", "network:a.example"),
        (NATIVE, "native_code network:a.example", False, "native_code network:a.example", ""),
        ("native_code: true, target: true", "", True, "native_code target", ""),
        ("subprocess: [git], target: true", "", True, "target", "subprocess:git"),
        ("files: project, target: true", "files target", False, "files target", ""),
    ],
)
def test_what_words_and_yes_grant(
    permissions: str, words: str, yes: bool, granted: str, missing: str
) -> None:
    consent = settle(demand(permissions), grants=read_grants(words.split(), yes=yes))
    assert consent.granted == frozenset(granted.split())
    assert " ".join(consent.missing) == missing
    assert consent.complete is (not missing)


def test_yes_never_completes_a_red_combination_with_what_was_accepted_before() -> None:
    wider = demand(NATIVE, "network:a.example")
    consent = settle(wider, grants=read_grants([], yes=True))
    assert consent.missing == ("native_code",)
    assert consent.granted == {"network:a.example"}


def test_an_answer_grants_what_was_asked_and_nothing_else() -> None:
    consent = settle(demand(NET), grants=read_grants([]), answered=["network:a.example", "files"])
    assert consent.granted == {"network:a.example"}


def test_variables_are_declined_not_missing() -> None:
    consent = settle(demand(KEYED), grants=read_grants(["env:OTHER", "network:a.example"]))
    assert consent.complete
    assert consent.declined == ("env:KEY",)
    assert consent.granted == {"network:a.example", "env:OTHER"}


def test_words_may_be_for_one_plugin_alone() -> None:
    grants = read_grants(["acme/sample=env:KEY", "small=files", "network:a.example"])
    assert grants.words_for("acme/sample") == {"env:KEY", "network:a.example"}
    assert grants.words_for("acme/sample", is_named=False) == {"env:KEY"}
    assert grants.words_for("tavo/small", is_named=False) == {"files"}
    assert grants.words_for("acme/stranger", is_named=False) == frozenset()
    assert grants.unasked([demand(KEYED)]) == ("tavo/small=files",)
    assert grants.unasked([demand(NET)]) == ("acme/sample=env:KEY", "tavo/small=files")
    assert grants.unasked([demand("")])[0] == "network:a.example"


@pytest.mark.parametrize(
    "word",
    [
        "", "everything", "network", "network:", "env:", "env:A B", "files:x", "target:http://x",
        "native_code:yes", "network:a.example\n", "net:a.example", "subprocess:/bin/sh",
        "network:*", "a b=files", "=files", "../x=files", "env:\u202eKEY", "\x1b[31m",
    ],
)  # fmt: skip
def test_what_is_no_permission_is_named(word: str) -> None:
    with pytest.raises(UsageError, match="is not a permission") as caught:
        read_grants([word])
    assert "network:HOST" in caught.value.hint
    assert str(caught.value).isprintable()
