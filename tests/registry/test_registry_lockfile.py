"""tavo.lock: one text for one set, and everything else refused with a sentence."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from signing.digests import Digest
from tavo.errors import InputError, RefusedError, TavoError
from tavo.registry import lockfile
from tavo.registry.lockfile import LockedPlugin, LockFile, read_lock, write_lock_file

PLUGINS = (
    LockedPlugin(
        full_id="acme/words", version="1.0.0", package=Digest.of(b"words"), wanted=None,
        wheels={"dep-1.0-py3-none-any.whl": Digest.of(b"dep"),
                "add-2-cp311-cp311-win_amd64.whl": Digest.of(b"add")},
    ),
    LockedPlugin(
        full_id="acme/app", version="2.0rc1", package=Digest.of(b"app"), wanted=">=1,<3", wheels={}
    ),
)  # fmt: skip


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "tavo.lock"
    write_lock_file(path, "r", PLUGINS)
    return path


def test_the_same_set_gives_the_same_text(lock: Path, tmp_path: Path) -> None:
    text = lock.read_text()
    write_lock_file(tmp_path / "again", "r", reversed(PLUGINS))
    assert (tmp_path / "again").read_text() == text
    assert [line for line in text.splitlines() if not line.startswith(("checksum", "package"))] == [
        "# Written by tavo. `tavo registry install -r tavo.lock` installs exactly this; to change"
        " it,",
        "# use `tavo registry lock`.",
        "lock = 1",
        'repository = "r"',
        "",
        "[[plugin]]",
        'id = "acme/app"',
        'version = "2.0rc1"',
        'wanted = ">=1,<3"',
        "",
        "[[plugin]]",
        'id = "acme/words"',
        'version = "1.0.0"',
        "[plugin.wheels]",
        f'"add-2-cp311-cp311-win_amd64.whl" = "sha256:{Digest.of(b"add").hex}"',
        f'"dep-1.0-py3-none-any.whl" = "sha256:{Digest.of(b"dep").hex}"',
    ]
    assert tomllib.loads(text)["plugin"][0]["package"] == f"sha256:{Digest.of(b'app').hex}"


def test_what_is_written_is_read(lock: Path) -> None:
    found = read_lock(lock)
    assert found == LockFile(name="tavo.lock", repository="r", plugins=PLUGINS[::-1])
    lock.write_bytes(lock.read_bytes().replace(b"\n", b"\r\n"))  # a checkout on Windows
    assert read_lock(lock) == found


Edit = Callable[[str], str]
EDITS: dict[str, Edit] = {
    "another version": lambda t: t.replace("1.0.0", "1.0.1"),
    "another digest": lambda t: t.replace(Digest.of(b"app").hex, Digest.of(b"evil").hex),
    "a plugin more": lambda t: t + t[t.index("\n[[plugin]]") :].replace("acme", "evil"),
    "a plugin less": lambda t: t[: t.rindex("\n[[plugin]]")],
    "nothing but the head": lambda t: t[: t.index("\n[[plugin]]")],
    "cut in a line": lambda t: t[:-20],
    "cut behind a line": lambda t: "\n".join(t.split("\n")[:-2]) + "\n",
    "a comment": lambda t: t + "# mine\n",
    "another order": lambda t: t.replace("lock = 1\n", "").replace(
        "checksum", "lock = 1\nchecksum"
    ),
    "an unknown key": lambda t: t.replace("lock = 1\n", "lock = 1\nevil = true\n"),
    "a merge": lambda t: t.replace("[[plugin]]", "<<<<<<< ours\n[[plugin]]", 1),
    "no version of the format": lambda t: t.replace("lock = 1\n", ""),
    "an older format": lambda t: t.replace("lock = 1\n", "lock = 0\n"),
    "a format of another type": lambda t: t.replace("lock = 1\n", "lock = true\n"),
    "no digest": lambda t: t.replace("sha256:", "md5:"),
    "a short digest": lambda t: t.replace(Digest.of(b"app").hex, "00"),
    "an id that is a path": lambda t: t.replace("acme/app", "../../app"),
    "plugins that are no list": lambda t: t.replace("[[plugin]]", "[plugin]", 1),
    "a number for a text": lambda t: t.replace('"2.0rc1"', "2"),
    "empty": lambda _: "",
    "something else": lambda _: "[build-system]\nrequires = []\n",
    "no text": lambda t: t.replace("acme", "\udcff"),
    "deep": lambda _: "x = " + "[" * 100_000,
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edited_or_cut_lock_file_is_refused(edit: str, lock: Path) -> None:
    lock.write_bytes(EDITS[edit](lock.read_text()).encode("utf-8", "surrogateescape"))
    with pytest.raises(
        RefusedError, match=r"not a lock file of tavo|not as tavo wrote it"
    ) as caught:
        read_lock(lock)
    assert "tavo registry lock" in caught.value.hint


def test_the_control_without_the_comparison_an_edit_would_pass(
    lock: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited = EDITS["a plugin less"](lock.read_text())
    lock.write_text(edited)
    monkeypatch.setattr(lockfile, "_text", lambda *_: edited)
    assert len(read_lock(lock).plugins) == 1


def test_a_lock_file_of_a_newer_tavo_or_none_at_all(lock: Path, tmp_path: Path) -> None:
    lock.write_text(lock.read_text().replace("lock = 1\n", "lock = 2\nnew = 'x'\n"))
    with pytest.raises(InputError, match=r"of a newer tavo .format 2, this one reads 1"):
        read_lock(lock)
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_lock(tmp_path / "missing.lock")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_lock(tmp_path)
    with (tmp_path / "huge").open("wb") as stream:
        stream.truncate(20 << 20)
    with pytest.raises(InputError, match="larger than"):
        read_lock(tmp_path / "huge")
    with pytest.raises(InputError, match="cannot be written"):
        write_lock_file(tmp_path / "huge" / "x", "r", PLUGINS)


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_no_damage_passes_or_ends_in_a_defect(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("lock") / "tavo.lock"
    write_lock_file(path, "r", PLUGINS)
    good = path.read_bytes()
    place = data.draw(st.integers(0, len(good) - 1))
    kind = data.draw(st.sampled_from(["change", "remove", "add", "cut"]))
    byte = bytes([data.draw(st.integers(0, 255))])
    bad = {
        "change": good[:place] + byte + good[place + 1 :],
        "remove": good[:place] + good[place + 1 :],
        "add": good[:place] + byte + good[place:],
        "cut": good[:place],
    }[kind]
    path.write_bytes(bad)
    if bad.replace(b"\r\n", b"\n") == good:
        return
    with pytest.raises(TavoError):
        read_lock(path)
