"""Where a worker comes from and when it ends: threads, a dying host, zip files, other users."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path, PurePosixPath

import pytest

from tavo.host.locks import hold, let_go
from tavo.host.payload import MODULES
from tavo.host.probe import probe
from tavo.host.sandbox.levels import SandboxLevel
from tavo.host.work_folder import FOLDER_PREFIX, sweep_folders
from tavo.host.workers import StaticWorker
from tavo.host.zygotes import ZYGOTES
from tests.fakes.kernel import ROOT, python
from tests.fakes.plugins import PluginMachine, text_file

SITE = Path(json.__file__).parent / "site-packages"
SYSTEM_PYTHON = Path("/usr/bin/python3")

SPIN = """\
import os
from tavo.plugins import *
class Plugin(StaticAnalysisPlugin):
    def analyze_file(self, file_path, content):
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
"""


def is_worker(pid: int) -> bool:
    """Tell whether a process is a live worker, by its command line and its name."""
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
        if Path(f"/proc/{pid}/comm").read_text() == "tavo-zygote\n":
            return False
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return False
    return b"tavo.host.worker_boot" in command and state != b"Z"


def own_workers() -> set[int]:
    """The live workers that this process has started."""
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and is_worker(int(entry.name)):
            try:
                parent = (entry / "stat").read_bytes().rpartition(b")")[2].split()[1]
            except OSError:
                continue
            if int(parent) == os.getpid():
                found.add(int(entry.name))
    return found


def test_a_worker_outlives_the_thread_that_asked_for_it(tmp_path: Path) -> None:
    with StaticWorker(PluginMachine(tmp_path).verified()) as worker:
        thread = threading.Thread(target=worker.start)
        thread.start()
        thread.join()
        time.sleep(0.2)  # a signal at the end of that thread would have come by now
        result = worker.analyze([text_file("a.py", "secret")])
    assert not result.failures
    assert worker.statistics.starts == 1


HOST = """
import sys
from pathlib import Path
from tavo.host.workers import StaticWorker
from tests.fakes.plugins import PluginMachine, text_file
installed = PluginMachine(Path(sys.argv[1])).verified(sys.argv[2])
worker = StaticWorker(installed)
worker.start()
print(worker._session.pid, flush=True)
worker.analyze([text_file("a.py")])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="a signal of Linux")
def test_a_spinning_worker_ends_when_the_host_is_killed(tmp_path: Path) -> None:
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, str(tmp_path), SPIN], cwd=ROOT, stdout=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    assert host.stdout is not None
    worker = int(host.stdout.readline())
    assert is_worker(worker)
    time.sleep(0.2)
    host.send_signal(signal.SIGKILL)
    host.wait()
    host.stdout.close()
    for _ in range(600):
        if not is_worker(worker):
            return
        time.sleep(0.05)
    os.kill(worker, signal.SIGKILL)
    pytest.fail("the worker outlived its host")


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    plugin = SPIN.replace(
        "while True:\n            try",
        "(self.folder / 'deep').mkdir(0)\n        while True:\n            try",
    )
    plugin += "    def start(self, context):\n        self.folder = context.work_directory\n"
    ZYGOTES.close()  # else one of them could begin here, and stays
    before = own_workers()
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    installed = PluginMachine(tmp_path / "m").verified(
        plugin, more="limits: {wall_s_per_call: 0.3}\n"
    )
    with StaticWorker(installed) as worker:
        assert worker.analyze([text_file("a.py")]).failures
    installed.close()
    assert own_workers() <= before  # of which some may have ended
    assert list((tmp_path / "tmp").iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) <= descriptors + 1  # the state database


def test_what_a_killed_host_left_behind_is_swept_and_nothing_else(tmp_path: Path) -> None:
    names = ["left", "in-use", "new", "linked"]
    left, in_use, new, linked = (tmp_path / f"{FOLDER_PREFIX}{name}" for name in names)
    target = tmp_path / "target"
    for folder in (left, in_use, new, target):
        (folder / "scratch").mkdir(parents=True)
    linked.symlink_to(target)
    for folder in (left, in_use, target):
        os.utime(folder, (1, 1))
    handle = hold(in_use, exclusive=False)
    sweep_folders(tmp_path)
    let_go(handle)
    assert sorted(tmp_path.iterdir()) == sorted([in_use, new, linked, target])
    assert (target / "scratch").is_dir()


def test_the_end_of_the_host_by_an_error_ends_the_worker(tmp_path: Path) -> None:
    before = own_workers()

    class Interrupted(BaseException):
        pass

    def interrupted() -> None:
        with StaticWorker(PluginMachine(tmp_path).verified()) as worker:
            worker.start()
            assert own_workers() - before
            raise Interrupted

    with pytest.raises(Interrupted):
        interrupted()
    assert own_workers() <= before


FROM_ZIP = """
import sys
sys.path[:] = [entry for entry in sys.path if entry not in ("", sys.argv[3])]
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import tavo.host.payload
assert ".zip" in tavo.host.payload.__file__, tavo.host.payload.__file__
from tavo.host.probe import probe
print(int(probe().level))
"""


def test_the_workers_code_is_found_in_a_zip_file(tmp_path: Path) -> None:
    archive = tmp_path / "tavo.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        for package in ("tavo", "marketplace_db", "signing"):
            for path in (ROOT / package).rglob("*.py"):
                zipped.write(path, path.relative_to(ROOT))
    done = subprocess.run(
        [sys.executable, "-P", "-c", FROM_ZIP, str(archive), "", str(ROOT)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == str(int(probe().level)), done.stderr


def test_the_list_of_modules_is_what_the_worker_needs_and_no_more() -> None:
    code = (
        "import sys\nimport tavo.host.worker_boot\n"
        "import tavo.plugins.serve.static, tavo.plugins.serve.dynamic\n"
        "import tavo.plugins.serve.proxy, tavo.plugins.serve.log\n"
        "import tavo.host.sandbox.loopback, tavo.host.zygote_boot\n"
        "print(*sorted(m for m in sys.modules if m.partition('.')[0] in"
        " {'tavo', 'signing', 'marketplace_db'}))"
    )
    done = python(code, options=["-S"])
    assert set(done.stdout.split()) == set(MODULES), done.stderr


@pytest.mark.skipif(not SYSTEM_PYTHON.exists(), reason="there is no second interpreter here")
def test_another_interpreter_gets_sources(tmp_path: Path) -> None:
    installed = PluginMachine(tmp_path).verified()
    with StaticWorker(installed, python=SYSTEM_PYTHON) as worker:
        result = worker.analyze([text_file("a.py", "a secret")])
    assert len(result.findings[PurePosixPath("a.py")]) == 1


UNPRIVILEGED = """
import sys
sys.path[:0] = sys.argv[1:3]
import pytest
sys.exit(pytest.main([
    "-q", "-p", "no:cacheprovider", "--basetemp", sys.argv[3], "-k", "in_the_sandbox", sys.argv[4],
]))
"""


@pytest.mark.slow
@pytest.mark.skipif(
    os.getuid() != 0 or not SYSTEM_PYTHON.exists() or probe().level < SandboxLevel.STANDARD,
    reason="needs root, who can become somebody else",
)
def test_the_attacks_fail_for_an_unprivileged_user_too() -> None:
    packages = [entry for entry in sys.path if entry.endswith("site-packages")]
    base = Path("/tmp") / f"tavo-unprivileged-{os.getpid()}"
    done = subprocess.run(
        ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", str(SYSTEM_PYTHON), "-c",
         UNPRIVILEGED, str(ROOT), packages[0], str(base),
         str(ROOT / "tests" / "host" / "test_host_attacks.py")],
        capture_output=True, text=True, check=False, cwd="/tmp",
        env={"PATH": "/usr/bin:/bin", "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/nonexistent"},
    )  # fmt: skip
    subprocess.run(["rm", "-rf", str(base)], check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
