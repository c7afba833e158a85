"""The contract suite sees each way in which a plugin breaks its contract."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import msgspec
import pytest

from tavo.host.local import open_local
from tavo.host.sandbox.levels import SandboxUnavailableError
from tavo.kit.contract import run_suite
from tavo.kit.suite import Check, SuiteReport
from tavo.kit.wheels import make_lock
from tests.fakes.authors import ACCEPT, author_plugin, static_main
from tests.fakes.operator_market import wheel_bytes


def tried(folder: Path) -> SuiteReport:
    with open_local(folder) as local:
        return run_suite(local, accept=ACCEPT)


def check_of(report: SuiteReport, name: str) -> Check:
    (found,) = (check for check in report.checks if check.name == name)
    return found


BROKEN = {
    "it does not start": ("", "raise RuntimeError('no')", "starts and stops", "RuntimeError"),
    "it fails on hostile input": (
        "import json; json.loads(content) if content[:1] == '[' else None", "", "hostile input",
        "RecursionError"),
    "it ends its process": (
        "import os; os._exit(3) if '\\x00' in content else None", "", "hostile input",
        "exit code 3"),
    "it is too slow": (
        "for _ in iter(int, 1 if len(content) > 10**6 else 0): pass", "", "deadlines",
        "processor time"),
    "it counts files": (
        "self.n = getattr(self, 'n', 0) + 1\nif self.n < 9: yield self.found(file_path)", "",
        "deterministic", "when asked again"),
    "it depends on the process": (
        "found = self.found(file_path)\nobject.__setattr__(found, 'message', SIDE)\nyield found",
        "import os\nSIDE = os.urandom(8).hex()", "deterministic", "in a fresh process"),
    "it names a rule that it did not declare": (
        "yield self.found(file_path, 'other')", "", "valid findings", "not declared"),
    "it names a line that is not there": (
        "yield self.found(file_path, line=10**9)", "", "valid findings", "lines 1000000000"),
    "it prints": ("", "print('hello there')", "prints nothing", "hello there"),
    "it reads a file": (
        "", "try: open('/etc/passwd')\nexcept OSError: pass", "permissions declared",
        "files: it tried /etc/passwd"),
    "it connects": (
        "",
        "import socket\ntry: socket.create_connection(('example.com', 80))\nexcept OSError: pass",
        "permissions declared", "network: it tried example.com"),
    "it starts a program": (
        "", "import subprocess\ntry: subprocess.run(['/bin/ls'])\nexcept OSError: pass",
        "permissions declared", "subprocess: it tried ls"),
    "it reads the environment": (
        "", "import os\nos.environ.get('AWS_SECRET_ACCESS_KEY')", "permissions declared",
        "env: it tried AWS_SECRET_ACCESS_KEY"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_contract_is_seen(case: str, tmp_path: Path) -> None:
    body, before, name, expected = BROKEN[case]
    folder = author_plugin(
        tmp_path / "new", main_py=static_main(body or "pass", before=before),
        tests__test_main_py="def test_nothing():\n    pass\n",
    )  # fmt: skip
    if case == "it is too slow":
        manifest = folder / "plugin.yaml"
        manifest.write_text(
            manifest.read_text().replace("cpu_s_per_file: 2", "cpu_s_per_file: 0.3")
        )
    report = tried(folder)
    check = check_of(report, name)
    assert check.state == "failed", report.checks
    assert expected in check.found
    assert not report.passed


def test_a_sound_plugin_passes_the_same_suite(tmp_path: Path) -> None:
    """The control of all above."""
    folder = author_plugin(
        tmp_path / "new",
        main_py=static_main("if 'secret' in content: yield self.found(file_path)"),
        tests__test_main_py="def test_nothing():\n    pass\n",
        tests__samples__a_py="secret = 1\n",
    )  # fmt: skip
    report = tried(folder)
    assert report.passed, report.checks
    assert check_of(report, "rules shown").state == "passed"


def test_samples_are_damaged_to_reach_more_code(tmp_path: Path) -> None:
    """The plugin fails only behind what it looks for, where no other hostile text leads."""
    folder = author_plugin(
        tmp_path / "new",
        main_py=static_main("if 'secret' in content: {'1': 0}[content.split('=')[1].strip()]"),
        tests__test_main_py="def test_nothing():\n    pass\n",
    )
    assert tried(folder).passed
    sample = folder / "tests" / "samples" / "a.txt"
    sample.parent.mkdir()
    sample.write_text("secret = 1")
    check = check_of(tried(folder), "hostile input")
    assert check.state == "failed"
    assert "hostile/many/a.txt" in check.found


def test_rules_that_nothing_shows_are_named_and_fail_nothing(tmp_path: Path) -> None:
    folder = author_plugin(tmp_path / "new", main_py=static_main("pass", rules="('a', 'b')"),
                           tests__test_main_py="def test_nothing():\n    pass\n")  # fmt: skip
    report = tried(folder)
    assert report.rules_not_shown == ("a", "b")
    assert check_of(report, "rules shown").state == "note"
    assert report.passed


def test_the_authors_tests_run_in_the_sandbox(tmp_path: Path) -> None:
    folder = author_plugin(
        tmp_path / "new",
        tests__test_main_py="""\
import os, unittest
from pathlib import Path

def test_good(): assert True
def test_bad(): assert 1 == 2, "one is not two"
def test_fixture(tmp_path): pass
def test_home_cannot_be_read():
    try:
        os.listdir("/root")
    except OSError:
        return
    raise AssertionError("it could")
def helper(): raise RuntimeError

class Case(unittest.TestCase):
    def test_good(self): self.assertEqual(1, 1)
    def test_bad(self): self.assertEqual(1, 2)
    @unittest.skip("later")
    def test_later(self): pass

class TestPlain:
    def test_good(self): pass
""",
        tests__test_pytest_py="import pytest\n",
    )
    report = tried(folder)
    outcomes = {test.name.partition("::")[2]: test.outcome for test in report.tests
                if "test_main" in test.name}  # fmt: skip
    assert outcomes == {
        "test_good": "passed", "test_bad": "failed", "test_fixture": "skipped",
        "test_home_cannot_be_read": "passed", "Case.test_good": "passed",
        "Case.test_bad": "failed", "Case.test_later": "skipped", "TestPlain.test_good": "passed",
    }  # fmt: skip
    found = check_of(report, "own tests").found
    assert found.startswith("3 of 9 failed: tests/test_main.py::test_bad")
    said = {test.name.partition("::")[2]: test.message for test in report.tests}
    assert "one is not two" in said["test_bad"]
    assert "pytest is not in the sandbox" in said["import"]


def test_a_test_that_ends_the_process_fails_the_suite(tmp_path: Path) -> None:
    folder = author_plugin(tmp_path / "new", tests__test_main_py="import os\nos._exit(0)\n")
    report = tried(folder)
    assert check_of(report, "own tests").state == "failed"
    assert not report.passed


def test_unused_permissions_are_named(tmp_path: Path) -> None:
    folder = author_plugin(tmp_path / "new", "dynamic")
    manifest = folder / "plugin.yaml"
    more = "  network: [api.example.com]\n  env: [TOKEN]\n"
    manifest.write_text(manifest.read_text().replace("  target: true\n", "  target: true\n" + more))
    report = tried(folder)
    found = check_of(report, "permissions used")
    assert found.state == "note"
    assert found.found.endswith("network: api.example.com, env: TOKEN")
    assert report.tried["target"] == ("target.send",)


ASKING = """\
    def start(self, context):
        self.context = context

    def ask(self, act, *arguments):
        try:
            return act(*arguments)
        except NotAvailableError:
            return None
"""


def test_what_a_plugin_asks_the_host_for_is_compared_with_its_manifest(tmp_path: Path) -> None:
    main = static_main(
        'self.ask(self.context.run, "git", ["status"])\n'
        'self.ask(self.context.read_project, "uv.lock")'
    ).replace("    def analyze_file", ASKING + "    def analyze_file")
    folder = author_plugin(tmp_path / "new", main_py=main, tests__test_main_py="")
    manifest = folder / "plugin.yaml"
    manifest.write_text(manifest.read_text().replace("files: none", "subprocess: [git, hg]"))
    report = tried(folder)
    assert report.tried["subprocess"] == ("git",)
    assert check_of(report, "permissions used").found.endswith("subprocess: hg")
    assert "files: it tried uv.lock" in check_of(report, "permissions declared").found


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the wheel is one for Linux")
@pytest.mark.parametrize("asked", ["tool", "git"])
def test_a_program_that_a_plugin_brings_is_compared_with_its_manifest(
    asked: str, tmp_path: Path
) -> None:
    main = static_main(
        f'if len(content) < 2:\n    self.ask(self.context.run, "{asked}", ["status"])'
    ).replace("    def analyze_file", ASKING + "    def analyze_file")
    folder = author_plugin(tmp_path / "new", main_py=main, tests__test_main_py="")
    wheel = folder / ".wheels" / f"dep-1.0-py3-none-linux_{os.uname().machine}.whl"
    wheel.parent.mkdir()
    program = Path(sys.executable).resolve().read_bytes()
    wheel.write_bytes(wheel_bytes(files={"dep-1.0.data/scripts/tool": program}))
    manifest = folder / "plugin.yaml"
    text = manifest.read_text().replace("files: none", "native_code: true")
    manifest.write_text(text + "programs: [tool]\ndependencies: ['dep==1.0']\n")
    make_lock(folder, wheel.parent)
    report = tried(folder)
    declared = check_of(report, "permissions declared")
    if asked == "tool":
        assert declared.state == "passed"
        assert [one.found for one in report.checks if one.name == "permissions used"] == []
    else:
        assert declared.found == "subprocess: it tried git"
        assert check_of(report, "permissions used").found.endswith("programs: tool")


def test_a_plugin_that_stops_where_a_host_would_lend_something_fails_nothing(
    tmp_path: Path,
) -> None:
    main = static_main(
        'self.context.read_project("uv.lock")\nself.context.run("git", ["status"])'
    ).replace("    def analyze_file", ASKING + "    def analyze_file")
    folder = author_plugin(tmp_path / "new", main_py=main, tests__test_main_py="")
    manifest = folder / "plugin.yaml"
    asked = manifest.read_text().replace("files: none", "files: project\n  subprocess: [git]")
    manifest.write_text(asked)
    report = tried(folder)
    assert check_of(report, "hostile input").state == "passed"
    assert check_of(report, "permissions declared").state == "passed"
    assert "permissions used" not in {one.name for one in report.checks}


def test_samples_are_named_to_a_plugin_that_has_its_host_read_them(tmp_path: Path) -> None:
    main = static_main("pass").replace(
        "    def analyze_file",
        "    def start(self, context):\n        self.context = context\n\n"
        "    def analyze_project(self, files):\n"
        "        for path in files:\n"
        "            if path.name == 'ci.yml': self.context.read_project(path)\n"
        "        return ()\n\n    def other",
    )  # fmt: skip
    for name, samples in (("with", {"tests__samples__ci_yml": "on: push\n"}), ("without", {})):
        folder = author_plugin(tmp_path / name, main_py=main, tests__test_main_py="", **samples)
        manifest = folder / "plugin.yaml"
        manifest.write_text(manifest.read_text().replace("files: none", "files: project"))
        unused = "permissions used" in {one.name for one in tried(folder).checks}
        assert unused is (name == "without")


LOOKS_UP = "import os\nHOME = os.environ.get('AWS_SECRET_ACCESS_KEY')\n"


def test_what_a_dependency_looks_up_in_the_environment_is_its_own(tmp_path: Path) -> None:
    main = static_main("pass", before="import dep")
    folder = author_plugin(tmp_path / "new", main_py=main, tests__test_main_py="")
    with (folder / "plugin.yaml").open("a") as stream:
        stream.write('dependencies: ["dep"]\n')
    (folder / ".wheels").mkdir()
    wheel = wheel_bytes(files={"dep/__init__.py": LOOKS_UP.encode()})
    (folder / ".wheels" / "dep-1.0-py3-none-any.whl").write_bytes(wheel)
    make_lock(folder, folder / ".wheels")
    assert check_of(tried(folder), "permissions declared").state == "passed"
    own = author_plugin(tmp_path / "own", main_py=main, tests__test_main_py="", dep_py=LOOKS_UP)
    assert check_of(tried(own), "permissions declared").state == "failed"


DYNAMIC = """\
from tavo.plugins import AttackResult, ChatMessage, ChatRequest, DynamicTestingPlugin, Rule
from tavo.plugins import Severity
class Sample(DynamicTestingPlugin):
    rules = (Rule(id="r", title="t", severity=Severity.LOW),)
    def ask(self, target, text="x"):
        request = ChatRequest(messages=(ChatMessage(role="user", content=text),))
        return target.send(request).messages[0].content
    def result(self, rule="r", score=0.0):
        return AttackResult(rule_id=rule, goal="g", severity=Severity.LOW, score=score)
    def run_attack(self, target, config):
        {body}
        yield self.result()
"""
OTHERS = {
    "an attack without end": ("dynamic", "while True: self.ask(target)", "hostile input",
                              "more than 1000 requests"),
    "an attack that cannot read": ("dynamic", "int(self.ask(target))", "hostile input",
                                   "ValueError"),
    "an attack that asks nothing": ("dynamic", "pass", "hostile input", "never called target.send"),
    "an attack with another rule": ("dynamic", "self.ask(target); yield self.result('o')",
                                    "hostile input", "not in the plugin's rules"),
    "an attack at random": (
        "dynamic",
        "import random; self.ask(target); yield self.result(score=random.SystemRandom().random())",
        "deterministic", "different results"),
}  # fmt: skip


@pytest.mark.parametrize("case", OTHERS)
def test_a_broken_attack_is_seen(case: str, tmp_path: Path) -> None:
    plugin_type, body, name, expected = OTHERS[case]
    folder = author_plugin(
        tmp_path / "new", plugin_type, main_py=DYNAMIC.format(body=body),
        tests__test_main_py="def test_nothing():\n    pass\n",
    )  # fmt: skip
    check = check_of(tried(folder), name)
    assert check.state == "failed"
    assert expected in check.found


FILTER = """\
from tavo.plugins import *
from tavo.plugins import Decision, FilterResult, ProxyFilteringPlugin
class Sample(ProxyFilteringPlugin):
    deadline_ms = 20
    def filter_request(self, request):
        text = request.messages[-1].content
        {body}
        return FilterResult(decision=Decision.ALLOW)
    def filter_response(self, response):
        return FilterResult(decision=Decision.ALLOW)
"""


@pytest.mark.parametrize(
    ("body", "name", "expected"),
    [
        ("return True", "hostile input", "expected tavo.plugins.FilterResult"),
        ("text[0]", "hostile input", "IndexError"),
        ("sum(n * n for n in range(10**6))", "deadlines", "its deadline is 20 ms"),
        ("import os; return FilterResult(decision=Decision.BLOCK, reason=os.urandom(4).hex())",
         "deterministic", "two decisions"),
        ("pass", "hostile input", "stood all"),
    ],
)  # fmt: skip
def test_a_broken_filter_is_seen(body: str, name: str, expected: str, tmp_path: Path) -> None:
    folder = author_plugin(
        tmp_path / "new", "proxy", main_py=FILTER.format(body=body),
        tests__test_main_py="def test_nothing():\n    pass\n",
    )  # fmt: skip
    check = check_of(tried(folder), name)
    assert check.state == ("passed" if body == "pass" else "failed")
    assert expected in check.found


LOGS = """\
from pathlib import PurePosixPath
from tavo.plugins import Analysis, Finding, Location, LogAnalysisPlugin, Region, Rule, Severity
class Sample(LogAnalysisPlugin):
    rules = (Rule(id="r", title="t", severity=Severity.LOW),)
    def found(self, rule="r", path="app.log", line=1):
        return Analysis(findings=(Finding(rule_id=rule, message="m", severity=Severity.LOW,
            location=Location(path=PurePosixPath(path), region=Region(start_line=line,
            end_line=line, end_column=1))),))
    def analyze_logs(self, log_entries):
        events = list(log_entries)
        {body}
        return Analysis()
"""


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("return []", "returns Analysis"),
        ("[event.fields['user'].lower() for event in events]", "AttributeError"),
        ("return self.found(path='other.log')", "none of the events"),
        ("return self.found(rule='other') if events else Analysis()", "not in the plugin's rules"),
        ("events[0]", "stood all"),  # batches are never empty
    ],
)
def test_a_broken_log_plugin_is_seen(body: str, expected: str, tmp_path: Path) -> None:
    folder = author_plugin(
        tmp_path / "new", "log", main_py=LOGS.format(body=body),
        tests__test_main_py="def test_nothing():\n    pass\n",
    )  # fmt: skip
    check = check_of(tried(folder), "hostile input")
    assert check.state == ("passed" if expected == "stood all" else "failed")
    assert expected in check.found


def test_the_report_is_the_same_again_and_names_no_place(tmp_path: Path) -> None:
    first = tried(author_plugin(tmp_path / "one"))
    second = tried(author_plugin(tmp_path / "two"))
    assert first == second
    text = json.dumps(msgspec.to_builtins(first))
    assert str(tmp_path) not in text
    assert msgspec.json.decode(text, type=SuiteReport) == first


def test_nothing_runs_below_the_level_that_it_needs(tmp_path: Path) -> None:
    """Without an acceptance: at L3 where there is one, else refused before anything ran."""
    with open_local(author_plugin(tmp_path / "new")) as local:
        try:
            level = run_suite(local).sandbox
        except SandboxUnavailableError as error:
            level = error.needed.label
    assert level == "L3"


def test_a_plugin_cannot_answer_for_the_harness(tmp_path: Path) -> None:
    """What the process sends is decoded into types; a forged answer is a failed check."""
    body = """\
import sys
sys.modules["json"].dumps = lambda *a, **k: '{"passed": true}'
"""
    report = tried(author_plugin(tmp_path / "new", main_py=static_main("pass", before=body)))
    assert not report.passed


def test_an_endless_loop_is_said_soon(tmp_path: Path) -> None:
    folder = author_plugin(
        tmp_path / "new",
        main_py=static_main("while True: pass"),
        tests__test_main_py="""\
from main import Sample
from tavo.plugins.testing import find_in

def test_one(): find_in(Sample, {"a.py": "x"})
def test_two(): find_in(Sample, {"a.py": "x"})
def test_three(): find_in(Sample, {"a.py": "x"})
""",
    )
    report = tried(folder)  # two tests of 10 s each, and a few files of 2 s
    late = check_of(report, "deadlines")
    assert late.state == "failed"
    assert "more texts were not tried" in late.found
    assert check_of(report, "own tests").found.startswith("2 of 3 failed")
    assert [test.outcome for test in report.tests] == ["failed", "failed", "skipped"]
    assert report.tests[0].message == "it took longer than 10 s"
    assert check_of(report, "deterministic").state == "skipped"
    assert " texts, no other failure" in check_of(report, "hostile input").found
    assert not report.passed


LAST_LINE = """\
lines = content.replace('\\r\\n', '\\n').replace('\\r', '\\n').split('\\n')
if 'secret' in lines[-1]: yield self.found(file_path, line=len(lines))
"""


def test_the_suite_hands_lone_carriage_returns_over_as_a_scan_does(tmp_path: Path) -> None:
    """A plugin that reads them as line ends, as Python's parser does, is right in both."""
    folder = author_plugin(
        tmp_path / "new",
        main_py=static_main(LAST_LINE),
        tests__test_main_py="""\
from main import Sample
from tavo.plugins.testing import find_in

def test_it():
    (found,) = find_in(Sample, {"a.py": "a\\r\\nb\\rsecret"})
    assert found.location.region.start_line == 3
""",
        tests__samples__a_py="x = 1\ny = 2\nsecret = 3",
    )
    report = tried(folder)
    assert report.passed, report.checks
    assert check_of(report, "valid findings").state == "passed"


AST = """\
import ast
try: tree = ast.parse(content)
except (SyntaxError, ValueError, RecursionError, MemoryError): return
for node in ast.walk(tree):
    if isinstance(node, ast.Name) and node.id == 'secret':
        line = content.split('\\n')[node.lineno - 1]
        column = COLUMN
        yield Finding(rule_id='word', message='m', severity=Severity.LOW, location=Location(
            path=file_path, region=Region(start_line=node.lineno, start_column=column,
            end_line=node.lineno, end_column=column + 6)))
"""


@pytest.mark.parametrize("shown", ["by a test", "by a sample"])
def test_columns_that_count_bytes_are_seen(shown: str, tmp_path: Path) -> None:
    found = []
    test = "def test_it(): pass\n"
    if shown == "by a test":
        test = (
            "from main import Sample\nfrom tavo.plugins.testing import find_in\n"
            "def test_it():\n    assert find_in(Sample, {'a.py': 'if 1:\\n  x = secret'})\n"
        )
    right_column = "len(line.encode()[:node.col_offset].decode(errors='replace')) + 1"
    for column in ("node.col_offset + 1", right_column):
        folder = author_plugin(
            tmp_path / f"new{len(found)}", main_py=static_main(AST.replace("COLUMN", column)),
            tests__test_main_py=test,
        )  # fmt: skip
        if shown == "by a sample":
            (folder / "tests" / "samples").mkdir()
            (folder / "tests" / "samples" / "a.py").write_text("x = secret\n")
        found.append(check_of(tried(folder), "valid findings"))
    wrong, right = found
    assert wrong.state == "failed", wrong
    assert "its columns count bytes, not characters (word)" in wrong.found
    assert "col_offset" in wrong.hint
    assert right.state == "passed", right


def test_a_failed_assert_says_what_it_compared(tmp_path: Path) -> None:
    folder = author_plugin(
        tmp_path / "new",
        tests__test_main_py="""\
def double(x): return x * 3
def test_it():
    values = [double(1), double(2)]
    assert values == [
        2, 4,
    ]
def test_truth():
    assert not double(1)
""",
    )
    report = tried(folder)
    messages = [test.message.splitlines() for test in report.tests]
    assert messages == [
        ["AssertionError (tests/test_main.py line 4)", "  assert values == [ 2, 4, ]",
         "  values = [3, 6]"],
        ["AssertionError (tests/test_main.py line 8)", "  assert not double(1)",
         "  not double(1) = False"],
    ]  # fmt: skip


def test_identical_failures_are_one(tmp_path: Path) -> None:
    folder = author_plugin(
        tmp_path / "new", main_py=static_main("raise KeyError('x')"),
        tests__test_main_py="def test_nothing():\n    pass\n",
    )  # fmt: skip
    found = check_of(tried(folder), "hostile input").found
    assert found.count("KeyError") == 1
    assert "it raised KeyError: 'x' (main.py line 11)" in found
    assert "and 16 more: " in found


SENDS = """\
from tavo.plugins import *

class Sample(DynamicTestingPlugin):
    rules = (Rule(id="x", title="X", severity=Severity.LOW),)

    def run_attack(self, target, config):
        scores = []
        request = ChatRequest(messages=(ChatMessage(role="user", content="hi"),))
        try:
            target.send(request)
            scores.append(0.0)
        except TargetError:
            pass
        yield AttackResult(rule_id="x", goal="g", severity=Severity.LOW, score=SCORE)
"""


def test_an_attack_is_tried_on_a_model_that_gives_no_answer(tmp_path: Path) -> None:
    folder = author_plugin(
        tmp_path / "bad", "dynamic", main_py=SENDS.replace("SCORE", "max(scores)"),
        tests__test_main_py="def test_nothing(): pass\n",
    )  # fmt: skip
    check = check_of(tried(folder), "hostile input")
    assert check.state == "failed"
    assert "against a model that gives no answer" in check.found
    assert "ValueError" in check.found
    good = author_plugin(
        tmp_path / "good", "dynamic", main_py=SENDS.replace("SCORE", "max(scores, default=0.0)"),
        tests__test_main_py="def test_nothing(): pass\n",
    )  # fmt: skip
    assert check_of(tried(good), "hostile input").state == "passed"


DENIED = {
    "open('/etc/passwd').read()": "a plugin opens no files but its own",
    "__import__('urllib.request').request.urlopen('http://example.com/')":
        "a plugin reaches only the hosts of permissions.network",
    "__import__('subprocess').run(['/bin/true'])": "a plugin starts no programs",
}  # fmt: skip


@pytest.mark.parametrize("act", DENIED)
def test_what_the_sandbox_denies_is_said_to_be_the_sandbox(act: str, tmp_path: Path) -> None:
    folder = author_plugin(
        tmp_path / "new", main_py=static_main(act),
        tests__test_main_py="def test_nothing(): pass\n",
    )  # fmt: skip
    found = check_of(tried(folder), "hostile input").found
    assert f"; the sandbox: {DENIED[act]}" in found
    assert "(main.py line 11)" in found
    assert "site-packages" not in found
    assert "/tmp" not in found
