"""Each layer of the sandbox taken away by the kernel: no plugin code is read then.

The faults are real: a filter on the test's own process refuses a system call, or answers it with
success and does nothing. The control runs the same plugin on the same kernel for a user who
accepted less, and there its code runs.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from tavo.host.sandbox.levels import SandboxLevel, strongest_here
from tests.fakes.kernel import python

pytestmark = pytest.mark.skipif(
    strongest_here() < SandboxLevel.STANDARD or os.uname().machine != "x86_64",
    reason="the faults are written for Linux on x86_64",
)

EPERM, ENOSYS, EINVAL, PRETEND = 1, 38, 22, 0

FAULTS = {
    "no landlock in the kernel": (("landlock_create_ruleset", ENOSYS), "landlock"),
    "landlock not in a container's profile": (("landlock_create_ruleset", EPERM), "landlock"),
    "landlock takes no rules": (("landlock_add_rule", EPERM), "landlock"),
    "landlock is not applied": (("landlock_restrict_self", EPERM), "landlock"),
    "landlock pretends": (("landlock_restrict_self", PRETEND), "landlock"),
    "no seccomp": (("prctl", EINVAL, (0, 22)), "seccomp"),
    "seccomp pretends": (("prctl", PRETEND, (0, 22)), "seccomp"),
    "no_new_privs is refused": (("prctl", EPERM, (0, 38)), "no_new_privs"),
    "no_new_privs pretends": (("prctl", EINVAL, (0, 39)), "no_new_privs"),
    "no signal when the host ends": (("prctl", EPERM, (0, 1)), "parent"),
    "the signal when the host ends pretends": (("prctl", PRETEND, (0, 1)), "parent"),
    "capabilities stay": (("capset", EPERM), "capabilities"),
    "limits are refused": (("prlimit64", EPERM, (-1, 0)), "limits"),
    "limits pretend": (("prlimit64", PRETEND, (-1, 0)), "limits"),
}  # fmt: skip

# Here there is no zygote: it dies with the host as well, and descriptors cannot be sent to it.
WITHOUT_ZYGOTE = (("prctl", EPERM, (0, 1)), ("prctl", PRETEND, (0, 1)), ("sendmsg", EPERM))

# The plugin says in three ways that its code was read: a file, a packet, its rules.
PLUGIN = """\
import socket
from tavo.plugins import Rule, Severity, StaticAnalysisPlugin
try:
    open({marker!r}, "w").close()
except OSError:
    pass
try:
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"read", ("127.0.0.1", {port}))
except OSError:
    pass
class Plugin(StaticAnalysisPlugin):
    rules = (Rule(id="word", title="Loaded", severity=Severity.HIGH),)
    def analyze_file(self, file_path, content):
        return ()
"""

RUN = """
import json, sys
from pathlib import Path
from tavo.host import workers
from tavo.host.sandbox.levels import LevelPolicy, SandboxLevel, SandboxUnavailableError
from tavo.host.zygotes import ZYGOTES
from tests.fakes.kernel import refuse
from tests.fakes.plugins import PluginMachine, text_file

asked = json.loads(sys.argv[1])
machine = PluginMachine(Path(asked["folder"]))
installed = machine.verified(asked["plugin"], more=asked["more"])
fault = asked["fault"]
refuse(fault[0], fault[1], argument=tuple(fault[2]) if len(fault) > 2 else None)
policy = LevelPolicy(
    required=SandboxLevel(asked["required"]),
    accepted={"acme/sample": SandboxLevel(asked["lowest"])},
)
ZYGOTES.expect(asked["expected"])
worker = workers.StaticWorker(installed, policy=policy)
try:
    with worker:
        worker.analyze([text_file("a.py", "one")])
    answer = {"rules": list(worker.rules), "disabled": worker.disabled, "level": worker.level}
except SandboxUnavailableError as error:
    answer = {"refused": error.layer, "message": str(error), "hint": error.hint}
zygotes = len(ZYGOTES._known) - len(ZYGOTES._useless)
print(json.dumps({**answer, "starts": worker.statistics.starts, "zygotes": zygotes}))
"""


def run(
    tmp_path: Path,
    fault: tuple[object, ...],
    lowest: SandboxLevel,
    required: SandboxLevel = SandboxLevel.STANDARD,
    more: str = "",
    start: str = "alone",
) -> tuple[dict[str, object], bool]:
    """Return what the host says, and whether plugin code has left a trace."""
    marker = tmp_path / "marker"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.setblocking(False)
        plugin = PLUGIN.format(marker=str(marker), port=listener.getsockname()[1])
        asked = {
            "folder": str(tmp_path / "machine"), "plugin": plugin, "fault": fault,
            "lowest": int(lowest), "required": int(required), "more": more,
            "expected": 1000 if start == "forked" else 0,
        }  # fmt: skip
        done = python(RUN, json.dumps(asked))
        assert done.returncode == 0, done.stderr
        try:
            read = bool(listener.recv(10))
        except BlockingIOError:
            read = False
    answer = json.loads(done.stdout)
    if start == "forked":
        assert answer["zygotes"] == (0 if fault in WITHOUT_ZYGOTE else 1)
    return answer, read or marker.exists()


@pytest.mark.parametrize("fault", FAULTS)
def test_without_a_layer_no_plugin_code_is_read(fault: str, tmp_path: Path, start: str) -> None:
    call, layer = FAULTS[fault]
    answer, was_read = run(tmp_path, call, SandboxLevel.STANDARD, start=start)
    assert answer.get("refused") == layer, answer
    assert "TAVO_ACCEPT_SANDBOX=L1:acme/sample" in str(answer["hint"])
    assert answer["starts"] == 1
    assert not was_read


@pytest.mark.parametrize("fault", ["no landlock in the kernel", "no seccomp"])
def test_the_same_plugin_runs_where_the_user_accepted_less(
    fault: str, tmp_path: Path, start: str
) -> None:
    answer, was_read = run(tmp_path, FAULTS[fault][0], SandboxLevel.LIMITS, start=start)
    assert answer["rules"] == ["word"], answer
    assert answer["level"] == SandboxLevel.LIMITS
    assert was_read


def test_with_all_layers_the_plugin_runs_and_leaves_no_trace(tmp_path: Path) -> None:
    answer, was_read = run(tmp_path, ("kill", EPERM, (0, 999_999_999)), SandboxLevel.STANDARD)
    assert answer["rules"] == ["word"], answer
    assert answer["level"] == SandboxLevel.STANDARD
    assert not was_read
