"""What a manifest may say, what its permissions mean, and how they are told to people."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace_db.errors import ManifestError
from marketplace_db.manifest import (
    Limits,
    Manifest,
    Permissions,
    manifest_from_json,
    manifest_to_json,
    parse_manifest,
)
from marketplace_db.permissions import (
    permission_digest,
    permission_sentences,
    permission_words,
    words_of_json,
)
from marketplace_db.strict_yaml import load_yaml
from signing.digests import Digest
from tests.fakes.operator_market import MANIFEST

BASE = MANIFEST.format(id="sample", publisher="acme", version="1.0.0", name="Sample")


def parse(more: str = "") -> Manifest:
    return parse_manifest((BASE + more).encode())


def test_everything_optional_has_a_default() -> None:
    manifest = parse()
    assert manifest.full_id == "acme/sample"
    assert manifest.entry_module == "main"
    assert manifest.permissions == Permissions()
    assert manifest.limits == Limits()
    assert (manifest.limits.memory_mb, manifest.limits.wall_s_per_call) == (512, 10)


def test_extensions_are_ignored() -> None:
    assert parse("x-team: {anything: [1, {deep: true}]}\n") == parse()


def test_a_manifest_survives_the_catalog() -> None:
    manifest = parse(
        "permissions: {network: [a.example], env: [KEY]}\nlimits: {memory_mb: 64}\n"
        "file_patterns: ['*.pkl']\nliterals: [abc]\nconfig_schema: {type: object}\n"
    )
    assert manifest_from_json(manifest_to_json(manifest)) == manifest
    assert manifest_to_json(parse()) == manifest_to_json(parse())


def test_a_manifest_of_before_literals_is_read() -> None:
    text = manifest_to_json(parse())
    assert ',"literals":[]' in text
    assert manifest_from_json(text.replace(',"literals":[]', "")) == parse()


def test_a_later_catalog_may_hold_fields_that_we_do_not_know() -> None:
    text = manifest_to_json(parse())
    assert manifest_from_json('{"later": 1,' + text[1:]) == parse()
    with pytest.raises(ManifestError, match="cannot be read"):
        manifest_from_json("{")


def test_the_permission_digest_ignores_order_and_repetition() -> None:
    one = parse("permissions: {network: [b.example, 'a.example:443'], env: [B, A]}\n")
    two = parse("permissions: {env: [A, B, A], network: [a.example, 'b.example:443']}\n")
    assert permission_digest(one) == permission_digest(two)


@pytest.mark.parametrize(
    "wider",
    [
        "files: project",
        "network: [a.example]",
        "network: ['a.example:8443']",
        "target: true",
        "env: [KEY]",
        "subprocess: [git]",
        "native_code: true",
    ],
)
def test_every_permission_changes_the_digest_and_is_told(wider: str) -> None:
    manifest = parse(f"permissions: {{{wider}}}\n")
    assert permission_digest(manifest) != permission_digest(parse())
    assert len(permission_sentences(manifest)[0]) == len(permission_sentences(parse())[0]) + 1


def test_limits_are_not_permissions() -> None:
    assert permission_digest(parse("limits: {memory_mb: 9000}\n")) == permission_digest(parse())


def test_what_a_harmless_plugin_cannot_do_is_said_in_words() -> None:
    can, cannot = permission_sentences(parse("file_patterns: ['*.pkl']\nlanguages: [python]\n"))
    assert can == [
        "see the text of python files, and the bytes of files named *.pkl, as the scan hands"
        " them over"
    ]
    narrow, _ = permission_sentences(parse("languages: [python]\nliterals: [exec(, 'a b']\n"))
    assert narrow == [
        "see the text of python files, as the scan hands them over, of those that hold 'exec('"
        " or 'a b'"
    ]
    assert cannot == [
        "start other programs",
        "load compiled libraries",
        "use the network",
        "read your environment variables",
        "open files of the project or of this machine by itself",
        "change files outside of its own empty scratch folder",
    ]


def test_what_a_powerful_plugin_can_do_is_said_first() -> None:
    can, cannot = permission_sentences(
        parse("permissions: {subprocess: [git], network: [a.example], target: true}\n")
    )
    assert can[0] == "start these programs with your rights: git"
    assert "connect to a.example:443" in can
    assert "connect to any other host" in cannot
    assert "use the network" not in cannot


# -- strict YAML


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: no", "no"),
        ("a: on", "on"),
        ("a: 0x10", "0x10"),
        ("a: 1_000", "1_000"),
        ("a: 2026-11-22", "2026-11-22"),
        ("a: 012", "012"),
        ("a: .inf", ".inf"),
        ("a: 1e3", "1e3"),
        ("a: true", True),
        ("a: ~", None),
        ("a: -3", -3),
        ("a: 1.50", 1.5),
        ("a: '1'", "1"),
        ("a: [1, {b: c}]", [1, {"b": "c"}]),
        ("a: |\n  two\n  lines\n", "two\nlines\n"),
    ],
)
def test_plain_values_mean_what_they_look_like(text: str, value: object) -> None:
    assert load_yaml(text.encode(), name="x", limit=100) == {"a": value}


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_any_bytes_are_read_or_refused_in_our_words(data: bytes) -> None:
    with suppress(ManifestError):
        load_yaml(data, name="plugin.yaml", limit=200)


TEXT = st.text(st.characters(max_codepoint=0xD7FF), max_size=6)


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.booleans() | st.integers(-(10**9), 10**9) | TEXT | st.none(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
        max_leaves=8,
    )
)
def test_what_json_can_say_yaml_reads_the_same(value: object) -> None:
    text = json.dumps({"a": value})
    if '"<<":' not in text:
        assert load_yaml(text.encode(), name="x", limit=10_000) == {"a": value}


def test_a_plugin_may_need_others_and_a_python() -> None:
    manifest = parse("requires_plugins: ['acme/words>=1,<2', tavo/base]\npython: '>=3.11,<3.13'\n")
    assert [str(need) for need in manifest.requirements] == ["acme/words >=1,<2", "tavo/base"]
    assert manifest_from_json(manifest_to_json(manifest)) == manifest
    can, _ = permission_sentences(manifest)
    assert can[0] == (
        "run the code of acme/words, tavo/base in its own process, with the same permissions"
    )


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("requires_plugins: [words]", "'words' is not a plugin like publisher/name>=1,<2"),
        ("requires_plugins: ['acme/words>>1']", "'>>1' is not a version range like >=1,<2"),
        ("requires_plugins: ['acme/words===1']", "'===' compares texts, not versions"),
        ("requires_plugins: [acme/sample]", "'acme/sample' is this plugin itself"),
        ("requires_plugins: [acme/a, 'acme/a>1']", "'acme/a' is named twice; write one range"),
        ("requires_plugins: acme/a", "expected a list, found text"),
        ("python: '3.11'", "'3.11' is not a version range like '>=3.11,<3.13'"),
        ("python: [3]", "expected text, found a list"),
    ],
)
def test_needs_that_cannot_be_meant_are_refused(line: str, problem: str) -> None:
    with pytest.raises(ManifestError, match=line.partition(":")[0]) as caught:
        parse(line + "\n")
    assert problem in str(caught.value)


def test_a_manifest_from_before_there_were_needs_reads_and_keeps_its_digest() -> None:
    manifest = parse("permissions: {network: [a.example]}\n")
    told = json.loads(manifest_to_json(manifest))
    del told["requires_plugins"], told["python"]
    before = manifest_from_json(json.dumps(told))
    assert before == manifest
    assert permission_digest(before).hex == (
        Digest.of(
            b'tavo-permissions/1\n{"env":[],"files":"none","native_code":false,'
            b'"network":["a.example:443"],"subprocess":[],"target":false}'
        ).hex
    )


def test_the_plugins_whose_code_it_runs_are_a_permission() -> None:
    alone = parse()
    needing = parse("requires_plugins: ['acme/words>=1']\n")
    assert permission_digest(alone) != permission_digest(needing)
    # another range is no other permission, another plugin is
    assert permission_digest(parse("requires_plugins: ['acme/words<9']\n")) == permission_digest(
        needing
    )
    assert permission_words(needing) == ("plugin:acme/words",)
    assert words_of_json(manifest_to_json(needing)) == ("plugin:acme/words",)
    assert permission_words(alone) == ()


PROGRAMS = (
    "programs: [zizmor]\ndependencies: ['zizmor==1.32.0']\npermissions: {native_code: true}\n"
)


def test_programs_that_come_with_a_plugin_are_a_permission_of_their_own() -> None:
    manifest = parse(PROGRAMS)
    assert permission_words(manifest) == ("native_code", "program:zizmor")
    assert words_of_json(manifest_to_json(manifest)) == permission_words(manifest)
    assert manifest_from_json(manifest_to_json(manifest)) == manifest
    without = parse(PROGRAMS.replace("programs: [zizmor]\n", ""))
    assert permission_digest(manifest) != permission_digest(without)
    can, cannot = permission_sentences(manifest)
    assert can[:2] == [
        "load compiled libraries into its own process",
        "run compiled programs that it brings, locked up as it is itself: zizmor",
    ]
    assert "start other programs" in cannot


def test_a_manifest_from_before_there_were_programs_reads_and_keeps_its_digest() -> None:
    manifest = parse("permissions: {native_code: true, subprocess: [git]}\n")
    told = json.loads(manifest_to_json(manifest))
    del told["programs"]
    before = manifest_from_json(json.dumps(told))
    assert before == manifest
    assert words_of_json(json.dumps(told)) == ("subprocess:git", "native_code")
    assert permission_digest(before).hex == (
        Digest.of(
            b'tavo-permissions/1\n{"env":[],"files":"none","native_code":true,'
            b'"network":[],"subprocess":["git"],"target":false}'
        ).hex
    )


def test_a_tavo_from_before_reads_a_catalog_with_programs_in_it() -> None:
    """It ignores keys at the top that it does not know, and would fail on one below."""
    told = json.loads(manifest_to_json(parse(PROGRAMS)))
    told["a_key_to_come"] = told.pop("programs")
    assert manifest_from_json(json.dumps(told)).programs == ()
    told["permissions"]["a_key_to_come"] = []
    with pytest.raises(ManifestError, match="a_key_to_come"):
        manifest_from_json(json.dumps(told))


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("programs: [zizmor]\n", "is compiled code, and it does not ask for that"),
        (
            "programs: [zizmor]\npermissions: {native_code: true}\n",
            "out of the wheels of its dependencies, and it has none",
        ),
        (PROGRAMS.replace("[zizmor]", "[bin/zizmor]"), "the name of one program, without its"),
        (PROGRAMS.replace("[zizmor]", "zizmor"), "expected a list, found text"),
        (
            PROGRAMS.replace("native_code: true", "native_code: true, subprocess: [zizmor]"),
            "'zizmor' stands under permissions.subprocess, too; choose one",
        ),
    ],
)
def test_programs_that_cannot_be_meant_are_refused(more: str, problem: str) -> None:
    with pytest.raises(ManifestError, match="programs") as caught:
        parse(more)
    assert problem in str(caught.value)


def test_a_proxy_has_no_time_for_a_program() -> None:
    text = MANIFEST.format(id="sample", publisher="acme", version="1.0.0", name="Sample")
    text = text.replace("plugin_type: static", "plugin_type: proxy") + PROGRAMS
    with pytest.raises(ManifestError, match="a proxy plugin has no time to wait for a program"):
        parse_manifest(text.encode())
