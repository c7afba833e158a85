"""Each official plugin as its author and the marketplace's operator would try it: it holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from marketplace_db.advisories.snapshot import write_snapshot
from marketplace_db.package import build_package
from tavo.host.local import open_local
from tavo.kit.contract import run_suite
from tavo.operator.shelf import read_lengths
from tavo.operator.vetting import NAMES
from tavo.operator.vetting.run import vet
from tests.examples.test_official_plugins import PLUGINS, WHEELS, fetched
from tests.fakes.operated import Operated
from tests.fakes.shown import SHELF

LET_PASS = {
    # It has the text of LGPL-3.0 there instead; the licence is why it is a plugin of its own.
    "model-files-deep": ("fickling-0.1.12-py3-none-any.whl: its METADATA names no licence",),
    # The example in the documentation of bandit's test for such characters.
    "bandit": ("bandit/plugins/trojansource.py line 22: Invisible characters",),
    # It sets variables for garak's own folders, and loads the probe that a run names. The list of
    # prompts is called .pth and lies in a package, where Python runs nothing. regex is under two
    # licences that both let it be passed on; ecoji and zalgolib name theirs in words.
    "garak-llm-tester": (
        "main.py line 93: This reads the environment",
        "plugin.yaml does not ask for env: a name that is worked out",
        "main.py line 176: Which module or function is used here",
        "garak/data/autodan/prompt_group.pth: is run when Python",
        "ecoji-0.1.1-py3-none-any.whl: its METADATA names no licence",
        "Apache-2.0 AND CNRI-Python is not among the licences",
        "zalgolib-0.2.2-py3-none-any.whl: its METADATA names no licence",
    ),
    # It writes HOME, for ART to find a folder that it may write to, and reads nothing.
    # Parts of NumPy that build Fortran modules: they evaluate a project's expressions and ask gcc
    # when they are imported. scikit-learn reads its own cache of one data set, a pickle. Only f2py
    # is imported, by a library, and nothing hands it Fortran.
    "art-evasion": (
        "plugin.yaml does not ask for env: HOME",
        "numpy/distutils/system_info.py line 354: ",
        "numpy/f2py/capi_maps.py line ",
        "numpy/f2py/crackfortran.py line ",
        "sklearn/datasets/_twenty_newsgroups.py line 310: ",
    ),
}
# semgrep: a program in a process of its own, in the wheel as its makers publish it. The licence's
# text is in the plugin, and its README says where the sources are.
LET_PASS |= dict.fromkeys(
    ("codeshield", "semgrep-rules"),
    ("LGPL-2.1-or-later is not among the licences that this market takes",),
)
UNUSED = {
    # It reads a file only if its configuration names one.
    "art-evasion": "asked for and not tried in this run: files",
}
# The namespace is official, so the plugin runs at L2 where there is no L3.
ACCEPTED = tuple(f"L2:tavo/{plugin}" for plugin in SHELF.plugins)


@pytest.mark.parametrize("plugin", PLUGINS)
def test_its_author_sees_no_complaint(plugin: Path) -> None:
    fetched(plugin.name)
    with open_local(plugin, wheels=WHEELS) as local:
        report = run_suite(local, accept=ACCEPTED)
    said = {one.name: one.found for one in report.checks if one.state != "passed"}
    expected = {"permissions used": UNUSED[plugin.name]} if plugin.name in UNUSED else {}
    assert said == expected  # an exception that nobody needs any more fails, too


@pytest.mark.parametrize("plugin", PLUGINS)
def test_its_vetting_finds_nothing(plugin: Path, tmp_path: Path) -> None:
    package = tmp_path / "package.zip"
    build_package(plugin, package)
    wheels = fetched(plugin.name)
    lengths = read_lengths(SHELF.folder, plugin.name)
    operated = Operated(tmp_path / "operated")
    write_snapshot([], tmp_path / "advisories.db")
    with operated.open() as place:
        place.publish_advisories(tmp_path / "advisories.db", operated.now)
        submission = place.intake.submission(place.intake.submit(
            package, operated.people.sign(package), wheels=wheels,
            unverified_lengths={n: size for n, size in lengths.items() if n not in wheels},
            publishers=place.publishers(), now=operated.now,
        ))  # fmt: skip
        reports = list(vet(
            place, submission, key=operated.keys.of("catalog")[0], source=plugin,
            accept_sandbox=ACCEPTED, now=operated.now,
        ))  # fmt: skip
        assert [one.check for one in reports] == list(NAMES)
        let_pass = LET_PASS.get(plugin.name, ())
        needed: set[str] = set()

        def is_let_pass(sentence: str) -> bool:
            """Tell whether a reviewer has looked at what a check says, and lets it pass."""
            found = {part for part in let_pass if part in sentence}
            needed.update(found)
            return bool(found)

        absent = {f"{n}: is not here, so it was not looked at" for n in lengths if n not in wheels}
        said = {
            one.check: [
                each
                for each in one.sentences
                if not each.startswith("note: ") and not is_let_pass(each) and each not in absent
            ]
            for one in reports
            if one.outcome != "passed"
        }
        assert {check: sentences for check, sentences in said.items() if sentences} == {}
        assert needed == set(let_pass), "an exception that nothing needs any more"


def test_exceptions_are_for_plugins_that_there_are() -> None:
    assert {*LET_PASS, *UNUSED} <= set(SHELF.plugins)
