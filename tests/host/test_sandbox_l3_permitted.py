"""What honest plugins do works at the strongest level as it does at L2, and is metered the same."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from tavo.host.probe import probe
from tavo.host.sandbox.levels import LevelPolicy, SandboxLevel
from tavo.host.workers import StaticWorker
from tests.fakes.plugins import PluginMachine, text_file
from tests.host.test_host_permitted import OPERATIONS, PLUGIN

pytestmark = pytest.mark.skipif(
    probe().level < SandboxLevel.STRONG, reason="this machine does not give L3"
)

KINDS = ("user", "mnt", "net", "pid")
STRONG = LevelPolicy(required=SandboxLevel.STRONG)

MORE = {
    "certificates": "import ssl\nassert ssl.create_default_context().verify_mode",
    "a zone": "import zoneinfo\nassert zoneinfo.ZoneInfo('Europe/Berlin').key",
    "sqlite in memory and on file": "import sqlite3\nc = sqlite3.connect(folder / 'w.db')\n"
    "c.execute('pragma journal_mode=wal')\nc.execute('create table t(x)')\n"
    "c.executemany('insert into t values (?)', [(n,) for n in range(5000)])\nc.commit()\n"
    "d = sqlite3.connect(folder / 'w.db')\n"
    "assert d.execute('select count(*) from t').fetchone() == (5000,)\n"
    "c.execute('vacuum')\nd.close()\nc.close()",
    "the own folder": "from pathlib import Path\n"
    "assert [p.name for p in Path(__file__).parent.iterdir() if p.name == 'main.py']",
    "standard output": "print('x' * 10_000)",
    "the current folder": "import os\nassert os.path.samefile(os.getcwd(), folder)\n"
    "open('here', 'w').close()\nassert (folder / 'here').exists()",
    "a large map": "import mmap\nm = mmap.mmap(-1, 64 << 20)\nm[0] = 1\nm.close()",
    "queues": "import queue, threading\nq = queue.Queue()\n"
    "threading.Thread(target=q.put, args=(1,)).start()\nassert q.get(timeout=5) == 1",
}

needs_zones = not Path("/usr/share/zoneinfo/Europe/Berlin").exists()


@pytest.mark.usefixtures("start")
def test_ordinary_operations_work_in_the_sandbox(tmp_path: Path) -> None:
    operations = {**OPERATIONS, **MORE}
    if needs_zones:
        del operations["a zone"]
    plugin = PLUGIN.format(operations=operations)
    installed = PluginMachine(tmp_path).verified(plugin, more="limits: {cpu_s_per_file: 20}\n")
    with StaticWorker(installed, policy=STRONG) as worker:
        result = worker.analyze([text_file(name, name) for name in operations])
        assert worker.level is SandboxLevel.STRONG
    assert {str(p): f.reason for p, f in result.failures.items()} == {}
    assert len(result.findings) == len(operations)


def test_the_worker_is_still_metered_and_killed(tmp_path: Path) -> None:
    code = {
        "memory": "b = bytearray(150 << 20)\nb[::4096] = b'x' * len(b[::4096])",
        "time": "import time\nend = time.process_time() + 0.3\n"
        "while time.process_time() < end:\n    pass",
        "hang": "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
        "while True:\n    pass",
        "threads": "import threading, time\n"
        "[threading.Thread(target=time.sleep, args=(9,), daemon=True).start() for _ in range(9)]\n"
        "time.sleep(4)",
    }
    installed = PluginMachine(tmp_path).verified(
        PLUGIN.format(operations=code),
        more="limits: {wall_s_per_call: 5, cpu_s_per_file: 20, threads: 8}\n",
    )
    with StaticWorker(installed, policy=STRONG) as worker:
        result = worker.analyze([text_file(name, name) for name in ("memory", "time")])
        assert not result.failures
        result = worker.analyze([text_file("hang", "hang")])
        (failure,) = result.failures.values()
        assert failure.kind == "timeout"
        result = worker.analyze([text_file("threads", "threads")])
        (failure,) = result.failures.values()
        assert failure.kind in {"threads", "raised"}
    assert 150 << 20 < worker.statistics.peak_memory < 300 << 20
    assert 0.3 < worker.statistics.worker_cpu_s < 10


def test_the_worker_stays_a_child_in_the_same_process_namespace(tmp_path: Path) -> None:
    installed = PluginMachine(tmp_path).verified()
    with StaticWorker(installed, policy=STRONG) as worker:
        worker.start()
        assert worker._session is not None
        pid = worker._session.pid
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
        assert int(fields[1]) == os.getpid()
        assert int(fields[2]) == pid  # it leads its group
        ours, its = (
            {kind: Path(f"/proc/{who}/ns/{kind}").readlink() for kind in KINDS}
            for who in ("self", str(pid))
        )
        assert ours.pop("pid") == its.pop("pid")
        assert not set(ours.values()) & set(its.values())


def mounted(ours: Path, others: Path) -> set[str]:
    """Return what is mounted, but for what others have in their temporary folders meanwhile."""
    rows = Path("/proc/self/mountinfo").read_text().splitlines()
    return {
        row
        for row in rows
        if (place := Path(row.split()[4])).is_relative_to(ours) or not place.is_relative_to(others)
    }


def test_nothing_is_left_mounted_or_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = Path(tempfile.gettempdir()).resolve()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    before = mounted(tmp_path, others)
    installed = PluginMachine(tmp_path / "m").verified()
    with StaticWorker(installed, policy=STRONG) as worker:
        worker.start()
        assert mounted(tmp_path, others) == before
    installed.close()
    assert list((tmp_path / "tmp").iterdir()) == []
