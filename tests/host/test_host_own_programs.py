"""Programs that come with a plugin: found in its wheels, and locked up as the plugin is.

The program is a copy of the Python that runs the tests, so that what it tries is written here. The
control runs the same for a user who accepted no sandbox, and there every attack works.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import stat
import struct
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from marketplace_db.errors import PackageError
from marketplace_db.manifest import Limits
from signing.digests import Digest
from tavo.errors import RefusedError
from tavo.host.lending import LendError
from tavo.host.own_programs import OwnProgramLender
from tavo.host.sandbox import seccomp
from tavo.host.sandbox.levels import LevelPolicy, SandboxLevel, strongest_here
from tavo.host.sandbox.syscalls import ARCHITECTURES, numbers_for
from tavo.host.stopping import Stopper
from tavo.host.store_files import find_programs
from tavo.host.workers import StaticWorker
from tests.fakes.kernel import python
from tests.fakes.operator_market import wheel_bytes
from tests.fakes.plugins import PluginMachine, text_file

pytestmark = pytest.mark.skipif(
    strongest_here() < SandboxLevel.STANDARD, reason="needs the sandbox of Linux"
)

WHEEL = f"dep-1.0-py3-none-linux_{os.uname().machine}.whl"
PLACE = "dep-1.0.data/scripts/tool"
ASKS = "programs: [tool]\npermissions: {native_code: true}\n"
LEVELS = [SandboxLevel.STANDARD, SandboxLevel.STRONG]

# What a program tries, one after the other; how each try went is all that it prints.
TRIES = """
import errno, json, os, socket, sys
outside, scratch = sys.argv[1], os.environ["HOME"]
def outcome(act):
    try:
        said = act()
        return said if isinstance(said, str) else "worked"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
def fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
def write(path):
    with open(path, "w") as stream:
        stream.write("x")
print(json.dumps({
    "given": outcome(lambda: open("a/given.txt").read()),
    "scratch": outcome(lambda: write(scratch + "/x")),
    "temporary": str(os.environ["TMPDIR"] == scratch),
    "variables": str("API_KEY" in os.environ),
    "secret": outcome(lambda: open(outside + "/secret").read()),
    "write": outcome(lambda: write(outside + "/written")),
    "change what was given": outcome(lambda: write("a/given.txt")),
    "list": outcome(lambda: str(len(os.listdir(outside)))),
    "socket": outcome(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()),
    "fork": outcome(fork),
    "signal": outcome(lambda: os.kill(os.getppid(), 0)),
}), flush=True)
print(outcome(lambda: os.execv(outside + "/other", ["other", "-ISc", "print('became')"])))
"""
REFUSED = {
    SandboxLevel.STANDARD: {
        "secret": "EACCES", "write": "EACCES", "change what was given": "EACCES", "list": "EACCES",
    },
    SandboxLevel.STRONG: {
        "secret": "ENOENT", "write": "ENOENT", "change what was given": "EROFS", "list": "ENOENT",
    },
}  # fmt: skip


def interpreter_file() -> Path:
    return Path(os.path.realpath(sys.executable))


@pytest.fixture
def tool(tmp_path: Path) -> Path:
    path = tmp_path / "wheels" / "tool"
    path.parent.mkdir()
    shutil.copy(interpreter_file(), path)
    path.chmod(0o555)
    return path


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text("worked")
    shutil.copy(interpreter_file(), folder / "other")
    monkeypatch.setenv("API_KEY", "sk-123")
    return folder


def lender_for(
    tool: Path,
    level: SandboxLevel = SandboxLevel.STANDARD,
    stopper: Stopper | None = None,
    **limits: Any,
) -> OwnProgramLender:
    lender = OwnProgramLender(
        {"tool": tool}, python=Path(sys.executable), readable=[tool.parent],
        limits=Limits(**{"threads": 4, "scratch_mb": 4, **limits}), stopper=stopper or Stopper(),
    )  # fmt: skip
    lender.level = level
    return lender


def run(lender: OwnProgramLender, code: str, *more: str, **changed: Any) -> dict[str, Any]:
    asked = {
        "program": "tool", "arguments": ["-I", "-S", "-c", code, *more], "stdin": "", "files": {},
        "timeout_s": 30,
    }  # fmt: skip
    return lender.lend("run", asked | changed)


def out(answer: dict[str, Any]) -> str:
    return base64.b64decode(answer["out"]).decode()


def tried(tool: Path, level: SandboxLevel, outside: Path) -> tuple[dict[str, str], str]:
    given = base64.b64encode(b"given").decode()
    answer = run(lender_for(tool, level), TRIES, str(outside), files={"a/given.txt": given})
    assert answer["errors"] == ""
    first, second = out(answer).splitlines()
    return json.loads(first), second


@pytest.mark.parametrize("level", LEVELS)
def test_a_program_has_what_it_was_given_and_nothing_else(
    level: SandboxLevel, tool: Path, outside: Path
) -> None:
    found, became = tried(tool, level, outside)
    assert found == {
        "given": "given", "scratch": "worked", "temporary": "True", "variables": "False",
        "socket": "EPERM", "fork": "EPERM", "signal": "EPERM", **REFUSED[level],
    }  # fmt: skip
    assert became == REFUSED[level]["secret"]
    assert not (outside / "written").exists()


def test_control_without_the_sandbox_all_of_it_works(tool: Path, outside: Path) -> None:
    found, became = tried(tool, SandboxLevel.NONE, outside)
    assert {found[name] for name in ("secret", "write", "socket", "fork", "signal")} == {"worked"}
    assert found["change what was given"] == "worked"
    assert became == "became"
    assert (outside / "written").read_text() == "x"


@pytest.mark.parametrize("machine", sorted(ARCHITECTURES))
def test_the_filter_of_a_program_is_a_workers_and_one_call_more(machine: str) -> None:
    numbers = numbers_for(machine)
    worker = seccomp.assemble(machine, pid=7, truncate=True)
    program = seccomp.assemble(machine, pid=7, truncate=True, becomes=True)
    arguments = [(0,) * 6, (7,) * 6, (1, 1, 0, 0, 0, 0), (0x10000,) + (0,) * 5, (2, 2, 0, 1, 1, 0)]
    differ = {
        number
        for number in range(600)
        for given in arguments
        if answer_of(worker, machine, number, given) != answer_of(program, machine, number, given)
    }
    assert differ == {numbers["execve"]}
    assert answer_of(program, machine, numbers["execve"], (0,) * 6) == ALLOW
    # the filter can tell calls apart at all
    assert answer_of(program, machine, numbers["read"], (0,) * 6) == ALLOW
    assert answer_of(program, machine, numbers["connect"], (0,) * 6) != ALLOW


ALLOW = 0x7FFF0000


def answer_of(filter_: bytes, machine: str, number: int, arguments: tuple[int, ...]) -> int:
    """Run a filter as the kernel does; return what it answers for a call."""
    data = struct.pack("<IIQ6Q", number, ARCHITECTURES[machine][0], 0, *arguments)
    lines = list(struct.iter_unpack("=HBBI", filter_))
    at = value = 0
    while True:
        code, yes, no, constant = lines[at]
        at += 1
        if code == 0x20:
            (value,) = struct.unpack_from("<I", data, constant)
        elif code == 0x54:
            value &= constant
        elif code in {0x15, 0x25}:
            holds = value == constant if code == 0x15 else value > constant
            at += yes if holds else no
        else:
            assert code == 0x06
            return int(constant)


@pytest.mark.parametrize("level", LEVELS)
def test_a_layer_that_does_not_hold_starts_nothing(level: SandboxLevel, tool: Path) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("the faults are written for x86_64")
    for call, answer, argument, layer in (
        ("landlock_restrict_self", 0, None, "landlock"),
        ("prctl", 22, (0, 22), "seccomp"),
        ("prctl", 1, (0, 38), "no_new_privs"),
        ("unshare", 1, None, "namespaces"),
    ):
        done = python(FAULT, str(int(level)), str(tool), json.dumps([call, answer, argument]))
        if layer == "namespaces" and level is SandboxLevel.STANDARD:
            assert done.stdout == "ran\n", done.stderr  # it needs none
            continue
        expected = f"tool: is not started: the layer {layer} of the sandbox cannot be had here:"
        assert done.stdout.startswith(expected), (call, done.stdout, done.stderr)


FAULT = """
import base64, json, sys
from pathlib import Path
from tavo.host.lending import LendError
from tavo.host.sandbox.levels import SandboxLevel
from tests.fakes.kernel import refuse
from tests.host.test_host_own_programs import lender_for, out, run
level, tool, (call, answer, argument) = int(sys.argv[1]), sys.argv[2], json.loads(sys.argv[3])
lender = lender_for(Path(tool), SandboxLevel(level))
refuse(call, answer, argument=tuple(argument) if argument else None)
try:
    print(out(run(lender, "print('ran')")), end="")
except LendError as error:
    print(error)
"""


@pytest.mark.parametrize(
    ("code", "changed", "reason"),
    [
        ("import time; time.sleep(60)", {"timeout_s": 1}, "it took longer than 1 s"),
        ("import os\nwhile True: os.write(1, bytes(65536))", {}, "it printed more than 8 MB"),
        ("open(__import__('os').environ['HOME'] + '/x', 'wb').write(bytes(5 << 20))", {},
         r"it was ended by SIGXFSZ because a file became larger than its folder may be"),
        ("import os, time\nfor n in range(9):\n"
         "    open(f\"{os.environ['HOME']}/{n}\", 'wb').write(bytes(1 << 20))\ntime.sleep(60)", {},
         r"it filled its folder with \d+ bytes in 9 files, 4 MB allowed"),
        ("import threading, time\nfor n in range(8):\n"
         "    threading.Thread(target=time.sleep, args=(60,)).start()", {},
         "it started 9 threads, 4 allowed"),
        ("import os; os.kill(os.getpid(), 9)", {}, "it was ended by SIGKILL"),
        ("import ctypes; ctypes.string_at(0)", {}, "it was ended by SIGSEGV"),
    ],
)  # fmt: skip
def test_what_it_uses_is_bounded_and_its_end_is_told(
    code: str, changed: dict[str, Any], reason: str, tool: Path
) -> None:
    restored = "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
    with pytest.raises(LendError, match=f"tool: {reason}"):
        run(lender_for(tool), restored + code, **changed)


def test_memory_is_bounded_by_the_kernel(tool: Path) -> None:
    answer = run(lender_for(tool, memory_mb=64), "x = bytes(1 << 30)")
    assert answer["code"] == 1
    assert "MemoryError" in answer["errors"]


def test_the_end_of_the_run_ends_it(tool: Path) -> None:
    stopper = Stopper()
    threading.Timer(0.5, stopper.stop).start()
    with pytest.raises(LendError, match="it was stopped with the run"):
        run(lender_for(tool, stopper=stopper), "import time; time.sleep(60)")


def test_nothing_is_left_behind(
    tool: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    lender = lender_for(tool)
    assert run(lender, "print(1)")["code"] == 0
    with pytest.raises(LendError):
        run(lender, "import time; time.sleep(60)", timeout_s=1)
    assert list(folder.iterdir()) == []


def test_a_file_that_is_no_program_of_this_machine_is_named(tool: Path, tmp_path: Path) -> None:
    broken = tmp_path / "wheels" / "broken"
    broken.write_bytes(b"\x7fELF\x02\x01")
    broken.chmod(0o555)
    with pytest.raises(LendError, match=r"tool: does not start: .*Exec format error"):
        run(lender_for(broken), "")
    broken.chmod(0o444)
    with pytest.raises(LendError, match="is in a place where nothing may be executed"):
        run(lender_for(broken), "")


def test_other_names_are_for_the_lender_behind_it(tool: Path) -> None:
    lender = lender_for(tool)
    with pytest.raises(LendError, match=r"'cat' is not declared in plugin\.yaml"):
        run(lender, "", program="cat")
    with pytest.raises(LendError, match="read is not lent to this plugin"):
        lender.lend("read", {"path": "x"})
    behind = lender_for(tool)
    lender = OwnProgramLender(
        {}, python=Path(sys.executable), readable=[], limits=Limits(), stopper=Stopper(),
        behind=behind,
    )  # fmt: skip
    assert out(run(lender, "print('behind')")) == "behind\n"


def test_it_may_be_called_otherwise_and_get_variables(tool: Path) -> None:
    show = "import os; print(open('a').read(), os.environ['CERTIFICATE'], os.environ['TZ'])"
    answer = run(
        lender_for(tool), show, files={"a": base64.b64encode(b"x").decode()},
        variables={"CERTIFICATE": "c.pem", "TZ": "Asia/Tokyo"},
    )  # fmt: skip
    assert out(answer) == "x c.pem Asia/Tokyo\n"
    answer = run(lender_for(tool), "import sys; print(sys.orig_argv[0])", called="other")
    assert out(answer) == "other\n"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"called": "a/b"}, "called is no plain name of a program"),
        ({"called": 3}, "called is no plain name of a program"),
        ({"variables": ["A"]}, "the variables are no table of at most 32"),
        ({"variables": {str(n): "" for n in range(33)}}, "no table of at most 32"),
        ({"variables": {"A=B": ""}}, "a name of the variables cannot be that of one"),
        ({"variables": {"A": "x\0y"}}, "the variable A is no text that can be handed over"),
        ({"variables": {"A": 1}}, "the variable A is no text that can be handed over"),
        ({"variables": {"A": "x" * 1001}}, "the variable A is no text that can be handed over"),
        ({"files": {"../x": ""}}, "is not a plain relative path"),
        ({"arguments": "x"}, "the arguments are no list"),
    ],
)
def test_what_cannot_be_run_is_refused(changed: dict[str, Any], reason: str, tool: Path) -> None:
    with pytest.raises(LendError, match=reason):
        run(lender_for(tool), "", **changed)


def test_all_runs_share_one_allowance(tool: Path) -> None:
    lender = lender_for(tool, wall_s_total=1)
    with pytest.raises(LendError, match="it took longer than 1 s"):
        run(lender, "import time; time.sleep(60)")
    with pytest.raises(LendError, match="as often and as long as a run allows"):
        run(lender, "")


def test_nothing_runs_before_the_plugin_is_locked_up(tool: Path) -> None:
    lender = lender_for(tool)
    lender.level = None
    with pytest.raises(LendError, match="its plugin is not locked up yet"):
        run(lender, "print('ran')")


# --- installed ------------------------------------------------------------------------------------

PLUGIN = """\
from tavo.plugins import Finding, Location, PluginError, Rule, Severity, StaticAnalysisPlugin


class Plugin(StaticAnalysisPlugin):
    rules = (Rule(id="word", title="A word", severity=Severity.LOW),)

    def start(self, context):
        self.context = context

    def analyze_file(self, file_path, content):
        try:
            done = self.context.run("tool", ["-I", "-S", "-c", content])
            said = done.text.strip() or done.errors
        except PluginError as error:
            said = f"{type(error).__name__}: {error}"
        yield Finding(rule_id="word", message=said, severity=Severity.LOW,
                      location=Location(path=file_path))
"""


def wheel(folder: Path, *more: str, content: bytes | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / WHEEL
    data = interpreter_file().read_bytes() if content is None else content
    path.write_bytes(wheel_bytes(files=dict.fromkeys(more or (PLACE,), data)))
    return path


@pytest.fixture
def machine(tmp_path: Path) -> PluginMachine:
    return PluginMachine(tmp_path / "machine")


def said(machine: PluginMachine, code: str, tmp_path: Path, policy: LevelPolicy) -> str:
    installed = machine.verified(PLUGIN, more=ASKS, wheels=[wheel(tmp_path / "made")])
    with StaticWorker(installed, policy=policy) as worker:
        result = worker.analyze([text_file("a.txt", code)])
    assert result.failures == {}
    return next(iter(result.findings.values()))[0].message


@pytest.mark.parametrize("level", [*LEVELS, SandboxLevel.NONE])
def test_a_plugin_runs_its_program_at_its_own_level(
    level: SandboxLevel, machine: PluginMachine, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("read")
    policy = LevelPolicy(required=level)
    code = f"""
try:
    print(open({str(tmp_path / "secret")!r}).read())
except OSError as error:
    print(type(error).__name__)
"""
    expected = {2: "PermissionError", 3: "FileNotFoundError", 0: "read"}
    assert said(machine, code, tmp_path, policy) == expected[level]


def test_only_the_program_may_be_executed(machine: PluginMachine, tmp_path: Path) -> None:
    made = wheel(tmp_path / "made", PLACE, "dep/bin/another", "dep/tool.txt")
    folder = machine.verified(PLUGIN, more=ASKS, wheels=[made]).installation.folder
    modes = {
        path.relative_to(folder).as_posix(): stat.S_IMODE(path.stat().st_mode)
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert {name for name, mode in modes.items() if mode & 0o111} == {f"deps/{PLACE}"}
    assert not any(mode & 0o222 for mode in modes.values())


@pytest.mark.parametrize(
    ("places", "sentence"),
    [
        (("dep/bin/other",), "no wheel of its lock for this system holds a compiled file of that"),
        ((PLACE, "dep/bin/tool"), "its wheels bring two programs called tool"),
    ],
)
def test_a_program_that_is_not_there_is_refused_at_the_installation(
    places: tuple[str, ...], sentence: str, machine: PluginMachine, tmp_path: Path
) -> None:
    with pytest.raises(RefusedError, match=sentence):
        machine.install(PLUGIN, more=ASKS, wheels=[wheel(tmp_path / "made", *places)])
    assert machine.installations.list() == []


def test_a_script_of_that_name_is_none(machine: PluginMachine, tmp_path: Path) -> None:
    """A wheel's scripts run Python with the user's rights; a text beside libraries is data."""
    text = b"#!/bin/sh\necho run\n"
    with pytest.raises(PackageError, match="is a script, which would be installed outside"):
        machine.install(PLUGIN, more=ASKS, wheels=[wheel(tmp_path / "made", content=text)])
    (tmp_path / "deps").mkdir()
    (tmp_path / "deps" / "tool").write_bytes(text)
    with pytest.raises(RefusedError, match="no wheel of its lock"):
        find_programs(tmp_path, ["deps/tool"], ["tool"], label="acme/sample")


def test_a_plugin_brings_no_program_outside_of_its_wheels(
    machine: PluginMachine, tmp_path: Path
) -> None:
    """What lies in the package itself is no program, whatever it is called."""
    (tmp_path / "plugin").mkdir()
    (tmp_path / "plugin" / "tool").write_bytes(interpreter_file().read_bytes())
    with pytest.raises(RefusedError, match="no wheel of its lock"):
        find_programs(tmp_path, ["plugin/tool"], ["tool"], label="acme/sample")


def test_a_changed_program_is_not_run(machine: PluginMachine, tmp_path: Path) -> None:
    one = machine.install(PLUGIN, more=ASKS, wheels=[wheel(tmp_path / "made")])
    program = one.folder / "deps" / PLACE
    program.chmod(0o755)
    program.write_bytes(program.read_bytes() + b"changed")
    with pytest.raises(RefusedError, match="has been changed"):
        machine.installations.verify(one)


def test_it_dies_with_the_host(tool: Path, tmp_path: Path) -> None:
    done = python(DIES, str(tool), str(tmp_path / "ready"))
    number = int(done.stdout)
    for _ in range(600):
        if not Path(f"/proc/{number}").exists() or _is_zombie(number):
            break
        threading.Event().wait(0.05)
    else:
        os.kill(number, signal.SIGKILL)
        pytest.fail("the program outlived the host")


def _is_zombie(number: int) -> bool:
    try:
        return b") Z" in Path(f"/proc/{number}/stat").read_bytes()
    except OSError:
        return True


DIES = """
import os, sys, threading, time
from pathlib import Path
from tavo.host import own_programs
from tavo.host.stopping import Stopper
from tests.host.test_host_own_programs import lender_for, run
lender = lender_for(Path(sys.argv[1]))
watched = lender._watched
def noted(pid, scratch, stop):
    print(pid, flush=True)
    threading.Timer(0.2, os._exit, (0,)).start()
    return watched(pid, scratch, stop)
lender._watched = noted
run(lender, "import time; time.sleep(60)")
"""


def test_the_wheel_of_a_program_is_checked_like_others(tmp_path: Path) -> None:
    from marketplace_db.wheel import unpack_wheel

    data = wheel_bytes(files={PLACE: b"\x7fELF\x02\x01"})
    pure = tmp_path / "dep-1.0-py3-none-any.whl"
    pure.write_bytes(data)
    with pytest.raises(PackageError, match="but the wheel's name promises there is none"):
        unpack_wheel(pure, Digest.of(data), tmp_path / "out")
