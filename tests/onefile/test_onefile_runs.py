"""The single file on every interpreter of this machine, and where it is hard to run at all."""

from __future__ import annotations

import ast
import os
import re
import select
import shutil
import signal
import stat
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest

from tests.fakes.single_file import (
    PYZ,
    SHOP,
    Machine,
    attached,
    for_other_users,
    interpreters,
    manifest,
    target,
)

pytestmark = pytest.mark.skipif(
    not PYZ.exists(), reason="run the tests with `python3 build.py test`, which builds the file"
)
ROOT_USER = hasattr(os, "geteuid") and os.geteuid() == 0
END = b"<the test writes this last>"


@pytest.fixture(params=interpreters(), ids=lambda path: Path(path).name)
def python(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_path_with_spaces_and_letters_of_other_alphabets(tmp_path: Path, python: str) -> None:
    folder = tmp_path / "für später" / "データ"
    folder.mkdir(parents=True)
    copy = folder / "tavo neu.pyz"
    shutil.copy(PYZ, copy)
    machine = Machine(tmp_path / "home ü", python=python, pyz=copy)
    done = machine.run("scan", SHOP, "--exit-zero")
    assert "22 findings" in done.stdout
    assert "No plugins" in machine.run("registry", "list").stderr
    assert machine.run("registry", "browse").stdout.count("tavo/model-files\t") == 1


def test_nothing_but_the_standard_library_and_the_file_is_importable(
    tmp_path: Path, python: str
) -> None:
    code = attached(
        "import os, importlib.util\n"
        "print([entry for entry in sys.path if '-packages' in entry])\n"
        "print([n for n in ('pip', 'pytest', 'setuptools') if importlib.util.find_spec(n)])\n"
        "import yaml, typer, msgspec, re2, tree_sitter, cryptography\n"
        "print({m.__spec__.loader is finder for m in (yaml, typer, msgspec, re2)})\n"
    )
    done = subprocess.run(
        [python, "-c", code],
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["[]", "[]", "{True}"]


@pytest.mark.parametrize(
    "words",
    [["--help"], ["registry", "browse"], ["registry", "list"], ["rules", "list"], ["doctor"],
     ["scan", str(SHOP), "--exit-zero"], ["scan", str(SHOP), "--exit-zero", "--format", "sarif"],
     ["explain", "llm-output-to-exec"], ["registry", "install", "model-files", "--yes"]],
    ids=" ".join,
)  # fmt: skip
def test_usual_commands_compile_nothing(tmp_path: Path, python: str, words: list[str]) -> None:
    code = attached(
        "from tavo.cli import main\n"
        "sys.argv[0] = archive\n"
        "try:\n    main()\n"
        "finally:\n    print('COMPILED', *finder.compiled_here, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [python, "-c", code, *words], env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stderr.endswith("COMPILED\n"), done.stderr
    assert done.returncode == 0, done.stderr


def test_pages_and_https_sources_compile_nothing(tmp_path: Path, python: str) -> None:
    code = attached(
        "import asyncio, httpx, uvicorn\n"
        "from datasette.app import Datasette\n"
        "import uvicorn.protocols.http.h11_impl, uvicorn.lifespan.on, uvicorn.loops.asyncio\n"
        "async def look():\n"
        "    pages = Datasette([], memory=True)\n"
        "    await pages.invoke_startup()\n"
        "    for path in ('/', '/_memory', '/-/versions.json'):\n"
        "        assert (await pages.client.get(path)).status_code == 200\n"
        "asyncio.run(look())\n"
        "try:\n    httpx.Client(trust_env=False).get('http://127.0.0.1:9/')\n"
        "except httpx.ConnectError:\n    pass\n"
        "print(finder.compiled_here)\n"
    )
    done = subprocess.run(
        [python, "-c", code],
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "[]\n", done.stderr


def test_metadata_sources_and_resources_are_there(tmp_path: Path, python: str) -> None:
    code = attached(
        "import importlib.metadata as m, importlib.resources as r, inspect, datasette.app\n"
        "print(m.version('datasette'), m.version('sqlite-utils'), m.distribution('typer').name)\n"
        "print(len(list(m.distributions())) > 40, bool(m.entry_points(group='console_scripts')))\n"
        "print((r.files('certifi') / 'cacert.pem').is_file(), end=' ')\n"
        "print(len(r.read_text('certifi', 'cacert.pem')) > 1000)\n"
        "import tavo.errors\n"
        'print(inspect.getsource(tavo.errors).startswith(\'"""The root error\'))\n'
        "import yaml, pkgutil\n"
        "print('def load' in inspect.getsource(yaml), yaml.__file__.startswith(archive))\n"
    )
    done = subprocess.run(
        [python, "-c", code],
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    versions = manifest()["packages"]
    assert done.stdout.splitlines() == [
        f"{versions['datasette']} {versions['sqlite-utils']} typer",
        "True True", "True True", "True", "True True",
    ], done.stderr  # fmt: skip


def test_a_process_that_is_started_anew_can_import_from_the_file(
    tmp_path: Path, python: str
) -> None:
    code = attached(
        "import multiprocessing\n"
        "from concurrent.futures import ProcessPoolExecutor\n"
        "from tavo.printable import printable\n"
        "if __name__ == '__main__':\n"
        "    anew = multiprocessing.get_context('spawn')\n"
        "    with ProcessPoolExecutor(1, mp_context=anew) as pool:\n"
        "        print(pool.submit(printable, 'a\\x1bb').result())\n"
    )
    program = tmp_path / "program.py"
    code = code.replace("from tavo.onefile import running\nfinder = running()\n", "")
    program.write_text(code)
    done = subprocess.run(
        [python, str(program)], env={"HOME": str(tmp_path)}, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.stdout == "a\N{REPLACEMENT CHARACTER}b\n", done.stderr


def test_help_and_version_need_no_cache(tmp_path: Path, python: str) -> None:
    machine = Machine(tmp_path, python=python)
    machine.run("--version")
    machine.run("--help")
    machine.run("self", "--help")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(not ROOT_USER, reason="only root can become another user")
def test_an_unprivileged_user(tmp_path: Path, python: str) -> None:
    theirs = for_other_users(python)
    if theirs is None:
        pytest.skip(f"{python} cannot be started by other users")
    shared = Path(f"/tmp/tavo-test-{os.getpid()}")
    home = shared / "home"
    home.mkdir(parents=True)
    try:
        shared.chmod(0o755)
        shutil.copy(PYZ, shared / "tavo.pyz")
        shutil.copytree(SHOP, shared / "shop")
        os.chown(home, 65534, 65534)
        machine = Machine(home, python=theirs, pyz=shared / "tavo.pyz")
        done = machine.run("scan", shared / "shop", "--exit-zero", user=65534, group=65534)
        assert "22 findings" in done.stdout
        assert {path.stat().st_uid for path in machine.place.rglob("*")} == {65534}
        closed = shared / "closed"
        closed.mkdir()
        machine = Machine(closed, python=theirs, pyz=shared / "tavo.pyz", TMPDIR=str(home))
        done = machine.run("scan", shared / "shop", "--exit-zero", user=65534, group=65534)
        assert "22 findings" in done.stdout
        assert list(closed.iterdir()) == []
    finally:
        shutil.rmtree(shared)


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "home", TMPDIR=str(tmp_path))
    (machine.home / ".cache").write_text("a file where a folder should be")
    done = machine.run("scan", SHOP, "--exit-zero")
    assert "22 findings" in done.stdout
    (place,) = tmp_path.glob("tavo-[0-9]*")
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert "22 findings" in machine.run("scan", SHOP, "--exit-zero").stdout


def test_no_home_at_all_and_a_temporary_folder_of_somebody_else(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "home", TMPDIR=str(tmp_path))
    (machine.home / ".cache").write_text("")
    planted = tmp_path / f"tavo-{os.getuid()}"
    planted.mkdir()
    planted.chmod(0o777)
    done = machine.run("scan", SHOP, "--exit-zero")
    assert "22 findings" in done.stdout
    assert "unpacked for this run only" in done.stderr
    assert list(planted.iterdir()) == []
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("tavo-")] == [
        planted.name
    ]


@pytest.mark.skipif(not ROOT_USER, reason="only root can become another user")
def test_a_user_without_an_entry_and_without_home(tmp_path: Path) -> None:
    """As in a container that is started with a number for a user."""
    theirs = for_other_users(interpreters()[0])
    if theirs is None:
        pytest.skip("no interpreter here can be started by other users")
    shared = Path(f"/tmp/tavo-test-{os.getpid()}")
    (shared / "tmp").mkdir(parents=True)
    try:
        shared.chmod(0o755)
        shutil.copy(PYZ, shared / "tavo.pyz")
        shutil.copytree(SHOP, shared / "shop")
        os.chown(shared / "tmp", 54321, 54321)
        machine = Machine(
            shared, python=theirs, pyz=shared / "tavo.pyz", TMPDIR=str(shared / "tmp")
        )
        del machine.environment["HOME"]
        for _ in range(2):
            done = machine.run("scan", shared / "shop", "--exit-zero", user=54321, group=54321)
            assert "22 findings" in done.stdout
        assert [path.name for path in (shared / "tmp").iterdir()] == ["tavo-54321"]
    finally:
        shutil.rmtree(shared)


@pytest.mark.parametrize("mask", [0o077, 0o000, 0o777], ids=oct)
def test_whatever_the_umask_is(tmp_path: Path, mask: int) -> None:
    machine = Machine(tmp_path)
    for _ in range(2):
        done = machine.run("scan", SHOP, "--exit-zero", umask=mask)
        assert "22 findings" in done.stdout
    modes = {stat.S_IMODE(path.stat().st_mode) for path in machine.place.rglob("*")}
    assert modes <= {0o700, 0o600, 0o400, 0o000}, {oct(mode) for mode in modes}


def test_a_long_first_run_says_what_it_does_and_only_on_a_terminal(tmp_path: Path) -> None:
    code = attached("import tavo.onefile.unpack as unpack\nunpack._PATIENCE_S = 0.0\nfinder.home\n")
    said = {}
    for name in ("terminal", "pipe"):
        reader, writer = os.openpty() if name == "terminal" else os.pipe()
        home = tmp_path / name
        home.mkdir()
        subprocess.run(
            [sys.executable, "-c", code], env={"HOME": str(home)}, stderr=writer, check=True
        )
        os.write(writer, END)
        said[name] = _until_the_end(reader)
        os.close(writer)
        os.close(reader)
    assert re.search(r"first run: unpacking \d+ MB into .*/terminal/.cache/tavo", said["terminal"])
    assert said["terminal"].endswith("\r\x1b[K")
    assert said["pipe"] == ""


def _until_the_end(reader: int) -> str:
    """Read all that was written before END: a terminal hands over its text in pieces."""
    data = b""
    while not data.endswith(END):
        assert select.select([reader], [], [], 60)[0], f"no more came after {data!r}"
        data += os.read(reader, 1 << 16)
    return data.removesuffix(END).decode()


def test_eight_first_runs_at_once(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    processes = [
        subprocess.Popen(
            machine.command("scan", SHOP, "--exit-zero"), env=machine.environment, cwd=tmp_path,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for _ in range(8)
    ]  # fmt: skip
    for process in processes:
        out, err = process.communicate(timeout=300)
        assert process.returncode == 0, err
        assert "22 findings" in out
    assert sorted(path.name for path in machine.place.iterdir()) == sorted(
        [".lock", machine.unpacked.name]
    )


@pytest.mark.parametrize("after_s", [0.015, 0.03, 0.06, 0.1, 0.15, 0.25, 0.4])
def test_ctrl_c_at_any_time(tmp_path: Path, after_s: float) -> None:
    machine = Machine(tmp_path)
    for _ in range(20):
        code, err = _interrupted_after(after_s, machine, tmp_path)
        if "Traceback" not in err or "in _run_code" in err:
            break  # else the interpreter was still looking for our first line
    assert "Traceback" not in err
    assert code in {0, 130}, err
    if code == 130:
        assert "interrupted" in err
    assert "22 findings" in machine.run("scan", SHOP, "--exit-zero").stdout


def _interrupted_after(after_s: float, machine: Machine, directory: Path) -> tuple[int, str]:
    process = subprocess.Popen(
        machine.command("scan", SHOP, "--exit-zero"), env=machine.environment, cwd=directory,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    # only from our first line on: what the interpreter says before is its own
    while process.poll() is None and not _is_ours(process.pid):
        time.sleep(0.001)
    time.sleep(after_s)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    return process.returncode, err


def _is_ours(pid: int) -> bool:
    """Tell whether the process has opened the file a second time: the start has run then."""
    try:
        links = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return True
    return str(PYZ) in links


def test_other_interpreters_are_refused_with_a_sentence(tmp_path: Path) -> None:
    others = (
        sorted(Path("/root/.pyenv/versions").glob("3.[6-9].*/bin/python3")) if ROOT_USER else []
    )
    others += sorted(Path("/root/.pyenv/versions").glob("3.10.*/bin/python3")) if ROOT_USER else []
    for other in others:
        done = Machine(tmp_path, python=str(other)).run("scan", ".", code=2)
        assert done.stderr.startswith("tavo: this file runs on CPython 3.1")
    refuse = (PYZ.parent.parent / "tavo" / "onefile" / "refuse.py").read_text()
    start = (PYZ.parent.parent / "tavo" / "onefile" / "start.py").read_text()
    for text in (refuse, start):
        ast.parse(text, feature_version=(3, 6))
    names: dict[str, object] = {}
    exec(refuse, names)
    assert names["interpreter"]("pypy311", {"cpython-311": (0, 0)}) == 2  # type: ignore[operator]


def test_the_first_line_keeps_the_environment_out() -> None:
    first = PYZ.read_bytes().split(b"\n", 1)[0]
    assert re.fullmatch(rb"#!/usr/bin/env -S python3 -I -S", first)


def packed(
    folder: Path, wanted: str, **environment: str
) -> tuple[subprocess.CompletedProcess[str], Path]:
    root, out = PYZ.parent.parent, folder / "tavo.pyz"
    done = subprocess.run(
        [sys.executable, "-m", "tavo.operator.pack", "--root", str(root), "--work",
         str(root / ".build"), "--embedded", str(root / ".build" / "embedded"), "--out", str(out),
         "--lock", str(root / "requirements.lock"), "--target", wanted],
        cwd=root, check=True, capture_output=True, text=True,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
    )  # fmt: skip
    return done, out


def test_a_file_for_another_system_names_its_systems(tmp_path: Path) -> None:
    other = f"macos-arm64-cp3{sys.version_info[1]}"
    if other == target():
        pytest.skip("this is that system")
    if not list((PYZ.parent.parent / ".build" / "targets").glob(f"{other}-*")):
        pytest.skip(f"no wheels for {other} are here; `build.py pyz` fetches them")
    _, out = packed(tmp_path, other)
    machine = Machine(tmp_path / "home", pyz=out)
    for words in (("scan", SHOP), ("registry", "browse")):
        done = machine.run(*words, code=3)
        assert "holds no native modules for" in done.stderr
        assert "it has macos-arm64" in done.stderr


def test_an_interpreter_that_was_not_there_when_the_file_was_built(tmp_path: Path) -> None:
    """Its users compile the sources in the file at each start, and doctor says so."""
    others = [path for path in interpreters() if not Path(path).samefile(sys.executable)]
    others = [path for path in others if Path(path).name != f"python3.{sys.version_info[1]}"]
    if not others:
        pytest.skip("only one interpreter is on this machine")
    minor = Path(others[0]).name.removeprefix("python").replace(".", "")
    done, out = packed(tmp_path, target(minor), PATH="/nonexistent", PYENV_ROOT="/nonexistent")
    assert f"no CPython 3.{minor[1:]} is here" in done.stderr
    machine = Machine(tmp_path / "home", python=others[0], pyz=out)
    assert "22 findings" in machine.run("scan", SHOP, "--exit-zero").stdout
    assert "compiled at each start" in machine.run("doctor").stdout
    assert machine.run("registry", "browse").stdout.count("tavo/model-files\t") == 1


def test_a_folder_of_the_user_keeps_what_is_in_it(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "home")
    project = tmp_path / "project"
    project.mkdir(mode=0o700)
    for name in (*(f"my-cpp-app{n}" for n in range(9)), ".new-work", ".tavo-new-notes.txt"):
        (project / name).mkdir()
    machine.run("self", "unpack", "--to", project)
    assert len(list(project.iterdir())) == 9 + 2 + 2
    assert stat.S_IMODE(project.stat().st_mode) == 0o700


def test_unpacking_over_a_changed_folder_is_refused(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "home")
    home = Path(machine.run("self", "unpack", "--to", tmp_path / "image").stdout.strip())
    victim = tmp_path / "victim"
    victim.write_text("")
    victim.chmod(0o600)
    (home / "link").symlink_to(victim)
    done = machine.run("self", "unpack", "--to", tmp_path / "image", code=5)
    assert "link: was not put there by this file" in done.stderr
    assert stat.S_IMODE(victim.stat().st_mode) == 0o600


def test_what_is_put_back_into_an_image_stays_readable_for_all(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "home", TAVO_CACHE=str(tmp_path / "image"))
    home = Path(machine.run("self", "unpack", "--to", tmp_path / "image").stdout.strip())
    next(home.glob("re2/*.so")).unlink()
    shutil.rmtree(home / "tavo" / "embedded" / "repository")
    assert "22 findings" in machine.run("scan", SHOP, "--exit-zero").stdout
    assert "\ntavo/model-files\t" in machine.run("registry", "browse").stdout
    assert stat.S_IMODE(home.stat().st_mode) == 0o755
    assert {stat.S_IMODE(path.stat().st_mode) for path in home.rglob("*.so")} == {0o644}


def test_what_a_cleaner_took_from_the_embedded_repository_is_put_back(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.run("registry", "browse")
    shutil.rmtree(machine.unpacked / "tavo" / "embedded" / "repository")
    assert "\ntavo/model-files\t" in machine.run("registry", "browse").stdout


def test_the_chosen_folder_comes_before_all_others(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "home")
    machine.run("scan", SHOP, "--exit-zero")
    machine.environment["TAVO_CACHE"] = str(tmp_path / "chosen")
    machine.run("scan", SHOP, "--exit-zero")
    assert len(list((tmp_path / "chosen").glob("*-cp3*"))) == 1
    machine.environment["TAVO_CACHE"] = "relative"
    done = machine.run("scan", SHOP, code=2)
    assert "TAVO_CACHE=relative: is not an absolute path" in done.stderr


def test_many_threads_import_seldom_used_modules(tmp_path: Path, python: str) -> None:
    code = attached(
        "import threading, importlib\n"
        "names = [n for n, e in finder._modules.items() if e[1].startswith('cold-web')"
        " and n.startswith(('jinja2', 'uvicorn.', 'rich.'))][:60]\n"
        "wrong = []\n"
        "def work(mine):\n"
        "    for name in mine:\n"
        "        try:\n            finder.get_code(name)\n"
        "        except BaseException as error:\n            wrong.append((name, error))\n"
        "parts = [names[n:] + names[:n] for n in range(8)]\n"
        "threads = [threading.Thread(target=work, args=(part,)) for part in parts]\n"
        "[t.start() for t in threads]; [t.join() for t in threads]\n"
        "print(len(names) > 20, wrong)\n"
    )
    done = subprocess.run(
        [python, "-c", code],
        env={"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "True []\n", done.stderr


@pytest.mark.parametrize("words", [["--version"], ["--help"], ["rules", "list"]], ids=" ".join)
def test_output_that_has_no_room_is_a_sentence(tmp_path: Path, words: list[str]) -> None:
    machine = Machine(tmp_path)
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            machine.command(*words), env=machine.environment, stdout=full, stderr=subprocess.PIPE,
            text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert "cannot be written" in done.stderr


def test_a_damaged_index_is_a_sentence(tmp_path: Path) -> None:

    with zipfile.ZipFile(PYZ) as opened:
        info = opened.getinfo(f"cp3{sys.version_info[1]}.index")
    data = bytearray(PYZ.read_bytes())
    at = data.index(info.filename.encode(), info.header_offset) + len(info.filename)
    data[at : at + 4000] = b"\x00" * 4000
    broken = tmp_path / "tavo.pyz"
    broken.write_bytes(data)
    done = Machine(tmp_path / "home", pyz=broken).run("scan", SHOP, code=3)
    assert "this file is damaged" in done.stderr


def test_a_file_that_is_cut_while_it_runs_ends_with_a_sentence(tmp_path: Path) -> None:
    copy = tmp_path / "tavo.pyz"
    shutil.copy(PYZ, copy)
    code = attached("open(archive, 'w').close()\nimport datasette.app\n", copy)
    done = subprocess.run(
        [sys.executable, "-c", code], env={"HOME": str(tmp_path)}, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 3
    assert "became shorter while it ran" in done.stderr


def test_a_chosen_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    chosen = tmp_path / "chosen"
    chosen.mkdir()
    chosen.chmod(0o777)
    machine = Machine(tmp_path / "home", TAVO_CACHE=str(chosen))
    done = machine.run("scan", SHOP, "--exit-zero")
    assert f"TAVO_CACHE={chosen}: cannot be used" in done.stderr
    assert list(chosen.iterdir()) == []


def test_the_escape_list_runs_out_of_the_file(tmp_path: Path, python: str) -> None:
    """Its attacks are text in the file, put into a plugin's folder and run by a worker."""
    from tavo.host.escapes.listing import NAMES
    from tavo.host.probe import probe

    code = attached(
        "import json\n"
        "from tavo.host.escapes import listing\n"
        "from tavo.runs.escape_score import score_escapes\n"
        "print(len(listing.attacks()))\n"
        "score = score_escapes(None, names=('read_ssh', 'tcp', 'proto_garbage'))\n"
        "print(score.level, [one.state for one in score.attacks])\n"
    )
    done = subprocess.run(
        [python, "-c", code], env={"HOME": str(tmp_path)}, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    level = probe().level
    if level < 2:
        pytest.skip("this machine does not give L2")
    assert done.stdout.splitlines() == [
        str(len(NAMES)),
        f"{level.label} ['stopped', 'stopped', 'stopped']",
    ]
