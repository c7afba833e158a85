"""From requirements to a set of plugins: right where there is one, clear where there is none."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketplace_db.errors import ConflictError
from marketplace_db.requirement import PluginRequirement, parse_requirement
from marketplace_db.resolve import Candidate, Need, resolve

Versions = Mapping[str, Sequence[str] | str]


class Shelf:
    """A catalog in memory: plugin -> version -> what it needs, or why it cannot be used."""

    def __init__(self, plugins: Mapping[str, Versions]) -> None:
        self.plugins = {f"acme/{name}": versions for name, versions in plugins.items()}
        self.examined = 0

    def versions(self, full_id: str) -> list[str]:
        return list(self.plugins.get(full_id, {}))

    def examine(self, full_id: str, version: str) -> Candidate:
        self.examined += 1
        told = self.plugins[full_id][version]
        if isinstance(told, str):
            return Candidate(full_id=full_id, version=version, unusable=told)
        needs = tuple(parse_requirement(f"acme/{need}") for need in told)
        return Candidate(full_id=full_id, version=version, requires=needs)


def chosen(plugins: Mapping[str, Versions], *wanted: str, **options: object) -> list[str]:
    needs = [Need(parse_requirement(f"acme/{one}")) for one in wanted]
    found = resolve(needs, Shelf(plugins), **options)  # type: ignore[arg-type]
    return [f"{one.full_id.removeprefix('acme/')} {one.version}" for one in found]


def refusal(plugins: Mapping[str, Versions], *wanted: str, **options: object) -> str:
    with pytest.raises(ConflictError) as caught:
        chosen(plugins, *wanted, **options)
    return str(caught.value)


def test_the_newest_versions_that_fit_come_with_what_is_needed_first() -> None:
    plugins: dict[str, Versions] = {
        "app": {"1.0": [], "2.0": ["words>=1,<2"]},
        "words": {"1.0": [], "1.9": ["base"], "2.0": []},
        "base": {"0.9": [], "0.10": []},
    }
    assert chosen(plugins, "app") == ["base 0.10", "words 1.9", "app 2.0"]


def test_an_older_version_is_taken_where_the_newest_does_not_fit() -> None:
    plugins: dict[str, Versions] = {
        "a": {"1.0": ["c<2"]}, "b": {"3.0": ["c"], "3.1": ["c>=2"]}, "c": {"1.0": [], "2.0": []},
    }  # fmt: skip
    assert chosen(plugins, "a", "b") == ["c 1.0", "a 1.0", "b 3.0"]


def test_pre_releases_need_to_be_named_unless_there_is_nothing_else() -> None:
    both: dict[str, Versions] = {"a": {"1.0": [], "2.0rc1": []}}
    assert chosen(both, "a") == ["a 1.0"]
    assert chosen(both, "a>=2.0rc1") == ["a 2.0rc1"]
    assert chosen({"a": {"2.0rc1": []}}, "a") == ["a 2.0rc1"]


def test_what_is_preferred_stays_while_it_fits() -> None:
    plugins: dict[str, Versions] = {"a": {"1.0": ["c"]}, "c": {"1.0": [], "2.0": []}}
    assert chosen(plugins, "a", preferred={"acme/c": "1.0"}) == ["c 1.0", "a 1.0"]
    assert chosen(plugins, "a", "c>1", preferred={"acme/c": "1.0"}) == ["c 2.0", "a 1.0"]


def test_a_conflict_names_the_chain() -> None:
    plugins: dict[str, Versions] = {
        "x": {"1.0": ["a"]}, "a": {"1.0": ["c<2"]}, "b": {"3.1": ["c>=2"]},
        "c": {"1.0": [], "2.0": []},
    }  # fmt: skip
    assert refusal(plugins, "a", "b") == (
        "acme/a 1.0 needs acme/c <2; acme/b 3.1 needs acme/c >=2; no version of acme/c satisfies"
        " both (there are 2.0, 1.0)"
    )
    assert refusal(plugins, "x", "b").startswith(
        "acme/x 1.0 needs acme/a; acme/a 1.0 needs acme/c <2; acme/b 3.1 needs acme/c >=2;"
    )


def test_a_conflict_counts_versions_that_say_the_same() -> None:
    plugins: dict[str, Versions] = {
        "a": {"1.0": ["c<2"]}, "b": {"3.1": ["c>=2"], "3.2": ["c>=2"]}, "c": {"1.0": [], "2.0": []},
    }  # fmt: skip
    assert refusal(plugins, "a", "b", "c") == (
        "acme/a 1.0 needs acme/c <2; acme/b (each of 2 versions) needs acme/c >=2; no version of"
        " acme/c satisfies both (there are 2.0, 1.0); other versions of acme/b do not help"
    )


def test_what_is_missing_or_cannot_be_used_is_said() -> None:
    assert refusal({"a": {"1.0": ["c"]}}, "a") == (
        "acme/a 1.0 needs acme/c; acme/c is not in the catalog"
    )
    assert refusal({"a": {"1.0": "needs tavo >=9, this is 0.1"}}, "a") == (
        "you ask for acme/a; acme/a 1.0 needs tavo >=9, this is 0.1"
    )
    assert chosen({"a": {"1.0": [], "2.0": "was withdrawn: broken"}}, "a") == ["a 1.0"]
    assert refusal({"a": {"1.0": []}}, "a>=5") == (
        "you ask for acme/a >=5; no version of acme/a satisfies that (there are 1.0)"
    )


def test_what_is_installed_and_not_named_stays() -> None:
    here = Candidate(full_id="acme/c", version="1.0")
    plugins: dict[str, Versions] = {"a": {"1.0": ["c>=2"]}, "c": {"1.0": [], "2.0": []}}
    assert refusal(plugins, "a", fixed={"acme/c": here}) == (
        "acme/a 1.0 needs acme/c >=2; acme/c 1.0 is installed, and stays while you do not name it"
    )
    user = Candidate(full_id="acme/u", version="4.0")
    need = Need.of_installed(user, PluginRequirement("acme/c", "<2"))
    with pytest.raises(ConflictError, match=r"acme/u 4\.0, which is installed, needs") as caught:
        resolve([Need(PluginRequirement("acme/a")), need], Shelf(plugins))
    assert "Name the installed ones as well" in caught.value.hint


def test_plugins_that_need_each_other_are_refused() -> None:
    plugins: dict[str, Versions] = {"a": {"1.0": ["b"]}, "b": {"1.0": ["c"]}, "c": {"1.0": ["a"]}}
    assert refusal(plugins, "a") == (
        "acme/a 1.0 needs acme/b; acme/b 1.0 needs acme/c; acme/c 1.0 needs acme/a:"
        " plugins cannot need each other"
    )


MANY = 10_000
HARD: dict[str, dict[str, Versions]] = {
    "ten thousand versions, none fits": {
        "a": {f"1.{n}": ["c<1"] for n in range(MANY)}, "c": {f"{n + 1}.0": [] for n in range(MANY)},
    },
    "ten thousand versions, each with a range of its own": {
        "a": {f"1.{n}": [f"c=={n}.1"] for n in range(MANY)},
        "c": {f"{n}.0": [] for n in range(MANY)},
    },
    "a chain of five thousand": {
        ("a" if n == 0 else f"p{n}"): {"1.0": [f"p{n + 1}"]} for n in range(5000)
    },
    "everybody wants another version of everybody": {
        name: {f"{v}.0": [f"{other}=={(v * 7 + i) % 5}.0" for i, other in enumerate("abcdefgh")
                          if other != name] for v in range(5)}
        for name in "abcdefgh"
    },
    "pigeons: nine plugins, eight holes": {
        "a": {"1.0": [f"q{n}" for n in range(9)]},
        **{f"q{n}": {f"{v}.0": [f"h{v}=={n}"] for v in range(8)} for n in range(9)},
        **{f"h{v}": {f"{n}": [] for n in range(9)} for v in range(8)},
    },
}  # fmt: skip


@pytest.mark.parametrize("name", HARD)
def test_a_catalog_that_was_made_to_be_hard_ends_in_a_refusal(name: str) -> None:
    began = time.process_time()
    assert refusal(HARD[name], "a")
    assert time.process_time() - began < 60  # without bounds: hours


def test_ten_thousand_versions_are_no_trouble() -> None:
    shelf = Shelf({"a": {f"1.{n}": [] for n in range(MANY)}})
    (found,) = resolve([Need(PluginRequirement("acme/a"))], shelf)
    assert found.version == f"1.{MANY - 1}"
    assert shelf.examined == 1


NAMES = "abcd"
RANGES = ("", ">=2", "<2", "<3", "==1", "==3", ">=1,<3", "!=2")


@st.composite
def catalogs(draw: st.DrawFn) -> dict[str, Versions]:
    """Small catalogs in which a plugin needs only those after it."""
    plugins: dict[str, Versions] = {}
    for place, name in enumerate(NAMES):
        versions = draw(st.lists(st.sampled_from("123"), unique=True, max_size=3))
        later = NAMES[place + 1 :]
        needs = st.lists(st.sampled_from(later), unique=True) if later else st.just([])
        plugins[name] = {
            version: [other + draw(st.sampled_from(RANGES)) for other in draw(needs)]
            for version in versions
        }
    return plugins


def holds(
    plugins: Mapping[str, Versions], wanted: Sequence[str], picked: Mapping[str, str]
) -> bool:
    """Tell whether a choice of versions meets everything, itself and the wanted ones."""
    needs = [*wanted, *(need for name, v in picked.items() for need in plugins[name][v])]
    return all(
        (version := picked.get(one.full_id.removeprefix("acme/"))) is not None
        and one.accepts(version)
        for one in (parse_requirement(f"acme/{need}") for need in needs)
    )


def solutions(plugins: Mapping[str, Versions], wanted: Sequence[str]) -> bool:
    """Tell by trying everything whether there is a choice that holds."""
    choices = [[None, *plugins[name]] for name in NAMES]
    return any(
        holds(plugins, wanted, {n: v for n, v in zip(NAMES, one, strict=True) if v is not None})
        for one in itertools.product(*choices)
    )


@settings(max_examples=300, deadline=None)
@given(catalogs(), st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(RANGES)),
                            min_size=1, max_size=3, unique_by=lambda one: one[0]))  # fmt: skip
def test_an_answer_meets_all_requirements_and_is_found_whenever_there_is_one(
    plugins: dict[str, Versions], asked: list[tuple[str, str]]
) -> None:
    wanted = [name + text for name, text in asked]
    try:
        found = chosen(plugins, *wanted)
    except ConflictError:
        assert not solutions(plugins, wanted)
        return
    picked = dict(one.split(" ") for one in found)
    assert holds(plugins, wanted, picked)
    reached = {one[0] for one in wanted}
    for name in reversed(picked):  # nothing comes along that nobody needs
        reached |= {need[0] for need in plugins[name][picked[name]]} if name in reached else set()
    assert set(picked) == reached
    order = list(picked)
    for name, version in picked.items():
        for need in plugins[name][version]:
            assert order.index(need[0]) < order.index(name)


@pytest.mark.parametrize(
    ("text", "full_id", "specifier"),
    [
        ("acme/a", "acme/a", ""), ("acme/a>=1,<2", "acme/a", ">=1,<2"), ("a", "tavo/a", ""),
        ("a <2, >=1", "tavo/a", ">=1,<2"), ("a@1.2", "tavo/a", "==1.2"),
        ("acme/a-b~=1.4", "acme/a-b", "~=1.4"), ("acme/a==1.*", "acme/a", "==1.*"),
    ],
)  # fmt: skip
def test_requirements_as_people_write_them(text: str, full_id: str, specifier: str) -> None:
    assert parse_requirement(text, typed=True) == PluginRequirement(full_id, specifier)


@pytest.mark.parametrize(
    "text",
    ["", "acme/", "A/b", "acme/a>>1", "acme/a===1", "acme/a b", "acme/a @ https://x", "a/b/c",
     "acme/a>=1;python_version<'3'", "acme/a[x]", "../a", "acme/a\n>=x", "acme/" + "a" * 64,
     "acme/a>=1" + ",<2" * 80],
)  # fmt: skip
def test_what_is_no_requirement_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not|longer|compares"):
        parse_requirement(text, typed=True)


def test_a_manifest_names_full_ids() -> None:
    with pytest.raises(ValueError, match="is not a plugin like"):
        parse_requirement("words>=1")
