"""What a plugin sees at the strongest level: its own files, its scratch, and nothing else.

Each question is asked at L2 as well, where its answer shows that there was something to see.
"""

from __future__ import annotations

import ast
import os
import socket
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import pytest

from tavo.host.local import open_local
from tavo.host.probe import probe
from tavo.host.sandbox.levels import LevelPolicy, SandboxLevel
from tavo.host.workers import StaticWorker
from tests.fakes.operator_market import plugin_folder
from tests.fakes.plugins import WORD, PluginMachine, text_file
from tests.fakes.unprivileged import needs_root, run_tests

pytestmark = [
    pytest.mark.skipif(probe().level < SandboxLevel.STRONG, reason="this machine does not give L3"),
    pytest.mark.usefixtures("start"),
]

STRONG = LevelPolicy(required=SandboxLevel.STRONG)
STANDARD = LevelPolicy(required=SandboxLevel.STANDARD)

# Answers each file, an expression, with the repr of its value or the name of the error.
ANSWERS = """\
import ctypes, errno, os, socket, stat, sys
from pathlib import Path
from tavo.plugins import *
libc = ctypes.CDLL(None, use_errno=True)
class Plugin(StaticAnalysisPlugin):
    rules = (Rule(id="r", title="R", severity=Severity.LOW),)
    def start(self, context):
        self.names = {**globals(), "folder": context.work_directory}
    def analyze_file(self, file_path, content):
        try:
            answer = repr(eval(content, self.names))
        except OSError as error:
            answer = repr(errno.errorcode[error.errno])
        yield Finding(rule_id="r", message="=" + answer, severity=Severity.LOW,
                      location=Location(path=file_path))
"""


def answers(
    tmp_path: Path, questions: dict[str, str], policy: LevelPolicy = STRONG, **options: Any
) -> dict[str, Any]:
    """Have a plugin evaluate the expressions; return their values by name."""
    installed = PluginMachine(tmp_path / f"m{policy.required}").verified(
        ANSWERS, more="limits: {scratch_mb: 4, cpu_s_per_file: 20}\n"
    )
    with StaticWorker(installed, policy=policy, **options) as worker:
        result = worker.analyze([text_file(name, text) for name, text in questions.items()])
        assert worker.disabled == ""
        assert worker.level is policy.required
    installed.close()
    assert not result.failures
    return {
        str(path): ast.literal_eval(found[0].message[1:]) for path, found in result.findings.items()
    }


def test_files_of_the_machine_do_not_exist_in_the_sandbox(tmp_path: Path) -> None:
    home = tmp_path / "home" / ".ssh"
    home.mkdir(parents=True)
    (home / "id_rsa").write_text("secret")
    project = tmp_path / "app.py"
    project.write_text("print()")
    paths = [
        str(home / "id_rsa"), str(project), "/etc/passwd", "/etc/hostname", "/proc/self/maps",
        "/proc/1/environ", "/sys/kernel", "/dev/shm", "/dev/pts", "/dev/tty", "/run", "/var",
    ]  # fmt: skip
    questions = {path.strip("/"): f"os.lstat({path!r}).st_size" for path in paths}
    assert set(answers(tmp_path, questions).values()) == {"ENOENT"}
    control = answers(tmp_path, questions, STANDARD)
    assert control[str(project).strip("/")] == len("print()")
    assert control["etc/passwd"] == Path("/etc/passwd").stat().st_size


def test_other_plugins_and_private_copies_do_not_exist_in_the_sandbox(tmp_path: Path) -> None:
    """A local plugin sees its own copy below the temporary folder, and nothing beside it."""
    folder = plugin_folder(tmp_path / "mine", files={"main.py": WORD})
    with open_local(folder) as local:
        other = local.plugin_folder
        questions = {
            "other": f"os.stat({str(other)!r}).st_size",
            "beside": f"os.path.exists({str(other.parent.parent)!r})",
            "temporary": "os.path.exists(folder)",
        }
        assert answers(tmp_path, questions) == {
            "other": "ENOENT", "beside": False, "temporary": True,
        }  # fmt: skip
        assert answers(tmp_path, questions, STANDARD)["beside"] is True


def test_a_local_plugin_runs_without_any_acceptance(tmp_path: Path) -> None:
    folder = plugin_folder(tmp_path / "mine", files={"main.py": WORD})
    with open_local(folder) as local:
        installation = local.own()
        policy = LevelPolicy(required=SandboxLevel(installation.required))
        with StaticWorker(installation, policy=policy) as worker:
            found = worker.analyze([text_file("a.txt", "secret")])
            assert worker.level is SandboxLevel.STRONG
        installation.close()
    assert len(next(iter(found.findings.values()))) == 1


def test_the_root_is_empty_but_for_the_plan_and_cannot_be_written(tmp_path: Path) -> None:
    questions = {
        "list": "os.listdir('/')",
        "make": "os.mkdir('/x')",
        "own": "os.open(__file__, os.O_WRONLY)",
        "own folder": "os.mkdir(os.path.dirname(__file__) + '/x')",
        "library": "os.unlink(os.__file__)",
        "read-only": "[bool(os.statvfs(p).f_flag & os.ST_RDONLY)"
        " for p in ('/', __file__, '/usr/lib')]",
        "device": "os.write(os.open('/dev/null', os.O_WRONLY), b'x')",
        "above": "(os.stat('/').st_ino, os.stat('/').st_dev) == "
        "(os.stat('/../..').st_ino, os.stat('/..').st_dev)",
    }
    got = answers(tmp_path, questions)
    assert got.pop("read-only") == [True, True, True]
    assert got.pop("above") is True
    assert got.pop("device") == 1
    assert set(got.values()) <= {"EACCES", "EROFS", "EPERM"}
    assert Path(os.__file__).exists()


def test_the_machine_and_the_user_have_no_name_in_the_sandbox(tmp_path: Path) -> None:
    questions = {
        "name": "os.uname().nodename",
        "user": "(os.getuid(), os.geteuid(), os.getgid())",
        "domain": "(lambda b: (libc.uname(b), b.raw[65 * 5:].rstrip(b'\\0')))"
        "(ctypes.create_string_buffer(390))[1]",
    }
    got = answers(tmp_path, questions)
    assert got == {"name": "tavo", "user": (1000, 1000, 1000), "domain": b"tavo"}
    control = answers(tmp_path, questions, STANDARD)
    assert control["name"] == os.uname().nodename
    assert control["user"] == (os.getuid(), os.geteuid(), os.getgid())


def test_there_is_no_network_in_the_sandbox(tmp_path: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        got = answers(
            tmp_path,
            {
                "stream": f"socket.create_connection(('127.0.0.1', {port}))",
                "datagram": "socket.socket(socket.AF_INET, socket.SOCK_DGRAM)",
                "netlink": "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
                "names": "socket.if_nameindex()",
            },
        )
    assert set(got.values()) == {"EPERM"}


def test_no_question_about_another_process_is_answered(tmp_path: Path) -> None:
    with subprocess.Popen(["sleep", "60"]) as victim:
        pid = victim.pid
        clock = ~pid << 3 | 2
        questions = {
            "group": f"os.getpgid({pid})",
            "processors": f"os.sched_getaffinity({pid})",
            "clock": f"__import__('time').clock_gettime({clock})",
            "resolution": f"__import__('time').clock_getres({clock})",
            "signal": f"os.kill({pid}, 0)",
            "limits": f"__import__('resource').prlimit({pid}, 0)",
            "priority": f"os.getpriority(os.PRIO_PROCESS, {pid})",
            "session": f"os.getsid({pid})",
            "scheduler": f"os.sched_getscheduler({pid})",
            "itself": "os.getpgid(0) == os.getpgid(os.getpid()) and bool(os.sched_getaffinity(0))"
            " and __import__('time').process_time() > 0 and __import__('time').thread_time() > 0",
        }
        for policy in (STRONG, STANDARD):
            got = answers(tmp_path, questions, policy)
            assert got.pop("itself") is True
            assert set(got.values()) <= {"EPERM", "EINVAL", "ENOSYS"}, got
        import time

        assert time.clock_gettime(clock) >= 0  # the control: here the kernel answers
        assert os.getpgid(pid) == os.getpgid(0)
        victim.kill()


def test_the_scratch_folder_is_limited_and_never_on_a_disk(tmp_path: Path) -> None:
    questions = {
        "fill": "[(folder / str(n)).write_bytes(bytes(1 << 20)) for n in range(8)]",
        "left": "sum(p.stat().st_size for p in folder.iterdir()) <= 4 << 20",
        "free": "len([p.unlink() for p in folder.iterdir()]) > 0",
        "many": "len([(folder / f'f{n}').touch() for n in range(20_000)])",
        "many left": "len(os.listdir(folder)) <= 10_000",
        "size": "os.statvfs(folder).f_blocks * os.statvfs(folder).f_frsize",
        "place": "(str(folder), os.getcwd(), os.environ['HOME'], os.environ['TMPDIR'])",
    }
    got = answers(tmp_path, questions)
    assert got["fill"] == "ENOSPC"
    assert got["many"] == "ENOSPC"
    assert got["left"] is got["many left"] is True
    assert got["size"] == 4 << 20
    (place,) = set(got["place"])
    assert not Path(place).exists()


def test_what_is_written_to_scratch_is_not_on_the_machine(tmp_path: Path) -> None:
    installed = PluginMachine(tmp_path).verified(ANSWERS)
    for policy, expected in ((STRONG, []), (STANDARD, ["mark"])):
        with StaticWorker(installed, policy=policy) as worker:
            result = worker.analyze([text_file("a", "(folder / 'mark').write_text('x')")])
            assert not result.failures
            assert worker._session is not None
            assert [path.name for path in worker._session.scratch.iterdir()] == expected


def test_a_plugin_without_scratch_cannot_write_anywhere_in_the_sandbox(tmp_path: Path) -> None:
    installed = PluginMachine(tmp_path).verified(ANSWERS, more="limits: {scratch_mb: 0}\n")
    with StaticWorker(installed, policy=STRONG) as worker:
        result = worker.analyze([text_file("a", "(folder / 'x').write_text('x')")])
    (found,) = next(iter(result.findings.values()))
    assert found.message in {"='EROFS'", "='EACCES'"}


@pytest.mark.parametrize("linked", [False, True])
def test_an_interpreter_in_another_folder_works(linked: bool, tmp_path: Path) -> None:
    """In a virtual environment, also behind a link: its own files are shown, and no others."""
    home = tmp_path / "home" / "user"
    home.mkdir(parents=True)
    venv.create(home / "venv", symlinks=True)
    (home / "secret").write_text("x")
    python = home / "venv" / "bin" / "python"
    if linked:
        (tmp_path / "link").symlink_to(home)
        python = tmp_path / "link" / "venv" / "bin" / "python"
    questions = {
        "secret": f"os.path.exists({str(home / 'secret')!r})",
        "json": "__import__('json').dumps(1)",
    }
    assert answers(tmp_path, questions, python=python) == {"secret": False, "json": "1"}


def test_folders_behind_links_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a /tmp or a home that is a link: scratch and the plugin lie behind the same one."""
    (tmp_path / "real one" / "tmp").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real one")
    (tmp_path / "again").symlink_to(tmp_path / "link" / ".." / "link")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "again" / "tmp"))
    folder = plugin_folder(tmp_path / "mine", files={"main.py": ANSWERS})
    with open_local(folder) as local:
        installation = local.own()
        with StaticWorker(installation, policy=STRONG) as worker:
            asked = "(folder / 'x').write_text('x'), os.listdir(folder), os.path.exists(__file__)"
            result = worker.analyze([text_file("a", asked)])
        installation.close()
    (found,) = next(iter(result.findings.values()))
    assert found.message == "=(1, ['x'], True)"


RELOCATED = """
import shutil, sys, sysconfig
from pathlib import Path
home = Path(sys.argv[1])
version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
(home / "bin").mkdir(parents=True)
(home / "lib").mkdir()
shutil.copy(Path(sys.executable).resolve(), home / "bin" / version)
skip = shutil.ignore_patterns("site-packages", "dist-packages", "test", "__pycache__", "config-*")
shutil.copytree(sysconfig.get_path("stdlib"), home / "lib" / version, ignore=skip)
for library in Path(sysconfig.get_config_var("LIBDIR")).glob("libpython3.*.so.*"):
    shutil.copy(library, home / "lib")
"""


def test_an_interpreter_in_the_home_folder_shows_nothing_else_of_it(tmp_path: Path) -> None:
    """As pyenv and uv install them: all of it below a folder of the user."""
    home = tmp_path / "home"
    place = home / ".local" / "python"
    subprocess.run([sys.executable, "-c", RELOCATED, str(place)], check=True)
    (home / "secret").write_text("x")
    python = next((place / "bin").iterdir())
    questions = {
        "prefix": "sys.base_prefix",
        "beside": "[os.path.exists(p) for p in (sys.prefix + '/../../secret', sys.executable)]",
        "library": "__import__('json').__file__.startswith(sys.base_prefix)",
    }
    got = answers(tmp_path, questions, python=python)
    assert got == {"prefix": str(place), "beside": [False, False], "library": True}


@pytest.mark.slow
@needs_root
def test_all_of_it_holds_for_an_unprivileged_user_too() -> None:
    shown = run_tests(sorted(Path(__file__).parent.glob("test_sandbox_l3_*.py")))
    # all of it, but for this test; not skipped because there is no L3
    assert shown.count("s") <= 3
    assert shown.count(".") > 50
