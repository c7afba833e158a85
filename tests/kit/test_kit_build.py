"""Wheels out of source distributions: what builds, what differs, and what a build cannot do.

Every attack is first built with the user's rights, where it succeeds: that is the control.
"""

from __future__ import annotations

import socket
import subprocess
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from marketplace_db.errors import PackageError
from marketplace_db.wheel import check_wheel
from signing.digests import Digest, hash_file
from tavo.errors import InputError, RefusedError, UsageError
from tavo.host.sandbox.levels import SandboxLevel
from tavo.kit import build as build_module
from tavo.kit.build import EPOCH, BuildFailedError, build_wheel
from tests.fakes.operator_market import wheel_bytes
from tests.fakes.sdists import build_outside, sdist_files, write_sdist

# -- what works


def test_a_wheel_is_built_and_the_claim_says_how(tmp_path: Path) -> None:
    sdist = write_sdist(tmp_path)
    built = build_wheel(sdist, None)
    claim = built.claim
    assert (claim.wheel, claim.digest) == ("tiny-1.0-py3-none-any.whl", Digest.of(built.data))
    assert (claim.source, claim.source_digest) == ("tiny-1.0.tar.gz", hash_file(sdist)[0])
    assert (claim.backend, claim.tools, claim.reproduced) == ("backend", (), 2)
    assert claim.sandbox in {"L2", "L3"}
    assert claim.epoch == EPOCH
    path = tmp_path / claim.wheel
    path.write_bytes(built.data)
    names = [entry.name for entry in check_wheel(path, claim.digest).entries]
    assert names == sorted(names)
    assert "tiny/__init__.py" in names


def test_building_again_gives_the_same_bytes(tmp_path: Path) -> None:
    sdist = write_sdist(tmp_path)
    first = build_wheel(sdist, None)
    time.sleep(2.1)  # a zip counts in steps of two seconds
    again = build_wheel(sdist, None)
    assert first.data == again.data
    assert not first.identical  # the backend writes the time; the canonical form does not
    made = []
    for name in ("one", "two"):
        out, _ = build_outside(sdist, tmp_path / name)
        made.append((out / first.claim.wheel).read_bytes())
        time.sleep(2.1)
    assert made[0] != made[1]  # the control: as built, it is another file each time


def test_it_builds_at_the_standard_level_where_there_is_no_stronger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tavo.host.hosted.strongest_here", lambda: SandboxLevel.STANDARD)
    assert build_wheel(write_sdist(tmp_path), None).claim.sandbox == "L2"


def test_without_a_sandbox_nothing_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tavo.host.hosted.strongest_here", lambda: SandboxLevel.LIMITS)
    marker = tmp_path / "ran"
    sdist = write_sdist(tmp_path, f"open({str(marker)!r}, 'w').close()")
    with pytest.raises(RefusedError, match="is not built, because the sandbox cannot be had"):
        build_wheel(sdist, None)
    assert not marker.exists()


def test_the_tools_are_chosen_from_the_folder_and_named_by_digest(tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    start_up = {"helper-start.pth": b"import os; os._exit(3)\n"}
    for version in ("1.0", "2.0", "3.0"):
        data = wheel_bytes("helper", version, files={
            "helper/__init__.py": f"VERSION = '{version}'\n".encode(), **start_up,
        })  # fmt: skip
        (tools / f"helper-{version}-py3-none-any.whl").write_bytes(data)
    (tools / "other-1.0-py3-none-any.whl").write_bytes(wheel_bytes("other"))
    attack = "import helper; files['tiny/made.py'] = helper.VERSION.encode()"
    pyproject = sdist_files()["pyproject.toml"].replace(b"[]", b'["helper>=1,<3"]', 1)
    sdist = write_sdist(tmp_path, attack, files={"pyproject.toml": pyproject})
    built = build_wheel(sdist, tools)
    assert [name for name, _ in built.claim.tools] == ["helper-2.0-py3-none-any.whl"]
    assert built.claim.tools[0][1] == hash_file(tools / "helper-2.0-py3-none-any.whl")[0]
    path = tmp_path / built.claim.wheel
    path.write_bytes(built.data)
    assert zipfile.ZipFile(path).read("tiny/made.py") == b"2.0"
    (tools / "helper-2.0-py3-none-any.whl").unlink()
    (tools / "helper-1.0-py3-none-any.whl").unlink()
    with pytest.raises(InputError, match=r"needs helper<3,>=1, and there is no wheel of it in"):
        build_wheel(sdist, tools)


def test_a_tool_is_laid_out_as_an_installer_does(tmp_path: Path) -> None:
    files = {"helper-1.0.data/purelib/helper/more.py": b"WORD = 'more'\n"}
    (tmp_path / "helper-1.0-py3-none-any.whl").write_bytes(wheel_bytes("helper", files=files))
    attack = "import helper.more; files['tiny/made.py'] = helper.more.WORD.encode()"
    pyproject = sdist_files()["pyproject.toml"].replace(b"[]", b'["helper"]', 1)
    built = build_wheel(
        write_sdist(tmp_path, attack, files={"pyproject.toml": pyproject}), tmp_path
    )
    assert built.claim.reproduced == 2


def test_a_backend_may_ask_for_more_tools(tmp_path: Path) -> None:
    backend = sdist_files()["own/backend.py"] + (
        b"\ndef get_requires_for_build_wheel(settings=None):\n"
        b"    return ['late>=1', 'never; python_version < \"3\"']\n"
    )
    sdist = write_sdist(tmp_path, files={"own/backend.py": backend})
    with pytest.raises(InputError, match="needs late>=1, and --build-with names no folder"):
        build_wheel(sdist, None)
    (tmp_path / "late-1.0-py3-none-any.whl").write_bytes(wheel_bytes("late"))
    assert [name for name, _ in build_wheel(sdist, tmp_path).claim.tools] == [
        "late-1.0-py3-none-any.whl"
    ]


def test_a_project_without_a_table_needs_setuptools(tmp_path: Path) -> None:
    sdist = write_sdist(tmp_path, files={"pyproject.toml": b"[tool.x]\n"})
    with pytest.raises(InputError, match=r"tiny-1.0.tar.gz needs setuptools") as caught:
        build_wheel(sdist, None)
    assert "pip download --only-binary :all: --dest DIR setuptools" in caught.value.hint


def test_a_folder_or_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder of build tools"):
        build_wheel(write_sdist(tmp_path), tmp_path / "nothing")
    with pytest.raises(UsageError, match=r"gone-1.0.tar.gz: there is no such file"):
        build_wheel(tmp_path / "gone-1.0.tar.gz", None)


# -- two builds that differ


DIFFERENT = {
    "random bytes": "files['tiny/x.py'] = repr(os.urandom(8)).encode()",
    "the clock": "files['tiny/x.py'] = repr(int(time.time())).encode()",
    "the day": "import datetime; files['tiny/x.py'] = repr(datetime.date.today()).encode()",
    "the folder": "files['tiny/x.py'] = os.getcwd().encode()",
    "the time zone": "files['tiny/x.py'] = repr(time.strftime('%z %H')).encode()",
    "the order of files": "files['tiny/x.py'] = repr(os.listdir('.')).encode()",
    "the hash seed": "files['tiny/x.py'] = repr({str(n) for n in range(50)}).encode()",
    "the umask": """
        old = os.umask(0)
        os.umask(old)
        files['tiny/x.py'] = str(old).encode()""",
}


@pytest.mark.parametrize("attack", DIFFERENT.values(), ids=DIFFERENT)
def test_builds_that_differ_are_refused(attack: str, tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"two builds gave different wheels: 'tiny/x.py'"):
        build_wheel(write_sdist(tmp_path, attack), None)


def test_the_control_of_differing_builds(tmp_path: Path) -> None:
    attack = "files['tiny/x.py'] = b'VALUE = 2'"
    assert build_wheel(write_sdist(tmp_path, attack), None).claim.reproduced == 2


def test_a_wheel_of_another_name_each_time_is_refused(tmp_path: Path) -> None:
    attack = "wheel = wheel.replace('-py3', f'-{int.from_bytes(os.urandom(4))}-py3')"
    with pytest.raises(RefusedError, match="two builds gave different wheels: their names"):
        build_wheel(write_sdist(tmp_path, attack), None)


# -- what a build may not do


def _reads(tmp_path: Path) -> tuple[str, Callable[[Path], bool]]:
    secret = tmp_path / "home" / ".ssh" / "id_ed25519"
    secret.parent.mkdir(parents=True)
    secret.write_text("the private key")
    return (
        f"files['tiny/x.py'] = open({str(secret)!r}, 'rb').read()",
        lambda out: b"the private key" in (out / "tiny-1.0-py3-none-any.whl").read_bytes(),
    )


def _writes(tmp_path: Path) -> tuple[str, Callable[[Path], bool]]:
    target = tmp_path / "planted"
    return f"open({str(target)!r}, 'w').close()", lambda _: target.exists()


def _forks(tmp_path: Path) -> tuple[str, Callable[[Path], bool]]:
    return "pid = os.fork()\nif pid == 0: os._exit(0)\nos.waitpid(pid, 0)", lambda _: True


def _runs(tmp_path: Path) -> tuple[str, Callable[[Path], bool]]:
    target = tmp_path / "touched"
    return (
        f"import subprocess; subprocess.run(['/bin/sh', '-c', 'touch {target}'], check=True)",
        lambda _: target.exists(),
    )


def _lists(tmp_path: Path) -> tuple[str, Callable[[Path], bool]]:
    return f"assert os.listdir({str(tmp_path)!r})", lambda _: True


@pytest.mark.parametrize("make", [_reads, _writes, _forks, _runs, _lists])
def test_what_a_build_may_not_do_fails(
    make: Callable[[Path], tuple[str, Callable[[Path], bool]]], tmp_path: Path
) -> None:
    attack, succeeded = make(tmp_path)
    sdist = write_sdist(tmp_path / "sdist", attack)
    with pytest.raises(BuildFailedError, match=r"tiny-1.0.tar.gz: its build failed: ") as caught:
        build_wheel(sdist, None)
    assert "no network, no other program, no file of yours" in caught.value.hint
    for name in ("planted", "touched"):
        assert not (tmp_path / name).exists()
    out, done = build_outside(sdist, tmp_path / "control")
    assert done.returncode == 0, done.stderr
    assert succeeded(out)


def test_a_build_reaches_no_network(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        port = listener.getsockname()[1]
        attack = f"import socket; socket.create_connection(('127.0.0.1', {port})).send(b'x')"
        sdist = write_sdist(tmp_path / "sdist", attack)
        with pytest.raises(BuildFailedError, match="its build failed"):
            build_wheel(sdist, None)
        with pytest.raises(TimeoutError):
            listener.accept()
        _, done = build_outside(sdist, tmp_path / "control")
        assert done.returncode == 0
        listener.accept()[0].close()


def test_a_build_that_hangs_is_ended(tmp_path: Path) -> None:
    sdist = write_sdist(tmp_path / "sdist", "time.sleep(3600)")
    with pytest.raises(BuildFailedError, match=r"it took longer than 2 s|used up its 2 s"):
        build_wheel(sdist, None, longest_s=2)
    with pytest.raises(subprocess.TimeoutExpired):
        build_outside(sdist, tmp_path / "control", timeout_s=3)


def test_a_build_that_holds_on_is_killed(tmp_path: Path) -> None:
    attack = "while True:\n    try: time.sleep(3600)\n    except BaseException: pass"
    with pytest.raises(BuildFailedError, match=r"did not stop when it was told to|longer than 2 s"):
        build_wheel(write_sdist(tmp_path, attack), None, longest_s=2)


def test_a_build_that_prints_a_gigabyte_is_ended(tmp_path: Path) -> None:
    attack = "for _ in range(1024): os.write(1, b'x' * (1 << 20))"
    sdist = write_sdist(tmp_path / "sdist", attack)
    with pytest.raises(BuildFailedError, match="it printed more than 64 MB"):
        build_wheel(sdist, None)
    _, done = build_outside(sdist, tmp_path / "control")
    assert len(done.stdout) == 1 << 30


def test_what_python_prints_in_a_build_is_bounded_and_harmless(tmp_path: Path) -> None:
    attack = "for _ in range(200): print('x' * (1 << 20))\nsys.stdout.buffer.write(b'y')"
    assert build_wheel(write_sdist(tmp_path, attack), None).claim.reproduced == 2


def test_a_build_that_takes_all_memory_is_ended(tmp_path: Path) -> None:
    attack = "kept = [bytearray(os.urandom(1 << 20)) for _ in range(700)]"
    sdist = write_sdist(tmp_path / "sdist", attack)
    with pytest.raises(BuildFailedError, match=r"its build failed: (MemoryError|it used)"):
        build_wheel(sdist, None, memory_mb=256)
    assert build_outside(sdist, tmp_path / "control")[1].returncode == 0


ENDS = {
    "os._exit(7)": "it ended with exit code 7",
    "sys.exit('no')": "SystemExit: no",
    "print('the reason'); sys.exit(1)": "SystemExit: 1 (the reason)",
    "raise RuntimeError('a\\x1b[2Jb')": "RuntimeError: a",
    "os.kill(os.getpid(), 9)": "it was ended by SIGKILL",
    "return '../../x-1.0-py3-none-any.whl'": "FileNotFoundError",
    "return None": "FileNotFoundError",
}


@pytest.mark.parametrize(("attack", "said"), ENDS.items())
def test_a_build_that_ends_otherwise_is_one_sentence(
    attack: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(BuildFailedError) as caught:
        build_wheel(write_sdist(tmp_path, attack), None)
    assert str(caught.value).startswith(f"tiny-1.0.tar.gz: its build failed: {said}")
    assert "\n" not in str(caught.value)


# -- wheels that no installation takes


def _entry(name: str, content: bytes = b"x = 1\n") -> str:
    return f"files[{name!r}] = {content!r}"


HOSTILE_WHEELS = {
    "absolute path": (_entry("/etc/cron.d/x"), "the name '/etc/cron.d/x' is absolute"),
    "dots": (_entry("../x.py"), "has the part '..'"),
    "link": (
        f"{_entry('tiny/x.py', b'/etc/passwd')}; modes['tiny/x.py'] = 0o120777",
        "'tiny/x.py' is a symbolic link",
    ),
    "native by name": (_entry("tiny/x.cpython-311-x86_64-linux-gnu.so"), "is compiled code"),
    "native by content": (_entry("tiny/data.txt", b"\x7fELF\x02\x01"), "is compiled code"),
    "windows program": (_entry("tiny/data.bin", b"MZ\x90\x00"), "is compiled code"),
    "start-up file": (_entry("tiny.pth", b"import os\n"), "would run code when Python starts"),
    "scripts": (_entry("tiny-1.0.data/scripts/x"), "would be installed outside of its folder"),
    "another distribution": (
        _entry("requests-9.0.dist-info/METADATA", b"Name: requests\n"),
        "expected one .dist-info folder, found 2",
    ),
    "two names": (f"{_entry('tiny/a.py')}; {_entry('tiny/A.py')}", "differ only by case"),
    "another name": (
        "wheel = 'other-1.0-py3-none-any.whl'\n"
        "files = {k.replace('tiny-1.0', 'other-1.0'): v for k, v in files.items()}\n"
        "info = 'other-1.0.dist-info'",
        "is the wheel of another distribution than tiny 1.0",
    ),
    "another version": (
        "wheel = 'tiny-2.0-py3-none-any.whl'\n"
        "files = {k.replace('tiny-1.0', 'tiny-2.0'): v for k, v in files.items()}\n"
        "info = 'tiny-2.0.dist-info'",
        "is the wheel of another distribution than tiny 1.0",
    ),
    "platform": (
        "wheel = 'tiny-1.0-cp311-cp311-linux_x86_64.whl'",
        "is not a pure Python wheel, its name says cp311-cp311-linux_x86_64",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("attack", "said"), HOSTILE_WHEELS.values(), ids=HOSTILE_WHEELS)
def test_a_wheel_that_no_installation_takes_is_refused(
    attack: str, said: str, tmp_path: Path
) -> None:
    sdist = write_sdist(tmp_path / "sdist", attack)
    with pytest.raises(PackageError) as caught:
        build_wheel(sdist, None)
    assert said in str(caught.value)
    out, done = build_outside(sdist, tmp_path / "control")
    assert done.returncode == 0, done.stderr
    (wheel,) = out.iterdir()
    assert zipfile.ZipFile(wheel).testzip() is None  # Python's own reader takes it as it is


def test_a_worker_that_lies_about_the_name_writes_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the worker says is a stranger's word: here it names a path instead of a file."""
    real = build_module._run

    def lying(*arguments: object) -> object:
        answer, level = real(*arguments)  # type: ignore[arg-type]
        name = "tiny-1.0-1/../../x-py3-none-any.whl"
        return msgspec.structs.replace(answer, wheel=name), level

    monkeypatch.setattr(build_module, "_run", lying)
    with pytest.raises(PackageError, match="is not the name of a wheel"):
        build_wheel(write_sdist(tmp_path), None)


def test_a_wheel_that_is_too_large_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build_module, "_LARGEST_WHEEL", 1 << 20)
    attack = "files['tiny/x.txt'] = b'y' * (2 << 20)"
    with pytest.raises(BuildFailedError, match="the wheel is larger than 1 MB"):
        build_wheel(write_sdist(tmp_path, attack), None)


def test_a_wheel_of_some_megabytes_comes_through(tmp_path: Path) -> None:
    attack = "import random; files['tiny/x.txt'] = random.Random(1).randbytes(8 << 20)"
    assert len(build_wheel(write_sdist(tmp_path, attack), None).data) > 8 << 20


def test_nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    build_wheel(write_sdist(tmp_path), None)
    with pytest.raises(BuildFailedError):
        build_wheel(write_sdist(tmp_path, "os._exit(1)"), None)
    assert list((tmp_path / "temporary").iterdir()) == []
