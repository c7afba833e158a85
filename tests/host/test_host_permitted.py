"""What honest plugins do still works at L1 and L2: the standard library, threads, its scratch.

The same operations at L3 are in `test_sandbox_l3_permitted.py`.
"""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest

from tavo.host.sandbox import landlock, seccomp
from tavo.host.sandbox.landlock import handled_rights
from tavo.host.sandbox.levels import LevelPolicy, SandboxLevel, strongest_here
from tavo.host.sandbox.syscalls import ARCHITECTURES, numbers_for
from tavo.host.workers import StaticWorker
from tests.fakes.kernel import python
from tests.fakes.plugins import PluginMachine, text_file

linux = pytest.mark.skipif(
    strongest_here() < SandboxLevel.STANDARD, reason="the sandbox of this system is not L2"
)

OPERATIONS = {
    "sqlite": "import sqlite3\nc = sqlite3.connect(folder / 'a.db')\n"
    "c.execute('pragma journal_mode=wal')\nc.execute('create table t(x)')\n"
    "c.execute('insert into t values (1)')\nc.commit()\nassert list(c.execute('select x from t'))",
    "asyncio": "import asyncio\nasync def f():\n    await asyncio.sleep(0.001)\n"
    "    return await asyncio.to_thread(lambda: 5)\nassert asyncio.run(f()) == 5",
    "threads": "import threading\nt = threading.Thread(target=lambda: None)\nt.start()\nt.join()",
    "thread pool": "from concurrent.futures import ThreadPoolExecutor as P\n"
    "with P(4) as p:\n    assert list(p.map(abs, [-1, 2])) == [1, 2]",
    "temporary files": "import tempfile\nwith tempfile.NamedTemporaryFile() as f:\n"
    "    f.write(b'x')\nwith tempfile.TemporaryDirectory() as d:\n    pass",
    "copy": "import shutil\n(folder / 'x').write_text('x')\n"
    "shutil.copy(folder / 'x', folder / 'y')\n"
    "shutil.copy2(folder / 'x', folder / 'z')\nassert (folder / 'z').read_text() == 'x'",
    "touch": "(folder / 't').touch()\nassert (folder / 't').exists()\n(folder / 't').touch()",
    "folders": "import shutil\n(folder / 'd' / 'e').mkdir(parents=True)\n"
    "(folder / 'd' / 'e' / 'f').write_text('x')\n(folder / 'd').rename(folder / 'g')\n"
    "assert [p.name for p in folder.rglob('f')] == ['f']\nshutil.rmtree(folder / 'g')",
    "archives": "import io, zipfile, tarfile, gzip, bz2, lzma, zlib\nb = io.BytesIO()\n"
    "with zipfile.ZipFile(b, 'w') as z:\n    z.writestr('a', 'b')\n"
    "assert lzma.decompress(lzma.compress(b'x')) == bz2.decompress(bz2.compress(b'x'))",
    "hashes": "import hashlib, hmac, secrets, uuid, random\nhashlib.sha256(b'x')\nuuid.uuid4()\n"
    "secrets.token_bytes(8)\nrandom.SystemRandom().random()",
    "ssl": "import ssl\nssl.create_default_context()",
    "zones": "import zoneinfo, datetime\ndatetime.datetime.now(datetime.timezone.utc)\n"
    "assert 'UTC' in zoneinfo.available_timezones() or True",
    "memory maps": "import mmap\n(folder / 'm').write_bytes(bytes(4096))\n"
    "with open(folder / 'm', 'r+b') as f, mmap.mmap(f.fileno(), 0) as m:\n    m[0] = 1",
    "ctypes callbacks": "import ctypes\nf = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)\n"
    "assert f(lambda x: x + 1)(1) == 2",
    "logging": "import logging, warnings\nlogging.basicConfig()\nlogging.warning('x')",
    "parsers": "import ast, json, csv, tomllib, tokenize, xml.etree.ElementTree as e, html.parser\n"
    "ast.parse('x = 1')\ne.fromstring('<a/>')\ntomllib.loads('a = 1')",
    "pickles": "import pickle, pickletools, marshal, copy\npickle.loads(pickle.dumps([1]))",
    "tracebacks": "import traceback, linecache\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n"
    "    assert 'main.py' in traceback.format_exc()",
    "signals": "import signal, time, os\nhit = []\n"
    "signal.signal(signal.SIGALRM, lambda *a: hit.append(1))\n"
    "signal.setitimer(signal.ITIMER_REAL, 0.01)\ntime.sleep(0.1)\nassert hit\n"
    "signal.signal(signal.SIGUSR2, lambda *a: hit.append(2))\nos.kill(os.getpid(), signal.SIGUSR2)",
    "locks on files": "import fcntl\nwith open(folder / 'l', 'w') as f:\n"
    "    fcntl.flock(f, fcntl.LOCK_EX)\n    fcntl.lockf(f, fcntl.LOCK_UN)",
    "pipes and polls": "import os, select, selectors\nr, w = os.pipe()\nos.write(w, b'x')\n"
    "assert select.select([r], [], [], 1)[0]\nselectors.DefaultSelector().close()",
    "the system": "import platform, locale, getpass, resource, os, sysconfig\nplatform.platform()\n"
    "resource.getrlimit(resource.RLIMIT_NOFILE)\nos.cpu_count()\nos.getloadavg\nos.sched_getaffinity(0)",
    "packages": "import importlib.metadata, importlib.resources, pkgutil\n"
    "list(importlib.metadata.distributions())",
    "faults": "import faulthandler\nfaulthandler.enable()",
    "own files": "from pathlib import Path\nassert 'Plugin' in Path(__file__).read_text()",
    "numbers": "import decimal, fractions, statistics, math\nstatistics.mean([1, 2])",
    "the user": "import getpass, os, tempfile\nassert getpass.getuser() == 'tavo'\n"
    "assert os.path.expanduser('~') == str(folder) == tempfile.gettempdir()",
    "a whole tree": "import shutil\n(folder / 'p' / 'q').mkdir(parents=True)\n"
    "(folder / 'p' / 'q' / 'r').write_text('x')\nshutil.copytree(folder / 'p', folder / 'c')\n"
    "shutil.move(folder / 'c', folder / 'moved')\n"
    "shutil.make_archive(str(folder / 'z'), 'zip', folder / 'moved')\n"
    "shutil.unpack_archive(folder / 'z.zip', folder / 'u')\n"
    "assert (folder / 'u' / 'q' / 'r').read_text() == 'x'",
    "spooled and random access files": "import tempfile\n"
    "with tempfile.SpooledTemporaryFile(max_size=10) as f:\n    f.write(b'x' * 100)\n"
    "with tempfile.TemporaryFile() as f:\n    f.write(b'abc')\n    f.seek(1)\n    f.truncate()",
    "asyncio with streams": "import asyncio, socket\nasync def f():\n"
    "    a, b = socket.socketpair()\n    r, w = await asyncio.open_connection(sock=a)\n"
    "    b.send(b'x\\n')\n    line = await r.readline()\n    w.close()\n    b.close()\n"
    "    return line\nassert asyncio.run(f()) == b'x\\n'",
    "regular expressions": "import re, difflib, fnmatch, glob, textwrap\n"
    "assert re.findall(r'(\\d+)', 'a1b22') == ['1', '22']\n"
    "assert difflib.unified_diff(['a'], ['b'])\nglob.glob(str(folder / '*'))",
    "text of the world": "import unicodedata, locale, gettext, codecs\n"
    "assert unicodedata.normalize('NFC', 'e\\u0301') == 'é'\n'x'.encode('shift_jis')\n"
    "locale.setlocale(locale.LC_ALL, '')",
    "an interpreter inside": "import textwrap, code, codeop, runpy, types, inspect, dis\n"
    "exec(compile('x = 1', 'y', 'exec'), {})\ninspect.getsource(textwrap.dedent)",
    "weak references and garbage": "import gc, weakref, tracemalloc\ntracemalloc.start()\n"
    "gc.collect()\ntracemalloc.stop()",
    "scandir and walk": "import os\n(folder / 'w').mkdir()\n(folder / 'w' / 'x').touch()\n"
    "assert [e.name for e in os.scandir(folder / 'w')] == ['x']\n"
    "assert list(os.walk(folder / 'w'))[0][2] == ['x']\nos.chdir(folder)",
    "clocks": "import time, datetime, calendar\ntime.sleep(0.001)\ntime.perf_counter()\n"
    "time.process_time()\ntime.thread_time()\ntime.localtime()\ndatetime.datetime.now()",
    "dbm": "import dbm.dumb, shelve\nwith dbm.dumb.open(str(folder / 'dbm'), 'c') as d:\n"
    "    d['a'] = 'b'",
    "events and conditions": "import threading, queue, concurrent.futures, contextvars\n"
    "e = threading.Event()\nthreading.Timer(0.001, e.set).start()\nassert e.wait(5)",
}

PLUGIN = """\
from tavo.plugins import *
OPERATIONS = {operations!r}
class Plugin(StaticAnalysisPlugin):
    rules = (Rule(id="r", title="R", severity=Severity.LOW),)
    def start(self, context):
        self.folder = context.work_directory
    def analyze_file(self, file_path, content):
        code = compile(OPERATIONS[content], __file__, "exec")
        exec(code, {{"folder": self.folder, "__file__": __file__}})
        return ()
"""


@linux
@pytest.mark.usefixtures("start")
@pytest.mark.parametrize("level", [SandboxLevel.LIMITS, SandboxLevel.STANDARD])
def test_ordinary_operations_work_in_the_sandbox(level: SandboxLevel, tmp_path: Path) -> None:
    plugin = PLUGIN.format(operations=OPERATIONS)
    installed = PluginMachine(tmp_path).verified(plugin, more="limits: {cpu_s_per_file: 20}\n")
    with StaticWorker(installed, policy=LevelPolicy(required=level)) as worker:
        batch = [text_file(name, name) for name in OPERATIONS]
        result = worker.analyze(batch)
        assert worker.level is level
    assert {str(p): f.reason for p, f in result.failures.items()} == {}
    assert len(result.findings) == len(OPERATIONS)


@linux
def test_all_threads_that_a_plugin_may_have_fit_into_its_memory(tmp_path: Path) -> None:
    code = (
        "import threading, time\nready = threading.Barrier(17)\n"
        "ts = [threading.Thread(target=ready.wait) for _ in range(16)]\n"
        "[t.start() for t in ts]\nready.wait()\n[t.join() for t in ts]"
    )
    plugin = PLUGIN.format(operations={"threads": code})
    installed = PluginMachine(tmp_path).verified(plugin, more="limits: {memory_mb: 64}\n")
    with StaticWorker(installed) as worker:
        result = worker.analyze([text_file("a.py", "threads")])
    assert not result.failures


def test_older_kernels_restrict_what_they_can() -> None:
    files = [handled_rights(abi)[0].bit_length() for abi in range(1, 8)]
    assert files == [13, 14, 15, 15, 16, 16, 16]
    assert [handled_rights(abi)[1] for abi in (3, 4)] == [0, 3]
    assert [handled_rights(abi)[2] for abi in (5, 6)] == [0, 3]


OLDER = """
import errno, os, sys
from tavo.host.sandbox import apply, landlock, seccomp
abi, canary, project, scratch = int(sys.argv[1]), *sys.argv[2:]
real = landlock.detect()
if abi > real:
    print("newer than this kernel")
    sys.exit()
landlock.detect = lambda: abi
held = apply.apply({
    "level": 2, "host_pid": os.getppid(), "limits": {}, "keep": [], "read": [],
    "write": [scratch], "devices": [], "canary": canary, "proxy": 0,
    "program": "",
}, print)
def outcome(act):
    try:
        act()
        return "worked"
    except OSError as error:
        return errno.errorcode[error.errno]
print(outcome(lambda: open(project)), outcome(lambda: open(project, "w")),
      outcome(lambda: os.truncate(project, 0)), outcome(lambda: open(scratch + "/x", "w")))
"""


@linux
@pytest.mark.parametrize("abi", range(1, 7))
def test_the_sandbox_holds_with_each_older_interface(abi: int, tmp_path: Path) -> None:
    (tmp_path / "canary").write_text("x")
    (tmp_path / "project").write_text("content")
    (tmp_path / "scratch").mkdir()
    done = python(
        OLDER, str(abi), *(str(tmp_path / name) for name in ("canary", "project", "scratch"))
    )
    if "newer" in done.stdout:
        pytest.skip("this kernel is older")
    # without the right to restrict truncate, the filter refuses the call itself
    truncate = "EACCES" if abi >= 3 else "EPERM"
    assert done.stdout.split() == ["EACCES", "EACCES", truncate, "worked"], done.stderr
    assert (tmp_path / "project").read_text() == "content"


def test_the_filter_is_built_for_both_machines_and_no_other() -> None:
    for machine in ARCHITECTURES:
        program = seccomp.assemble(machine, pid=7, truncate=True)
        assert len(program) % 8 == 0
        assert len(program) // 8 < 4096
        numbers = numbers_for(machine)
        assert len(set(numbers.values())) == len(numbers)
    with pytest.raises(KeyError):
        seccomp.assemble("riscv64", pid=7, truncate=True)


def test_landlock_is_told_apart_from_its_absence() -> None:
    if os.uname().sysname != "Linux":
        pytest.skip("Landlock is part of Linux")
    try:
        assert landlock.detect() >= 1
    except OSError as error:
        assert error.errno in {1, 38, 95}  # noqa: PT017


@linux
def test_the_scratch_folder_is_empty_private_and_gone_afterwards(tmp_path: Path) -> None:
    code = "import os, stat\nassert not os.listdir(folder)\n(folder / 'left').write_text('x')"
    plugin = PLUGIN.format(operations={"look": code})
    installed = PluginMachine(tmp_path).verified(plugin)
    for _ in range(2):
        with StaticWorker(installed) as worker:
            result = worker.analyze([text_file("a.py", "look")])
        assert not result.failures, result.failures[PurePosixPath("a.py")]
