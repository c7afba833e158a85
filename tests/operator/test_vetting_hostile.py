"""Hostile plugins: the check that each is made for fails, and says what it is about."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

import msgspec
import pytest

from marketplace_db.advisories.snapshot import read_records, write_snapshot
from marketplace_db.lock import LockedWheel, write_lock
from marketplace_db.package import build_package, inspect_package, unpack_package
from signing.digests import Digest
from tavo.operator.policy import Policy
from tavo.operator.vetting.checks import behaviour
from tavo.operator.vetting.report import Material, Outcome
from tavo.plugins import Finding, Severity
from tests.fakes.operator_market import plugin_folder, wheel_bytes

HOSTILE = Path(__file__).parents[1] / "attacks" / "plugins"
NAMES = sorted(path.name for path in HOSTILE.iterdir() if path.is_dir())
ACCEPT = ("L2:acme/sample",)
LICENSE = "Apache License, Version 2.0\n"
GOOD = (
    "from tavo.plugins import StaticAnalysisPlugin\n\n\n"
    "class Plugin(StaticAnalysisPlugin):\n    rules = ()\n\n"
    "    def analyze_file(self, file_path, content):\n        return ()\n"
)


def material(
    folder: Path,
    *,
    files: Mapping[str, str | bytes] | None = None,
    more: str = "",
    wheels: Mapping[str, bytes] | None = None,
    advisories: Path | None = None,
    source: Path | None = None,
    policy: Policy | None = None,
) -> Material:
    """Pack a plugin and unpack it again for the checks."""
    contents: dict[str, str | bytes] = {"main.py": GOOD, "LICENSE": LICENSE, **(files or {})}
    at = {}
    if wheels:
        locked = []
        (folder / "wheels").mkdir(parents=True)
        for filename, data in wheels.items():
            name, version = filename.split("-")[:2]
            locked.append(LockedWheel(name, version, filename, Digest.of(data)))
            at[filename] = folder / "wheels" / filename
            at[filename].write_bytes(data)
        contents["requirements.lock"] = write_lock(locked)
        more += "dependencies: [" + ", ".join(f"{w.name}=={w.version}" for w in locked) + "]\n"
    plugin_folder(folder / "plugin", more=more, files=contents)
    build_package(folder / "plugin", folder / "package.zip")
    package = inspect_package(folder / "package.zip")
    unpack_package(package, folder / "unpacked")
    return Material(
        package=package, folder=folder / "unpacked", wheels=at, policy=policy or Policy(),
        advisories=advisories, source=source, accept_sandbox=ACCEPT,
    )  # fmt: skip


def done(check: str, given: Material) -> Outcome:
    module = importlib.import_module(f"tavo.operator.vetting.checks.{check}")
    outcome: Outcome = module.run(given)
    return outcome


def hostile(name: str, folder: Path) -> Material:
    files = {
        path.relative_to(HOSTILE / name).as_posix(): path.read_bytes()
        for path in (HOSTILE / name).rglob("*")
        if path.is_file() and path.name not in {"expected.txt", "more.yaml"}
        and "__pycache__" not in path.parts
    }  # fmt: skip
    more = HOSTILE / name / "more.yaml"
    return material(folder, files=files, more=more.read_text() if more.exists() else "")


@pytest.mark.parametrize("name", NAMES)
def test_hostile_plugin_fails_the_check_it_is_made_for(name: str, tmp_path: Path) -> None:
    check, _, sentence = (HOSTILE / name / "expected.txt").read_text().strip().partition(": ")
    outcome = done(check, hostile(name, tmp_path))
    assert outcome.outcome == "failed", outcome.sentences
    assert any(sentence in one for one in outcome.sentences), outcome.sentences


@pytest.mark.parametrize(
    "check", ["package", "permissions", "licence", "advisories", "behaviour", "scan"]
)
def test_control_a_plain_plugin_passes(check: str, tmp_path: Path) -> None:
    outcome = done(check, material(tmp_path))
    assert outcome.outcome == "passed", outcome.sentences


def test_ignore_comments_would_hide_it(tmp_path: Path) -> None:
    """The control of `ignores-findings`: a scan for users honours the comments."""
    from tavo.progress import Reporter
    from tavo.scan.files import SourceFile
    from tavo.scan.incremental import scan_files
    from tavo.scan.rule_source import PACK, RuleSource

    given = hostile("ignores-findings", tmp_path)
    files = [SourceFile(given.folder / "main.py", PurePosixPath("main.py"))]
    (result,) = scan_files(
        files, RuleSource([PACK]), kept=None, jobs=1, largest=1 << 20, reporter=Reporter()
    )
    high = [hit for hit in result.hits if hit.finding.severity >= Severity.HIGH]
    assert high
    assert all(hit.ignore is not None for hit in high)


def test_a_wheel_that_hides_code_fails_and_its_usual_code_is_a_note(tmp_path: Path) -> None:
    bad = {"dep/go.py": b"import base64\nexec(base64.b64decode('eA=='))\n"}
    filename = "dep-1.0-py3-none-any.whl"
    outcome = done("behaviour", material(tmp_path / "a", wheels={filename: wheel_bytes(files=bad)}))
    assert outcome.outcome == "failed"
    assert outcome.sentences[0].startswith(f"{filename}: dep/go.py line 2: What was encoded")
    usual = {"dep/go.py": b"import socket\nimport marshal\nx = marshal.loads(y)\n"}
    outcome = done(
        "behaviour", material(tmp_path / "b", wheels={filename: wheel_bytes(files=usual)})
    )
    assert outcome.outcome == "passed", outcome.sentences
    assert f"note: {filename} has code for network" in outcome.sentences


def test_declared_permissions_are_no_finding(tmp_path: Path) -> None:
    code = (
        GOOD
        + "\n    def go(self):\n        import socket\n        import os\n"
        + ("        return os.environ['KEY'], socket.create_connection(('a.example.org', 443))\n")
    )
    more = "permissions: {network: [a.example.org], env: [KEY]}\n"
    given = material(tmp_path / "a", files={"main.py": code}, more=more)
    assert done("behaviour", given).outcome == "passed"
    assert done("behaviour", material(tmp_path / "b", files={"main.py": code})).outcome == "failed"


def licensed(text: str) -> bytes:
    info = "dep-1.0.dist-info"
    head = f"Metadata-Version: 2.4\nName: dep\nVersion: 1.0\n{text}\n".encode()
    return wheel_bytes(files={f"{info}/METADATA": head})


@pytest.mark.parametrize(
    ("metadata", "outcome", "sentence"),
    [
        ("License-Expression: MIT OR GPL-3.0-only", "passed", ""),
        ("License: BSD-3-Clause", "passed", ""),
        ("Classifier: License :: OSI Approved :: MIT License", "passed", ""),
        ("License-Expression: MIT AND GPL-3.0-only", "failed", "is not among the licences"),
        ("License: ask us", "failed", "names no licence of SPDX's list"),
        ("Classifier: License :: OSI Approved :: MIT License\nClassifier: License :: OSI Approved"
         " :: GNU General Public License v3 (GPLv3)", "failed", "GPL-3.0-only AND MIT"),
    ],
)  # fmt: skip
def test_licences_of_wheels(tmp_path: Path, metadata: str, outcome: str, sentence: str) -> None:
    wheels = {"dep-1.0-py3-none-any.whl": licensed(metadata)}
    found = done("licence", material(tmp_path, wheels=wheels))
    assert found.outcome == outcome, found.sentences
    assert any(sentence in one for one in found.sentences)


@pytest.mark.parametrize("check", ["licence", "behaviour"])
def test_a_wheel_that_is_not_here_was_not_looked_at(check: str, tmp_path: Path) -> None:
    name = "dep-1.0-py3-none-any.whl"
    given = material(tmp_path, wheels={name: licensed("License: BSD-3-Clause")})
    assert done(check, given).outcome == "passed"
    found = done(check, msgspec.structs.replace(given, wheels={}))
    assert found.outcome == "not done"
    assert found.sentences == (f"{name}: is not here, so it was not looked at",)


@pytest.mark.parametrize(
    ("expression", "answer"),
    [
        ("MIT", True), ("GPL-3.0-only", False), ("MIT OR GPL-3.0-only", True),
        ("MIT AND GPL-3.0-only", False), ("MIT AND (GPL-3.0-only OR Apache-2.0)", True),
        ("(MIT AND GPL-3.0-only) OR Apache-2.0", True),
        ("Apache-2.0 WITH LLVM-exception AND MIT", True),
        ("GPL-3.0-only WITH GCC-exception-3.1 OR GPL-3.0-only AND MIT", False),
    ],
)  # fmt: skip
def test_expressions_are_met_with_allowed_licences_only(expression: str, answer: bool) -> None:
    from packaging.licenses import canonicalize_license_expression

    from tavo.operator.vetting.checks.licence import is_allowed

    known = canonicalize_license_expression(expression)
    assert is_allowed(known, {"MIT", "Apache-2.0"}) is answer


def advisory(identifier: str, **affected: object) -> dict[str, object]:
    package = {"ecosystem": "PyPI", "name": "dep"}
    return {"id": identifier, "summary": "It leaks", "modified": "2026-01-01T00:00:00Z",
            "database_specific": {"severity": "HIGH"},
            "affected": [{"package": package, **affected}]}  # fmt: skip


def test_advisories_fail_also_where_it_is_unclear_and_are_not_done_without_a_snapshot(
    tmp_path: Path,
) -> None:
    wheels = {"dep-1.0-py3-none-any.whl": wheel_bytes()}
    assert done("advisories", material(tmp_path / "a", wheels=wheels)).outcome == "not done"
    for number, (affected, sentence) in enumerate((
        ({"versions": ["1.0"]}, "dep 1.0: TEST-1, high: It leaks"),
        ({"ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "??"}]}]},
         "whether this version is affected is unclear"),
        ({"versions": ["2.0"]}, "nothing is known about its 1 wheels"),
    )):  # fmt: skip
        record = tmp_path / f"{number}.json"
        record.write_text(json.dumps(advisory("TEST-1", **affected)))
        write_snapshot(read_records(record), tmp_path / f"{number}.db")
        found = done(
            "advisories",
            material(tmp_path / f"p{number}", wheels=wheels, advisories=tmp_path / f"{number}.db"),
        )
        assert sentence in found.sentences[0] or sentence in str(found.sentences)
        assert found.outcome == ("passed" if number == 2 else "failed")


def test_source_gives_the_same_package_or_the_files_that_differ_are_named(tmp_path: Path) -> None:
    given = material(tmp_path)
    assert done("source", given).outcome == "not done"
    import msgspec

    same = msgspec.structs.replace(given, source=tmp_path / "plugin")
    assert done("source", same).outcome == "passed"
    (tmp_path / "plugin" / "main.py").write_text(GOOD + "\n# another\n")
    (tmp_path / "plugin" / "more.py").write_text("x = 1\n")
    found = done("source", same)
    assert found.outcome == "failed"
    assert "main.py: differs from the source" in found.sentences
    assert "more.py: is in the source and not in the package" in found.sentences


def test_evidence_of_a_variable_is_its_name() -> None:
    finding = Finding(rule_id="vetting-uses-env", message="x", severity=Severity.INFO,
                      location=_nowhere(), evidence={"$NAME": "KEY"})  # fmt: skip
    from marketplace_db.manifest import Permissions

    assert behaviour._undeclared(finding, Permissions(env=("KEY",))) == ""
    assert "KEY" in behaviour._undeclared(finding, Permissions())


def _nowhere() -> object:

    from tavo.plugins import Location

    return Location(path=PurePosixPath("main.py"))
