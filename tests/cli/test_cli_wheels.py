"""`tavo plugin lock` and `tavo plugin pack --build-wheel`, as an author sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.fakes.authors import author_plugin
from tests.fakes.operator_market import wheel_bytes
from tests.fakes.sdists import write_sdist

WHEEL = "tiny-1.0-py3-none-any.whl"


@pytest.fixture
def plugin(tmp_path: Path, tavo: Run, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    folder = author_plugin(tmp_path / "sample")
    with (folder / "plugin.yaml").open("a") as stream:
        stream.write('dependencies: ["dep", "tiny>=1"]\n')
    (folder / ".wheels").mkdir()
    (folder / ".wheels" / "dep-1.0-py3-none-any.whl").write_bytes(wheel_bytes())
    assert tavo("key", "new", "my.key", "--unsafe-no-passphrase").code == 0
    return folder


def test_from_sources_to_a_package_that_runs(tavo: Run, plugin: Path, tmp_path: Path) -> None:
    sdist = write_sdist(Path("sample/.wheels"))
    stuck = tavo("plugin", "lock", "sample")
    assert stuck.code == 3
    assert stuck.err == (
        "tavo: acme/sample needs tiny>=1, and sample/.wheels holds only its sources,"
        " tiny-1.0.tar.gz\n"
        "  Build it in the sandbox: tavo plugin pack sample --build-wheel"
        " sample/.wheels/tiny-1.0.tar.gz --build-with TOOLS --key KEY\n"
    )
    done = tavo("plugin", "pack", "sample", "--build-wheel", str(sdist), "--key", "my.key")
    assert done.code == 0, done
    built, packed = done.out.splitlines()
    assert built.endswith(f"  sample/.wheels/{WHEEL}")
    assert packed.endswith("  acme-sample-0.1.0.zip")
    first, second, _ = done.err.splitlines()
    assert first == "Building tiny-1.0.tar.gz twice in the sandbox …"
    assert second.startswith(f"Built {WHEEL} with backend at L")
    assert second.endswith(", equal both times.")
    shown = tavo("plugin", "validate", "sample")
    assert shown.code == 0
    assert (
        "note     dep-1.0-py3-none-any.whl: has no build statement: a marketplace looks for it in"
        " a package index\n"
    ) in shown.out
    locked = tavo("plugin", "lock", "sample")
    assert locked.code == 0
    assert [line.split()[1] for line in locked.out.splitlines()] == [
        "dep-1.0-py3-none-any.whl", WHEEL,
    ]  # fmt: skip
    again = tavo(
        "plugin", "pack", "sample", "--build-wheel", str(sdist), "--key", "my.key", "--json"
    )
    answer = json.loads(again.out)
    assert answer["package"] == packed.split()[0]
    (one,) = answer["built"]
    assert one["sha256"] == built.split()[0]
    assert one["source"] == "tiny-1.0.tar.gz"
    assert Path(one["statement"]).name == f"{WHEEL}.build.dsse.json"


def test_wrong_use_is_one_sentence(tavo: Run, plugin: Path, tmp_path: Path) -> None:
    sdist = str(write_sdist(tmp_path / "s"))
    done = tavo("plugin", "pack", "sample", "--build-wheel", sdist)
    assert (done.code, done.err) == (
        2,
        "tavo: plugin pack: --build-wheel needs --key FILE: you sign how the wheel was built\n"
        "  `tavo key new FILE` makes a key.\n",
    )
    done = tavo("plugin", "pack", "sample", "--key", "my.key")
    assert (done.code, done.err) == (
        2, "tavo: plugin pack: --build-with and --key are for --build-wheel\n",
    )  # fmt: skip
    done = tavo("plugin", "pack", "sample", "--build-wheel", "gone-1.0.tar.gz", "--key", "my.key")
    assert done.code == 2
    assert "tavo: gone-1.0.tar.gz: there is no such file" in done.err
    assert tavo("plugin", "lock", "nothing").code == 2
    assert tavo("plugin", "pack", "nothing").code == 2
    text = (plugin / "plugin.yaml").read_text()
    (plugin / "plugin.yaml").write_text(text.replace("dependencies:", "x-dependencies:"))
    done = tavo("plugin", "pack", "sample", "--build-wheel", sdist, "--key", "my.key")
    assert (done.code, done.err) == (
        2,
        "tavo: sample: plugin.yaml names no dependencies, so there is nothing to lock\n"
        '  Name them first: dependencies: ["name>=1.0"]\n',
    )


def test_the_exit_codes_of_builds(tavo: Run, plugin: Path, tmp_path: Path) -> None:
    def code(name: str, attack: str) -> int:
        sdist = write_sdist(tmp_path / name, attack)
        done = tavo("plugin", "pack", "sample", "--build-wheel", str(sdist), "--key", "my.key")
        assert "Traceback" not in done.err
        return done.code

    assert code("a", "open('/etc/passwd')") == 4
    assert code("b", "files['x.py'] = os.urandom(8)") == 5
    assert code("c", "files['tiny/x.so'] = b''") == 5
    assert not (plugin / "requirements.lock").exists()
    assert sorted(p.name for p in (plugin / ".wheels").iterdir()) == ["dep-1.0-py3-none-any.whl"]


def test_wheels_elsewhere_are_locked_and_where_they_belong_is_said(
    tavo: Run, plugin: Path, tmp_path: Path
) -> None:
    (tmp_path / "w").mkdir()
    for name in ("dep", "tiny"):
        (tmp_path / "w" / f"{name}-1.0-py3-none-any.whl").write_bytes(wheel_bytes(name))
    done = tavo("plugin", "lock", "sample", "--wheels", "w")
    assert done.code == 0
    assert "`plugin run` and `plugin test` look for them in sample/.wheels.\n" in done.err
    listed = json.loads(tavo("plugin", "lock", "sample", "--wheels", "w", "--json").out)
    assert [one["name"] for one in listed] == ["dep", "tiny"]
