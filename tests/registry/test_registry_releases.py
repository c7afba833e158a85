"""Releases of tavo: which are known, which one a file is, and how one takes a file's place."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from http.server import SimpleHTTPRequestHandler
from pathlib import Path

import pytest
from packaging.version import Version

from signing.client import Artifact, DirectorySource, HttpSource, Source
from signing.digests import Digest
from signing.errors import (
    ExpiredError,
    RollbackError,
    SourceError,
    VerificationError,
)
from signing.roles import artifact_path
from signing.sources import Deadline
from tavo.errors import InputError, RefusedError
from tavo.registry.releases import Release, check_file, known_releases, newest, replace
from tavo.registry.trust import Trust
from tests.fakes.marketplace import MemoryStore
from tests.fakes.repository import NOW, RepositorySimulator, serve

ROOT = Path(__file__).parents[2]
OLD = b"#!/usr/bin/env python3\nold" * 1000
POSIX = pytest.mark.skipif(os.name != "posix", reason="needs POSIX")


def content(version: str) -> bytes:
    return f"#!/usr/bin/env python3\nprint('tavo {version}')\n".encode() * 1000


class Maker:
    """Who makes tavo: a repository with releases; and a user with a file and a memory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.simulator = RepositorySimulator(folder / "repository")
        self.store = MemoryStore()
        self.file = folder / "bin" / "tavo.pyz"
        self.file.parent.mkdir()
        self.file.write_bytes(OLD)
        self.file.chmod(0o754)

    @property
    def source(self) -> DirectorySource:
        return self.simulator.source

    def release(self, version: str, *, days: float = 0) -> None:
        path = self.folder / f"tavo-{version}.pyz"
        path.write_bytes(content(version))
        self.simulator.publish(releases=[path], now=NOW + timedelta(days=days))

    def trust(self, *, days: float = 0, cache: str = "cache") -> Trust:
        return Trust(
            self.store, self.folder / cache, embedded=None, root=self.simulator.root,
            now=NOW + timedelta(days=days),
        )  # fmt: skip

    def known(self, source: Source | None = None, **options: float) -> tuple[Release, ...]:
        return known_releases(self.trust(**options), source or self.source)

    def stored(self, version: str) -> Path:
        digest = Digest.of(content(version))
        return self.simulator.directory / artifact_path(f"releases/tavo-{version}.pyz", digest)

    def replace(
        self,
        release: Release,
        source: Source | None = None,
        *,
        path: Path | None = None,
        probe: Callable[[Path], object] = lambda path: None,
        running: str = "0.1.0",
    ) -> None:
        replace(
            path or self.file, release, source or self.source, probe=probe,
            running=Version(running),
        )  # fmt: skip

    def is_untouched(self) -> bool:
        return self.file.read_bytes() == OLD and [p.name for p in self.file.parent.iterdir()] == [
            "tavo.pyz"
        ]


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


@pytest.fixture(params=["folder", "http"])
def place(request: pytest.FixtureRequest, maker: Maker) -> Iterator[Source]:
    """The repository as a folder, and behind a real web server."""
    if request.param == "folder":
        yield maker.source
        return
    with serve(maker.simulator.directory) as address, HttpSource(address) as source:
        yield source


# -- which releases there are


def test_releases_come_newest_first(maker: Maker, place: Source) -> None:
    for version in ("0.9.0", "0.10.0", "0.10.1rc1", "0.2.0"):
        maker.release(version)
    known = maker.known(place)
    assert [str(release.version) for release in known] == ["0.10.1rc1", "0.10.0", "0.9.0", "0.2.0"]
    assert known[1].digest == Digest.of(content("0.10.0"))
    assert known[1].length == len(content("0.10.0"))


def test_none_is_no_error(maker: Maker, place: Source) -> None:
    assert maker.known(place) == ()


def test_other_artifacts_of_the_role_are_no_releases(maker: Maker) -> None:
    maker.release("1.0.0")
    for name in ("tavo-.pyz", "tavo-one.pyz", "tavo-1.1.0.zip", "other-1.2.0.pyz"):
        (maker.folder / name).write_bytes(b"something")
        maker.simulator.publish(releases=[maker.folder / name])
    assert [str(release.version) for release in maker.known()] == ["1.0.0"]


def test_a_release_signed_by_the_online_keys_only_is_refused(maker: Maker) -> None:
    maker.release("1.0.0")
    fake = {"length": 3, "hashes": {"sha256": Digest.of(b"bad").hex}}

    def add(signed: dict) -> None:
        signed["targets"]["releases/tavo-9.0.0.pyz"] = fake

    keyring = maker.simulator.keyring
    online = [*keyring.of("catalog"), *keyring.of("snapshot"), *keyring.of("timestamp")]
    maker.simulator.forge("releases", add, keys=online)
    with pytest.raises(VerificationError, match="not enough valid signatures"):
        maker.known()
    # one stolen offline key does not help either; two of them are the role
    maker.simulator.forge("releases", lambda signed: None, keys=keyring.of("releases")[:1])
    with pytest.raises(VerificationError, match="not enough valid signatures"):
        maker.known()
    maker.simulator.forge("releases", lambda signed: None, keys=keyring.of("releases")[:2])
    assert str(maker.known()[0].version) == "9.0.0"


def test_the_catalogs_keys_cannot_name_a_release(maker: Maker) -> None:
    maker.release("1.0.0")

    def add(signed: dict) -> None:
        signed["targets"]["releases/tavo-9.0.0.pyz"] = {
            "length": 3,
            "hashes": {"sha256": Digest.of(b"bad").hex},
        }

    maker.simulator.forge("catalog", add)
    with pytest.raises(VerificationError, match="not an artifact of this role"):
        maker.known()


def test_an_older_list_of_releases_is_a_rollback(maker: Maker) -> None:
    maker.release("1.0.0")
    old = DirectorySource(maker.simulator.copy(maker.folder / "old"))
    maker.release("1.0.1")
    assert len(maker.known()) == 2
    with pytest.raises(RollbackError):
        maker.known(old)


def hold_back(maker: Maker, old: Path) -> None:
    """What thieves of the online keys can do: sign a new snapshot that names the older list."""
    name = max((old / "metadata").glob("*.releases.json"), key=lambda p: int(p.name.split(".")[0]))
    data = name.read_bytes()

    def change(signed: dict) -> None:
        signed["meta"]["releases.json"] = {
            "version": int(name.name.split(".")[0]),
            "length": len(data),
            "hashes": {"sha256": Digest.of(data).hex},
        }

    maker.simulator.forge("snapshot", change)


def test_online_keys_cannot_hold_back_a_release_that_was_seen(maker: Maker) -> None:
    maker.release("1.0.0")
    old = maker.simulator.copy(maker.folder / "old")
    maker.release("1.0.1")
    maker.known()
    maker.simulator.publish(now=NOW)  # a new snapshot and timestamp, then forged
    hold_back(maker, old)
    with pytest.raises(RollbackError):
        maker.known()
    shutil.rmtree(maker.folder / "cache")  # without cached metadata the floor alone holds
    with pytest.raises(RollbackError, match="releases metadata is version 2, but version 3 was"):
        maker.known()
    maker.trust().update(maker.source)  # a catalog does not depend on it
    with pytest.raises(RollbackError, match="releases metadata"):
        maker.known()


def test_without_the_floor_the_held_back_list_would_have_been_accepted(maker: Maker) -> None:
    maker.release("1.0.0")
    old = maker.simulator.copy(maker.folder / "old")
    maker.release("1.0.1")
    maker.simulator.publish(now=NOW)
    hold_back(maker, old)
    assert [str(release.version) for release in maker.known()] == ["1.0.0"]


def test_a_refresh_without_releases_keeps_their_floor(maker: Maker) -> None:
    maker.release("1.0.0")
    maker.known()
    maker.trust().update(maker.source)
    floors = maker.trust().state().floors
    assert floors["releases"].version == maker.simulator.repository.version("releases")
    assert maker.trust().open().record.floors.keys() == floors.keys() - {"releases"}


def test_asking_for_releases_also_remembers_the_catalog(maker: Maker) -> None:
    maker.known()
    assert maker.trust().open().record.source == maker.source.name


def test_rotated_release_keys_lower_the_floor(maker: Maker) -> None:
    maker.release("1.0.0")
    maker.known()
    maker.simulator.rotate("releases")
    maker.release("1.0.1")
    assert len(maker.known()) == 2


def test_an_expired_repository_is_refused(maker: Maker) -> None:
    maker.release("1.0.0")
    assert maker.known(days=2)
    with pytest.raises(ExpiredError, match="expired"):
        maker.known(days=9)


def test_a_stale_list_in_an_otherwise_fresh_repository_is_refused(tmp_path: Path) -> None:
    maker = Maker(tmp_path)
    maker.release("1.0.0")
    others = ["targets", "publishers", "catalog"]
    maker.simulator.rotate("timestamp", now=NOW + timedelta(days=300))
    maker.simulator.publish(renew=others, now=NOW + timedelta(days=366))
    with pytest.raises(ExpiredError, match=r"releases\.json from .* expired"):
        maker.known(days=366)
    maker.simulator.publish(renew=["releases"], now=NOW + timedelta(days=366))
    assert maker.known(days=366)


# -- which release a file is


def test_a_file_is_a_release_only_with_all_its_bytes(maker: Maker, tmp_path: Path) -> None:
    for version in ("1.0.0", "1.1.0"):
        maker.release(version)
    known = maker.known()
    file = tmp_path / "any-name"
    file.write_bytes(content("1.0.0"))
    found = check_file(file, known)
    assert found is not None
    assert found.version == Version("1.0.0")
    for wrong in (b"", content("1.0.0")[:-1], content("1.0.0") + b"\n", b"x" + content("1.0.0")):
        file.write_bytes(wrong)
        assert check_file(file, known) is None
    assert check_file(file, ()) is None


def test_a_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        check_file(tmp_path / "missing", ())
    with pytest.raises(InputError, match="cannot be read"):
        check_file(tmp_path, ())


def release(version: str) -> Release:
    digest = Digest.of(content(version))
    name = f"releases/tavo-{version}.pyz"
    artifact = Artifact(
        name=name, path=artifact_path(name, digest), digest=digest,
        length=len(content(version)), role="releases",
    )  # fmt: skip
    return Release(version=Version(version), artifact=artifact)


@pytest.mark.parametrize(
    ("current", "offered", "expected"),
    [
        ("1.0.0", ["1.0.1", "1.1.0", "0.9"], "1.1.0"),
        ("1.0.0", ["1.0.0", "0.9"], None),
        ("1.0.0", [], None),
        ("1.0.0", ["1.1.0rc1", "1.0.1"], "1.0.1"),
        ("1.0.0", ["1.1.0rc1", "2.0.dev1"], None),
        ("1.1.0rc1", ["1.1.0rc2", "1.0.5"], "1.1.0rc2"),
        ("1.1.0rc1", ["1.1.0", "1.1.0rc2"], "1.1.0"),
        ("1.9.0", ["1.10.0"], "1.10.0"),
    ],
)
def test_newest(current: str, offered: list[str], expected: str | None) -> None:
    found = newest([release(version) for version in offered], Version(current))
    assert (found and str(found.version)) == expected


# -- how it takes a file's place


def test_a_release_takes_the_place_and_keeps_the_mode(maker: Maker, place: Source) -> None:
    maker.release("1.0.0")
    (found,) = maker.known(place)
    seen = []

    def probe(path: Path) -> None:
        assert maker.file.read_bytes() == OLD
        assert path.read_bytes() == content("1.0.0")
        assert path.stat().st_dev == maker.file.stat().st_dev
        seen.append(stat.S_IMODE(path.stat().st_mode))

    maker.replace(found, place, probe=probe)
    assert maker.file.read_bytes() == content("1.0.0")
    assert stat.S_IMODE(maker.file.stat().st_mode) == 0o754
    assert seen == [0o754]
    assert [path.name for path in maker.file.parent.iterdir()] == ["tavo.pyz"]


def test_a_file_that_another_process_replaced_meanwhile_is_left(maker: Maker) -> None:
    """Else a slow update to 1.0.0 would undo a fast one to 2.0.0."""
    maker.release("1.0.0")
    (found,) = maker.known()

    def probe(path: Path) -> None:
        newer = maker.file.with_name("newer")
        newer.write_bytes(b"version 2.0.0")
        newer.replace(maker.file)

    with pytest.raises(RefusedError, match="was replaced by another process meanwhile"):
        maker.replace(found, probe=probe)
    assert maker.file.read_bytes() == b"version 2.0.0"


def test_a_probe_that_refuses_leaves_everything_as_it_was(maker: Maker) -> None:
    maker.release("1.0.0")
    (found,) = maker.known()

    def probe(path: Path) -> None:
        raise RefusedError("it does not start")

    with pytest.raises(RefusedError, match="does not start"):
        maker.replace(found, probe=probe)
    assert maker.is_untouched()


@pytest.mark.parametrize(
    "damage",
    [lambda data: b"X" + data[1:], lambda data: data[:-1], lambda data: data + b"more"],
    ids=["changed", "shorter", "longer"],
)
def test_a_tampered_file_never_takes_the_place(
    maker: Maker, place: Source, damage: Callable[[bytes], bytes]
) -> None:
    maker.release("1.0.0")
    (found,) = maker.known(place)
    stored = maker.stored("1.0.0")
    stored.write_bytes(damage(stored.read_bytes()))

    def probe(path: Path) -> None:
        pytest.fail("ran a file that was not verified")

    with pytest.raises(VerificationError, match=r"sha256 is|longer than|signed are"):
        maker.replace(found, place, probe=probe)
    assert maker.is_untouched()


class _Endless(SimpleHTTPRequestHandler):
    """Serves a folder, but a release never ends."""

    sent = 0

    def log_message(self, *arguments: object) -> None:
        return

    def do_GET(self) -> None:
        if "/releases/" not in self.path:
            super().do_GET()
            return
        self.send_response(200)
        self.end_headers()
        with contextlib.suppress(OSError):
            while type(self).sent < 1 << 28:
                type(self).sent += self.wfile.write(bytes(1 << 16))


def test_endless_data_ends_at_the_signed_length(maker: Maker) -> None:
    maker.release("1.0.0")
    (found,) = maker.known()
    _Endless.sent = 0
    with (
        serve(maker.simulator.directory, _Endless) as address,
        HttpSource(address) as source,
        pytest.raises(VerificationError, match="longer than the signed"),
    ):
        maker.replace(found, source)
    assert maker.is_untouched()
    assert _Endless.sent < 1 << 26


def test_a_release_that_the_mirror_lacks_is_named(maker: Maker, place: Source) -> None:
    maker.release("1.0.0")
    (found,) = maker.known(place)
    maker.stored("1.0.0").unlink()
    with pytest.raises(SourceError, match=r"tavo-1\.0\.0\.pyz"):
        maker.replace(found, place)
    assert maker.is_untouched()


def test_never_to_a_lower_version(maker: Maker) -> None:
    maker.release("1.0.0")
    (found,) = maker.known()
    for running in ("1.0.1", "1.1.0rc1", "2.0"):
        with pytest.raises(RefusedError, match=r"1\.0\.0 is lower than .* which is running"):
            maker.replace(found, running=running)
        assert maker.is_untouched()
    maker.replace(found, running="1.0.0")  # the same version again mends a damaged file
    assert maker.file.read_bytes() == content("1.0.0")


def test_the_running_version_is_tavos_own_unless_told(maker: Maker) -> None:
    maker.release("0.0.0.dev0")
    (found,) = maker.known()
    with pytest.raises(RefusedError, match="is lower than"):
        replace(maker.file, found, maker.source, probe=lambda path: None)
    assert maker.is_untouched()


@POSIX
def test_a_link_stays_and_its_file_is_replaced(maker: Maker) -> None:
    maker.release("1.0.0")
    (found,) = maker.known()
    links = maker.folder / "links"
    links.mkdir()
    (links / "one").symlink_to(maker.file)
    (links / "two").symlink_to("one")
    maker.replace(found, path=links / "two")
    assert (links / "two").is_symlink()
    assert (links / "two").readlink() == Path("one")
    assert maker.file.read_bytes() == content("1.0.0")
    assert {path.name for path in links.iterdir()} == {"one", "two"}


@POSIX
def test_what_is_no_file_is_not_replaced(maker: Maker) -> None:
    maker.release("1.0.0")
    (found,) = maker.known()
    folder = maker.folder
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nowhere")
    os.mkfifo(folder / "pipe")
    for name in ("loop", "dangling", "missing"):
        with pytest.raises(InputError, match="cannot be replaced"):
            maker.replace(found, path=folder / name)
    for name in ("pipe", "bin"):
        with pytest.raises(InputError, match="not a regular file"):
            maker.replace(found, path=folder / name)


def as_nobody(call: Callable[[], object]) -> str:
    """Run something in a child without root's rights; return the type and text of its error."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
            call()
            text = "done"
        except BaseException as error:
            text = f"{type(error).__name__}: {error} // {getattr(error, 'hint', '')}"
        os.write(writing, text.encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        text = stream.read()
    os.waitpid(child, 0)
    return text


@POSIX
def test_a_folder_that_cannot_be_written_is_one_sentence_with_ways_out(maker: Maker) -> None:
    maker.release("1.0.0")
    (found,) = maker.known()
    with tempfile.TemporaryDirectory() as name:  # pytest's folders are closed to others
        place = Path(name).resolve()
        place.chmod(0o755)
        shutil.copytree(maker.simulator.directory, place / "repository")
        folder = place / "bin"
        folder.mkdir()
        file = folder / "tavo.pyz"
        file.write_bytes(OLD)
        file.chmod(0o777)
        folder.chmod(0o555)
        source = DirectorySource(place / "repository")
        said = as_nobody(lambda: maker.replace(found, source, path=file))
        assert said.startswith(
            f"InputError: {folder}: this folder cannot be written (Permission denied), so tavo.pyz"
            " in it was not replaced // Run the command as the owner of the folder, or copy"
        )
        assert file.read_bytes() == OLD
        folder.chmod(0o777)
        assert as_nobody(lambda: maker.replace(found, source, path=file)) == "done"
        assert file.read_bytes() == content("1.0.0")


@POSIX
@pytest.mark.skipif(os.name == "posix" and os.geteuid() != 0, reason="needs root")
def test_root_leaves_the_owner_as_it_was(maker: Maker) -> None:
    maker.release("1.0.0")
    (found,) = maker.known()
    os.chown(maker.file, 1234, 1235)
    maker.replace(found)
    status = maker.file.stat()
    assert (status.st_uid, status.st_gid) == (1234, 1235)


# -- killed at any instant

_SCRIPT = """
import sys, time
from pathlib import Path
from packaging.version import Version
from tests.registry.test_registry_releases import content, release
from signing.client import DirectorySource
from tavo.registry.releases import replace

place, file, stage = sys.argv[1:]

def stop():
    print("here", flush=True)
    time.sleep(60)

class Dripping(DirectorySource):
    def read(self, path, deadline):
        data = content("1.0.0")
        yield data[:1000]
        if stage == "fetch":
            stop()
        yield data[1000:]

replace(Path(file), release("1.0.0"), Dripping(Path(place)),
        probe=lambda path: stage == "probe" and stop(), running=Version("0.1.0"))
if stage == "done":
    stop()
"""


def kill_at(maker: Maker, stage: str) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", _SCRIPT, str(maker.simulator.directory), str(maker.file), stage],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert child.stdout is not None
    with child:
        assert child.stdout.readline() == "here\n"
        child.kill()


def leftovers(maker: Maker) -> list[str]:
    return sorted(path.name for path in maker.file.parent.glob(".new-*"))


@pytest.mark.parametrize("stage", ["fetch", "probe", "done"])
def test_killed_at_a_stage_the_old_or_the_new_file_is_there(maker: Maker, stage: str) -> None:
    kill_at(maker, stage)
    expected = content("1.0.0") if stage == "done" else OLD
    assert maker.file.read_bytes() == expected
    assert stat.S_IMODE(maker.file.stat().st_mode) == 0o754
    assert len(leftovers(maker)) == (0 if stage == "done" else 1)


@POSIX
def test_killed_at_random_instants_the_old_or_the_new_file_is_there(maker: Maker) -> None:
    versions = ["1.0.0", "2.0.0"]
    for version in versions:
        maker.release(version)
    known = maker.known()
    allowed = {OLD, *(content(version) for version in versions)}
    seen = set()
    delay = 0.002
    while delay < 0.035 or (len(seen) < 2 and delay < 10):
        child = os.fork()
        if child == 0:
            while True:
                for found in known:
                    with contextlib.suppress(BaseException):
                        maker.replace(found)
        time.sleep(delay)
        delay += 0.0013 if delay < 0.035 else delay
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        data = maker.file.read_bytes()
        assert data in allowed
        assert stat.S_IMODE(maker.file.stat().st_mode) == 0o754
        seen.add(data)
    assert len(seen) > 1  # so kills did fall into replacements


def test_leftovers_of_killed_replacements_go_after_a_minute(maker: Maker) -> None:
    maker.release("1.0.0")
    (found,) = maker.known()
    kill_at(maker, "fetch")
    (old,) = leftovers(maker)
    maker.replace(found)
    assert leftovers(maker) == [old]  # younger than a minute: it may still be running
    past = time.time() - 61
    folder = maker.file.parent / old
    os.utime(folder, (past, past))
    maker.replace(found)
    assert leftovers(maker) == [old]  # its download is still growing
    for path in (*folder.iterdir(), folder):
        os.utime(path, (past, past))
    maker.replace(found)
    assert leftovers(maker) == []


@POSIX
def test_files_of_others_beside_it_stay(maker: Maker) -> None:
    maker.release("1.0.0")
    (found,) = maker.known()
    folder = maker.file.parent
    elsewhere = maker.folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("precious")
    (folder / ".new-tavo-abcdefgh").symlink_to(elsewhere)
    (folder / ".new-tavo-ABCDEFGH").mkdir()
    (folder / ".new-thing").write_text("not ours")
    (folder / ".new-tavo-12345678").write_text("a file")
    (folder / ".new-tavo-00000000").mkdir()
    (folder / ".new-tavo-zzzzzzzz").mkdir()
    past = time.time() - 3600
    for path in folder.glob(".new-*"):
        os.utime(path, (past, past), follow_symlinks=False)
    kept = set(leftovers(maker)) - {".new-tavo-00000000", ".new-tavo-zzzzzzzz"}
    maker.replace(found)
    assert set(leftovers(maker)) == kept
    assert len(kept) == 4
    assert (elsewhere / "precious").exists()


def test_a_source_that_fails_in_the_middle_leaves_nothing_behind(maker: Maker) -> None:
    maker.release("1.0.0")
    (found,) = maker.known()

    class Failing(DirectorySource):
        def read(self, path: str, deadline: Deadline) -> Iterator[bytes]:
            yield b"#"
            raise SourceError(f"{path}: not finished within 600 s")

    with pytest.raises(SourceError, match="not finished"):
        maker.replace(found, Failing(maker.simulator.directory))
    assert maker.is_untouched()
