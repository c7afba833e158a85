"""Lock files and records that were written for these tests."""

import gzip
import hashlib
import json
import sqlite3
from pathlib import PurePosixPath

from locked import reader_of
from main import DependencyAudit
from snapshot import _affects

from tavo.plugins import NotAvailableError
from tavo.plugins.testing import find_in, started

DDL = (
    "CREATE TABLE snapshot (format, records, newest)",
    "CREATE TABLE advisories (id INTEGER PRIMARY KEY, name, aliases, summary, severity,"
    " published, modified)",
    "CREATE TABLE affected (id INTEGER PRIMARY KEY, advisory, ecosystem, package, versions,"
    " ranges)",
)
RECORDS = (
    ("TEST-1", "high", "PyPI", "teapot", [], [[["introduced", "0"], ["fixed", "2.1"]]]),
    ("TEST-2", "low", "PyPI", "teapot", ["2.0"], []),
    ("TEST-3", "critical", "npm", "@acme/kettle", [],
     [[["introduced", "1.0.0"], ["fixed", "1.4.0"]]]),
    ("TEST-4", "", "npm", "spoon", [], [[["introduced", "0"], ["last_affected", "0.9.0"]]]),
)  # fmt: skip


def snapshot(form=1):
    made = sqlite3.connect(":memory:")
    for statement in DDL:
        made.execute(statement)
    made.execute(
        "INSERT INTO snapshot VALUES (?, ?, ?)", (form, len(RECORDS), "2026-11-01T00:00:00Z")
    )
    for number, (name, severity, ecosystem, package, versions, ranges) in enumerate(RECORDS, 1):
        made.execute(
            "INSERT INTO advisories VALUES (?, ?, '[]', 'It boils over', ?, '', '')",
            (number, name, severity),
        )
        made.execute(
            "INSERT INTO affected VALUES (?, ?, ?, ?, ?, ?)",
            (number, number, ecosystem, package, json.dumps(versions), json.dumps(ranges)),
        )
    made.commit()
    return made.serialize()


def audit(files, data=None, **config):
    data = snapshot() if data is None else data
    return find_in(
        DependencyAudit, files, config={"snapshot": "a.db", **config}, project={"a.db": data}
    )


LOCKS = {
    "requirements.txt": "# pinned\nTeaPot[hot]==2.0 ; python_version > '3'  # why\ncup>=1\n",
    "requirements.lock": "\nteapot==2.0 \\\n    --hash=sha256:00\n",
    "uv.lock": 'version = 1\n\n[[package]]\nname = "teapot"\nversion = "2.0"\n',
    "poetry.lock": '[[package]]\nname = "teapot"\nversion = "2.0"\n\n[package.extras]\na = "1"\n',
    "pdm.lock": '[[package]]\nname = "teapot"\nversion = "2.0"\n',
    "Pipfile.lock": json.dumps({"default": {"teapot": {"version": "==2.0"}}}, indent=4),
    "pyproject.toml": '[project]\nversion = "1"\ndependencies = ["teapot==2.0", "cup>=1"]\n',
    "package-lock.json": json.dumps(
        {"name": "a", "version": "1.3.9", "packages": {"": {"version": "1.3.9"},
         "node_modules/b/node_modules/@acme/kettle": {"version": "1.3.9"}}}, indent=2),
    "pnpm-lock.yaml": "lockfileVersion: '9.0'\npackages:\n\n  '@acme/kettle@1.3.9':\n    a: {}\n",
    "yarn.lock": '# yarn\n\n"@acme/kettle@^1.0.0":\n  version "1.3.9"\n',
}  # fmt: skip


def test_each_lock_file_is_read():
    for name, text in LOCKS.items():
        (finding,) = audit({name: text})
        line = text.split("\n")[finding.location.region.start_line - 1].lower()
        assert "2.0" in line or "1.3.9" in line, (name, line)
        python = finding.evidence["package"].lower() == "teapot"
        assert finding.evidence["advisories"] == ("TEST-1, TEST-2" if python else "TEST-3"), name


def test_what_a_finding_says():
    (finding,) = audit({"yarn.lock": LOCKS["yarn.lock"]})
    assert finding.message == "@acme/kettle 1.3.9 has TEST-3: It boils over. Fixed in 1.4.0."
    assert finding.severity.name == "CRITICAL"
    assert finding.evidence["fixed"] == "1.4.0"
    (finding,) = audit({"requirements.txt": "teapot==1.0"})
    assert finding.severity.name == "HIGH"


def test_versions_outside_are_quiet():
    for text in ("teapot==2.1", "teapot==2.1.post1", "cup==1.0", "teapot>=1.0", "-r other.txt"):
        assert audit({"requirements.txt": text}) == [], text


def test_ranges_are_those_of_each_ecosystem():
    span = [[["introduced", "1.0.0"], ["fixed", "1.10.0"]]]
    for ecosystem, version, expected in (
        ("npm", "1.9.0", True),
        ("npm", "1.10.0", False),
        ("npm", "1.10.0-rc.1", True),
        ("npm", "1.0.0-rc.1", False),
        ("npm", "latest", None),
        ("PyPI", "1.9", True),
        ("PyPI", "1.10.0rc1", True),
        ("PyPI", "1.10", False),
        ("PyPI", "1!0.1", False),
        ("PyPI", "not a version", None),
    ):
        assert _affects(ecosystem, [], span, version) is expected, (ecosystem, version)


def not_compared(files, data=None, **config):
    """Return what the finding and the failure say: a threshold hides only the first."""
    project = {"a.db": snapshot() if data is None else data}
    project |= {path: text.encode() for path, text in files.items()}
    plugin = started(DependencyAudit, config, project=project)
    (finding,) = [
        one
        for path, text in files.items()
        for one in plugin.analyze_file(PurePosixPath(path), text)
    ]
    assert finding.rule_id == "not-compared"
    failed = ""
    try:
        plugin.analyze_project([PurePosixPath(path) for path in project])
    except NotAvailableError as error:
        failed = str(error)
    assert next(iter(files)) in failed
    return finding.message, failed


PINS = {"requirements.txt": "teapot==2.0"}


def test_without_a_usable_snapshot_nothing_is_called_safe():
    for said in not_compared(PINS):
        assert "no snapshot is named in the configuration" in said
    for data in (b"not one", snapshot()[:600], snapshot(form=2), gzip.compress(b"no")[:9]):
        for said in not_compared(PINS, data, snapshot="a.db"):
            assert ": a.db: it " in said, data[:10]
    for said in not_compared(PINS, snapshot="a.db", sha256="0" * 64):
        assert "whose SHA-256 is configured" in said
    (finding,) = audit({"uv.lock": LOCKS["uv.lock"]}, sha256=hashlib.sha256(snapshot()).hexdigest())
    assert finding.rule_id == "known-vulnerability"


def test_a_snapshot_that_is_elsewhere_is_named():
    project = {"web/advisories.db.xz": b"", "requirements.txt": b"teapot==2.0"}
    plugin = started(DependencyAudit, {"snapshot": "advisories.db"}, project=project)
    (finding,) = plugin.analyze_file(PurePosixPath("requirements.txt"), "teapot==2.0")
    assert "; web/advisories.db.xz could be meant: name it from where tavo runs" in finding.message
    assert finding.message.count("advisories.db") == 2


def test_where_nothing_is_pinned_no_snapshot_is_missed():
    plugin = started(DependencyAudit, {}, project={"requirements.txt": b"cup>=1\n", "a.py": b""})
    assert list(plugin.analyze_project([PurePosixPath("requirements.txt")])) == []


def test_a_version_as_long_as_a_page_does_not_fill_one():
    (finding,) = audit({"requirements.txt": "teapot==" + "9" * 5000})
    assert len(finding.message) < 200


def test_a_packed_snapshot_is_read():
    (finding,) = audit({"uv.lock": LOCKS["uv.lock"]}, gzip.compress(snapshot()))
    assert finding.rule_id == "known-vulnerability"


def test_other_files_are_left_alone():
    assert reader_of(PurePosixPath("notes.txt")) is None
    assert audit({"notes.txt": "teapot==2.0"}) == []
