"""Static plugins at work: what goes in, what comes out, and what goes wrong beside it."""

from __future__ import annotations

import os
import time
from pathlib import Path, PurePosixPath

import pytest

from tavo.errors import ConfigError, NotAvailableError, RefusedError
from tavo.host import hosted
from tavo.host.sandbox.levels import LevelPolicy, SandboxLevel, SandboxUnavailableError
from tavo.host.workers import FileInput, StaticWorker
from tests.fakes.operator_market import wheel_bytes
from tests.fakes.plugins import PluginMachine, text_file

HEAD = """\
from tavo.plugins import *


def claim(path, message, region=None):
    return Finding(rule_id="r", message=message, severity=Severity.LOW,
                   location=Location(path=path, region=region))


class Base(StaticAnalysisPlugin):
    rules = (Rule(id="r", title="R", severity=Severity.LOW),)


"""


@pytest.fixture
def machine(tmp_path: Path) -> PluginMachine:
    return PluginMachine(tmp_path / "machine")


def path(name: str) -> PurePosixPath:
    return PurePosixPath(name)


def test_findings_come_back_with_their_code_lines(machine: PluginMachine) -> None:
    with StaticWorker(machine.verified()) as worker:
        result = worker.analyze([
            text_file("a.py", "x = 1\ny = 'secret'\n"),
            text_file("b.py", "nothing\n"),
            FileInput(path=path("c.py"), data=b"caf\xe9"),
        ])  # fmt: skip
        assert set(worker.rules) == {"word"}
        assert worker.level is SandboxLevel.STANDARD
    (found,) = result.findings[path("a.py")]
    assert found.location.snippet == "y = 'secret'"
    assert result.findings[path("b.py")] == ()
    assert path("c.py") not in result.findings
    assert result.failures[path("c.py")].kind == "not_text"


def test_the_worker_starts_with_the_first_file_and_serves_all_batches(
    machine: PluginMachine,
) -> None:
    with StaticWorker(machine.verified()) as worker:
        assert worker.statistics.starts == 0
        for number in range(3):
            batch = [text_file(f"{number}/{n}.py", "a secret\n") for n in range(600)]
            result = worker.analyze(batch)
            assert sum(map(len, result.findings.values())) == 600
            assert not result.failures
    statistics = worker.statistics
    assert (statistics.starts, statistics.calls, statistics.files) == (1, 9, 1800)
    assert (statistics.findings, statistics.skipped, statistics.crashes) == (1800, 0, 0)
    assert statistics.host_cpu_s > 0
    assert statistics.worker_cpu_s > 0
    assert statistics.wall_s > 0
    assert 5 << 20 < statistics.peak_memory < 200 << 20
    assert statistics.bytes_in == 1800 * len("a secret\n")


def test_peak_memory_is_the_workers_own_not_ours(machine: PluginMachine) -> None:
    ours = bytearray(b"x") * (300 << 20)
    with StaticWorker(machine.verified()) as worker:
        worker.analyze([text_file("a.py")])
    assert len(ours) > worker.statistics.peak_memory


def test_binary_files_come_as_bytes_by_the_manifests_patterns(machine: PluginMachine) -> None:
    plugin = (
        HEAD
        + """
import zipfile, io
class Plugin(Base):
    def analyze_binary(self, file_path, content):
        first = content.read(4)
        content.seek(-4, 2)
        last = content.read()
        content.seek(0)
        names = zipfile.ZipFile(content).namelist()
        yield claim(file_path, f"{first!r} {len(last)} {names}")
        try:
            content.seek(-(10**9), 2)
        except OSError as error:
            yield claim(file_path, type(error).__name__)
        try:
            content.write(b"x")
        except (OSError, io.UnsupportedOperation):
            yield claim(file_path, "read only")
"""
    )
    installed = machine.verified(plugin, more='file_patterns: ["*.PT", "*.pkl"]\n')
    data = wheel_bytes(files={"big": bytes(300_000)})
    with StaticWorker(installed) as worker:
        assert worker.wants(path("models/m.pt")) == "binary"
        assert worker.wants(path("a.py"), "python") is None
        result = worker.analyze([FileInput(path=path("models/m.pt"), data=data, kind="binary")])
        assert not result.failures
        messages = [found.message for found in result.findings[path("models/m.pt")]]
        assert messages[0].startswith("b'PK\\x03\\x04' 4 ['dep/__init__.py'")
        assert messages[1:] == ["OSError", "read only"]
        mapped = memoryview(data)
        again = worker.analyze([FileInput(path=path("n.pt"), data=mapped, kind="binary")])
        assert len(again.findings[path("n.pt")]) == 3


def test_a_plugin_gets_what_it_asks_for(machine: PluginMachine) -> None:
    every = StaticWorker(machine.verified())
    assert every.wants(path("a.txt")) == "text"
    python = StaticWorker(machine.verified(version="1.1.0", more="languages: [python]\n"))
    assert python.wants(path("a.py"), "python") == "text"
    assert python.wants(path("a.js"), "javascript") is None
    with StaticWorker(machine.verified(HEAD + "class Plugin(Base):\n    pass\n",
                                       version="1.2.0")) as idle:  # fmt: skip
        result = idle.analyze([text_file("a.py", "x")])
        assert result.findings == {}
        assert "it defines none of analyze_file" in result.failures[path("a.py")].reason
        assert idle.wants(path("a.py"), "python") is None
        assert idle.statistics.calls == 0


def test_exceptions_are_named_and_the_other_files_go_on(machine: PluginMachine) -> None:
    plugin = (
        HEAD
        + """
class Plugin(Base):
    def analyze_file(self, file_path, content):
        yield claim(file_path, "before")
        if "bad" in content:
            raise KeyError("deep \\x1b[31mdown \\ud800")
"""
    )
    with StaticWorker(machine.verified(plugin)) as worker:
        result = worker.analyze([text_file("a.py"), text_file("b.py", "bad"), text_file("c.py")])
    failure = result.failures[path("b.py")]
    assert failure.kind == "raised"
    assert failure.reason.startswith("it raised KeyError: ")
    assert "\x1b" not in failure.reason
    assert "main.py" in failure.output
    assert {str(p): len(found) for p, found in result.findings.items()} == {
        "a.py": 1, "b.py": 1, "c.py": 1,
    }  # fmt: skip
    assert worker.statistics.crashes == 0


CRASHES = (
    HEAD
    + """
import os
class Plugin(Base):
    def analyze_file(self, file_path, content):
        if "die" in content:
            print("last words")
            os._exit(7)
        yield claim(file_path, "fine")
"""
)


def test_a_crash_is_blamed_on_its_file_and_all_others_are_analysed(
    machine: PluginMachine,
) -> None:
    batch = [text_file(f"{n:02}.py", "die" if n in {13, 40} else "ok") for n in range(64)]
    with StaticWorker(machine.verified(CRASHES)) as worker:
        result = worker.analyze(batch)
        assert set(map(str, result.failures)) == {"13.py", "40.py"}
        failure = result.failures[path("13.py")]
        assert (failure.kind, failure.reason) == ("crashed", "it ended with exit code 7")
        assert "last words" in failure.output
        assert sum(map(len, result.findings.values())) == 62
        assert worker.statistics.crashes == 2
        assert not worker.disabled
        assert not worker.analyze([text_file("later.py", "ok")]).failures


def test_three_crashes_stop_the_plugin_for_the_run(machine: PluginMachine) -> None:
    with StaticWorker(machine.verified(CRASHES)) as worker:
        for number in range(3):
            worker.analyze([text_file(f"{number}.py", "die")])
        assert "after 3 crashes" in worker.disabled
        result = worker.analyze([text_file("a.py", "ok"), text_file("b.py", "ok")])
    assert {f.kind for f in result.failures.values()} == {"disabled"}
    assert worker.statistics.starts == 3
    assert worker.statistics.skipped == 5


def test_a_death_after_the_answer_is_not_overlooked(machine: PluginMachine) -> None:
    plugin = (
        HEAD
        + """
import os, threading
class Plugin(Base):
    def analyze_file(self, file_path, content):
        (self.folder / "big").write_bytes(bytes(2 << 20))
        return ()
    def start(self, context):
        self.folder = context.work_directory
"""
    )
    installed = machine.verified(plugin, more="limits: {scratch_mb: 1}\n")
    with StaticWorker(installed) as worker:
        result = worker.analyze([text_file("a.py")])
    assert result.failures[path("a.py")].kind in {"raised", "scratch"}


def test_a_late_message_is_a_violation_of_the_next_request(machine: PluginMachine) -> None:
    plugin = (
        HEAD
        + """
import os, stat, threading, time
class Plugin(Base):
    def analyze_file(self, file_path, content):
        def late():
            time.sleep(0.2)
            for number in range(3, 4096):
                try:
                    if stat.S_ISSOCK(os.fstat(number).st_mode):
                        os.write(number, b'\\0\\0\\0\\x23{"type":"result","id":1,"items":[]}')
                        return
                except OSError:
                    pass
        if content == "first":
            threading.Thread(target=late).start()
        return ()
"""
    )
    with StaticWorker(machine.verified(plugin)) as worker:
        assert not worker.analyze([text_file("a.py", "first")]).failures
        for number in range(200):  # until it has come, before a request or amid one
            result = worker.analyze([text_file(f"{number}.py", "later")])
            if result.failures:
                break
            time.sleep(0.02)
    (failure,) = result.failures.values()
    assert failure.kind == "protocol"


@pytest.mark.usefixtures("patient")
def test_the_total_time_ends_the_plugin_not_the_run(machine: PluginMachine) -> None:
    plugin = (
        HEAD
        + """
import time
class Plugin(Base):
    def analyze_file(self, file_path, content):
        time.sleep(0.5)
        return ()
"""
    )
    installed = machine.verified(plugin, more="limits: {wall_s_total: 2}\n")
    with StaticWorker(installed) as worker:
        result = worker.analyze([text_file(f"{n}.py") for n in range(10)])
        assert "for the whole run" in worker.disabled
    kinds = {failure.kind for failure in result.failures.values()}
    assert kinds <= {"total", "disabled"}
    assert len(result.failures) >= 6
    assert len(result.failures) + len(result.findings.keys() - result.failures.keys()) == 10


@pytest.mark.usefixtures("patient")
def test_a_slow_file_is_cancelled_and_the_worker_lives_on(machine: PluginMachine) -> None:
    plugin = (
        HEAD
        + """
import time
class Plugin(Base):
    count = 0
    def analyze_file(self, file_path, content):
        Plugin.count += 1
        if content == "slow":
            try:
                time.sleep(60)
            except Exception:
                pass
        yield claim(file_path, f"call {Plugin.count}")
"""
    )
    installed = machine.verified(plugin, more="limits: {wall_s_per_call: 3}\n")
    batch = [text_file("a.py"), text_file("b.py", "slow"), text_file("c.py"), text_file("d.py")]
    with StaticWorker(installed) as worker:
        result = worker.analyze(batch)
    assert set(result.failures) == {path("b.py")}
    assert result.failures[path("b.py")].reason == "it took longer than 3 s"
    assert result.findings[path("d.py")][0].message == "call 4"
    assert (worker.statistics.starts, worker.statistics.crashes) == (1, 0)


def test_a_project_is_analysed_as_a_whole(machine: PluginMachine) -> None:
    plugin = (
        HEAD
        + """
class Plugin(Base):
    def analyze_file(self, file_path, content):
        return ()
    def analyze_project(self, files):
        yield claim(files[1], f"one of {len(files)}",
                    Region(start_line=1, end_line=1, end_column=99))
"""
    )
    files = [path("a.py"), path("b.py")]
    with StaticWorker(machine.verified(plugin)) as worker:
        result = worker.analyze_project(files, lambda _: b"first line\nsecond\n")
        (found,) = result.findings[path("b.py")]
        assert (found.message, found.location.snippet) == ("one of 2", "first line")
        unread = worker.analyze_project(files)
        assert unread.failures[path(".")].kind == "invalid"


def test_configuration_reaches_the_plugin_and_its_refusal_the_user(
    machine: PluginMachine,
) -> None:
    plugin = (
        HEAD
        + """
class Plugin(Base):
    def start(self, context):
        if "word" not in context.config:
            raise ConfigError("word is missing")
        self.word = context.config["word"]
    def analyze_file(self, file_path, content):
        yield claim(file_path, self.word)
"""
    )
    installed = machine.verified(plugin)
    with StaticWorker(installed, config={"word": "hello"}) as worker:
        result = worker.analyze([text_file("a.py")])
        assert result.findings[path("a.py")][0].message == "hello"
    with (
        pytest.raises(ConfigError, match="acme/sample: word is missing"),
        StaticWorker(installed) as worker,
    ):
        worker.start()
    for bad in ({"a": float("nan")}, {"a": object()}):
        with pytest.raises(ConfigError, match="plain values"):
            StaticWorker(installed, config=bad)


def test_dependencies_are_found_behind_the_standard_library(
    machine: PluginMachine, tmp_path: Path
) -> None:
    wheel = tmp_path / "dep-1.0-py3-none-any.whl"
    wheel.write_bytes(wheel_bytes(files={"dep/__init__.py": b"VALUE = 41\n", "json.py": b"1/0\n"}))
    plugin = (
        HEAD
        + """
import json
import dep
class Plugin(Base):
    def analyze_file(self, file_path, content):
        yield claim(file_path, f"{dep.VALUE + 1} {json.dumps([1])}")
"""
    )
    with StaticWorker(machine.verified(plugin, wheels=[wheel])) as worker:
        result = worker.analyze([text_file("a.py")])
    assert not result.failures
    assert result.findings[path("a.py")][0].message == "42 [1]"


def test_our_own_packages_are_not_there_for_a_plugin(machine: PluginMachine) -> None:
    plugin = (
        HEAD
        + """
import importlib
def can(name):
    try:
        importlib.import_module(name)
        return True
    except ImportError:
        return False
class Plugin(Base):
    def analyze_file(self, file_path, content):
        names = ("tavo.cli", "tavo.errors", "tavo.host.workers", "signing", "msgspec")
        yield claim(file_path, str([n for n in names if can(n)]))
"""
    )
    with StaticWorker(machine.verified(plugin)) as worker:
        result = worker.analyze([text_file("a.py")])
    assert result.findings[path("a.py")][0].message == "[]"


def test_secrets_of_our_environment_are_not_there_for_a_plugin(
    machine: PluginMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tavo.host import live_worker

    plugin = (
        HEAD
        + """
import os
class Plugin(Base):
    def analyze_file(self, file_path, content):
        yield claim(file_path, os.environ.get("API_KEY", "none"))
"""
    )
    monkeypatch.setenv("API_KEY", "sk-123")
    installed = machine.verified(plugin)
    with StaticWorker(installed) as worker:
        result = worker.analyze([text_file("a.py")])
    assert result.findings[path("a.py")][0].message == "none"
    monkeypatch.setattr(
        live_worker, "environment", lambda *_, **__: dict(os.environ)
    )  # the control
    with StaticWorker(installed) as worker:
        result = worker.analyze([text_file("a.py")])
    assert result.findings[path("a.py")][0].message == "sk-123"


@pytest.mark.parametrize("kind", ["dynamic", "proxy", "log"])
def test_a_plugin_of_another_type_is_not_run_as_a_static_one(
    kind: str, machine: PluginMachine
) -> None:
    accepted = machine.accepted(files={"plugin.yaml": MANIFEST.format(kind)})
    installed = machine.installations.install(accepted, {}, {})
    machine.grant(accepted)
    with pytest.raises(NotAvailableError, match=f"is a {kind} plugin, not a static one"):
        StaticWorker(machine.installations.verify(installed))


MANIFEST = """\
api: 1
id: sample
publisher: acme
name: Sample
version: 1.0.0
plugin_type: {}
entry_point: main:Plugin
description: One.
author: Tests
license: Apache-2.0
"""


def test_without_accepted_permissions_nothing_runs(machine: PluginMachine) -> None:
    installed = machine.installations.install(machine.accepted(), {}, {})
    with pytest.raises(RefusedError, match="waits for your acceptance"):
        StaticWorker(machine.installations.verify(installed))


def test_a_need_above_what_is_built_is_refused(
    machine: PluginMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hosted, "strongest_here", lambda: SandboxLevel.STANDARD)
    installed = machine.verified()
    policy = LevelPolicy(required=SandboxLevel.STRONG)
    with (
        pytest.raises(SandboxUnavailableError, match="needs sandbox level L3"),
        StaticWorker(installed, policy=policy) as worker,
    ):
        worker.start()
    assert worker.statistics.starts == 0


def test_an_accepted_lower_level_is_used_only_where_the_higher_one_fails(
    machine: PluginMachine,
) -> None:
    policy = LevelPolicy(accepted={"acme/sample": SandboxLevel.NONE})
    with StaticWorker(machine.verified(), policy=policy) as worker:
        worker.start()
        assert worker.level is SandboxLevel.STANDARD


def test_a_batch_with_a_path_twice_is_a_mistake_of_the_caller(machine: PluginMachine) -> None:
    with StaticWorker(machine.verified()) as worker, pytest.raises(ValueError, match="twice"):
        worker.analyze([text_file("a.py"), text_file("a.py")])
    with pytest.raises(ValueError, match="not relative"):
        text_file("/etc/passwd")


def test_awkward_names_and_contents_pass_through(machine: PluginMachine) -> None:
    names = ["sp ace.py", 'quo"te.py', "ünï.py", "line\nbreak.py", "half\udc80.py"]
    batch = [text_file(name, "secret \u2028 \x0c \r\n") for name in names]
    with StaticWorker(machine.verified()) as worker:
        result = worker.analyze([*batch, text_file("empty.py", "")])
    assert not result.failures
    assert [str(p) for p, found in result.findings.items() if found] == names


@pytest.mark.parametrize("kind", ["cancelled", "not_run", "output", "raised"])
def test_a_project_that_was_not_looked_at_never_looks_clean(
    machine: PluginMachine, kind: str
) -> None:
    main = (
        HEAD
        + f"""
import json, os, stat
class Plugin(Base):
    def analyze_project(self, paths):
        channel = next(n for n in range(3, 64) if self.is_socket(n))
        error = {{"kind": "{kind}", "message": "m"}}
        item = {{"n": 0, "findings": [], "error": error, "capped": False}}
        body = json.dumps({{"type": "result", "id": 1, "items": [item]}}).encode()
        os.write(channel, len(body).to_bytes(4, "big") + body)
        os.read(channel, 1 << 16)
    def is_socket(self, n):
        try:
            return stat.S_ISSOCK(os.fstat(n).st_mode)
        except OSError:
            return False
"""
    )
    with StaticWorker(machine.verified(main)) as worker:
        result = worker.analyze_project([path("a.py")])
    (failure,) = result.failures.values()
    assert failure.kind in {"raised", "output"}
