"""A backup of a served marketplace that people write to, and what is restored of it."""

from __future__ import annotations

import itertools
import json
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from marketplace_db.intake import Market
from signing.ceremony import Change
from signing.digests import Digest
from signing.errors import RepositoryError, VerificationError
from signing.roles import OFFLINE_ROLES
from tavo.operator import backup
from tavo.operator.backup import back_up, restore
from tavo.operator.marketplace import OperatedMarket
from tests.fakes.executed import ENABLED, Executed, add_dynamic
from tests.fakes.operated import Operated
from tests.fakes.served import Served, marketplace

REVIEW = "/api/v1/plugins/acme%2Freach/reviews"
INSTALL = "/api/v1/plugins/acme%2Freach/install"


class Writers:
    """People who write all the time; `acknowledged` are the keys that were answered."""

    def __init__(self, served: Served, count: int = 6) -> None:
        self.acknowledged: list[str] = []
        self.wrong: list[int] = []
        self._ended = threading.Event()
        self._served = served
        self._threads = [
            threading.Thread(target=self._write, args=(number,)) for number in range(count)
        ]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _write(self, number: int) -> None:
        headers = {"authorization": f"Bearer {self._served.tokens['bob']}"}
        with httpx.Client(base_url=self._served.url, trust_env=False, timeout=60) as client:
            for turn in itertools.count():
                if self._ended.is_set():
                    return
                key = f"writer-{number}-{turn:06}"
                done = client.post(INSTALL, json={"key": key}, headers=headers)
                if done.status_code != 200:
                    self.wrong.append(done.status_code)
                self.acknowledged.append(key)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Served, Path, list[str]]]:
    """A served market, its backup that was made while people wrote, and what they knew before."""
    operated = marketplace(tmp_path_factory.mktemp("kept"), count=2)
    add_dynamic(operated)
    served = Served(operated, more=ENABLED)
    folder = tmp_path_factory.mktemp("backups") / "one"
    executed = Executed(operated)
    executed.target("http://127.0.0.1:9/v1")
    executed.ask(key="waits-for-ever")
    with Writers(served) as writers:
        while len(writers.acknowledged) < 30:
            time.sleep(0.02)
        before = list(writers.acknowledged)
        handed_in = served.hand_in("alice", id="late", name="Late")
        assert handed_in.status_code == 201
        with operated.open() as place:
            back_up(place, folder, now=operated.now)
        after = len(writers.acknowledged)
        while len(writers.acknowledged) < after + 10:
            time.sleep(0.02)
    assert writers.wrong == [], "a backup does not turn anybody away"
    executed.market.close()
    yield served, folder, before
    served.stop()


def test_a_restored_market_has_what_was_there_and_serves(
    written: tuple[Served, Path, list[str]], tmp_path: Path
) -> None:
    served, folder, before = written
    operated = served.operated
    new = tmp_path / "new"
    done = restore(folder, new, root_sha256=backup._read(folder).root_sha256, now=operated.now)
    assert (done.failed_runs, done.valid_tokens, done.expired) == (1, 4, False)
    with Market.open(new) as market:
        keys = market.connection.execute("SELECT count(*) FROM plugin_installations").fetchone()[0]
        run = market.connection.execute("SELECT state, outcome FROM plugin_executions").fetchone()
    assert keys >= len(before)
    assert run["state"] == "failed"
    assert "was restored from a backup; a run is not begun a second time" in run["outcome"]
    assert not [one for one in new.rglob("*") if one.suffix == ".key"]
    theirs = served.ask("GET", "/plugins/marketplace").json()
    again = Operated.__new__(Operated)  # the same keys and people, over the restored folder
    again.__dict__.update(operated.__dict__, folder=tmp_path, directory=new)
    second = Served.__new__(Served)
    second.operated, second.tokens = again, served.tokens
    second.log = tmp_path / "serve.log"
    second.start()
    assert second.ask("GET", "/plugins/marketplace").json() == theirs
    for key in before:  # each of them is there: telling it again makes no second one
        assert second.ask("POST", INSTALL.removeprefix("/api/v1"), "bob", json={"key": key}
                          ).status_code == 200  # fmt: skip
    with closing(sqlite3.connect(new / "market.db")) as connection:
        (now,) = connection.execute("SELECT count(*) FROM plugin_installations").fetchone()
    assert now == keys
    listed = second.ask("GET", "/submissions", "alice").json()["submissions"]
    assert "acme/late" in [one["plugin"] for one in listed]
    again.add(id="after", name="After")
    assert second.stop() == "ended in order\n"


def test_a_backup_made_while_a_release_is_made_is_whole(tmp_path: Path) -> None:
    operated = marketplace(tmp_path, count=1)
    ended = threading.Event()
    problems: list[BaseException] = []

    def release() -> None:
        try:
            for number in itertools.count():
                if ended.is_set():
                    return
                operated.add(id=f"more-{number}", name=f"More {number}")
        except BaseException as error:
            problems.append(error)

    thread = threading.Thread(target=release)
    thread.start()
    try:
        for number in range(4):
            with OperatedMarket.open(operated.directory, operated.keys) as place:
                back_up(place, tmp_path / f"backup-{number}", now=operated.now)
    finally:
        ended.set()
        thread.join()
    assert problems == []
    for number in range(4):
        new = tmp_path / f"new-{number}"
        restore(tmp_path / f"backup-{number}", new, now=operated.now)
        with OperatedMarket.open(new, operated.keys) as place:
            assert place.release(operated.now + timedelta(days=1)).releases >= 5


def change_blob(folder: Path) -> None:
    blob = max((folder / "blobs").rglob("*"), key=lambda one: len(one.name))
    blob.write_bytes(blob.read_bytes() + b"x")


def lose_blob(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "market.db")) as connection:
        (digest,) = connection.execute("SELECT package FROM submissions LIMIT 1").fetchone()
    (folder / "blobs" / "sha256" / digest[:2] / digest).unlink()


def change_database(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "market.db")) as connection, connection:
        connection.execute("UPDATE tokens SET scopes = 'operate'")


def damage_database(folder: Path) -> None:
    """Also what backup.json says, as a disk that rots before the backup would."""
    path = folder / "market.db"
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 2048] = bytes(2048)
    path.write_bytes(bytes(data))
    made = json.loads((folder / "backup.json").read_text())
    made["files"]["market.db"]["sha256"] = backup._copied(path).sha256
    (folder / "backup.json").write_text(json.dumps(made))


def change_catalog(folder: Path) -> None:
    for path in (folder / "repository" / "targets" / "catalog").glob("*.catalog.db"):
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("UPDATE plugins SET name = 'Other'")


def change_metadata(folder: Path) -> None:
    path = folder / "repository" / "metadata" / "timestamp.json"
    path.write_bytes(path.read_bytes().replace(b'"version":', b'"version": 1'))


def lose_released_blob(folder: Path) -> None:
    shutil.rmtree(folder / "repository" / "blobs")


def link_away(folder: Path) -> None:
    (folder / "blobs" / "link").symlink_to("/etc/passwd")


def name_elsewhere(folder: Path) -> None:
    path = folder / "backup.json"
    made = json.loads(path.read_text())
    made["files"]["../outside"] = made["files"]["market.db"]
    path.write_text(json.dumps(made))


def other_format(folder: Path) -> None:
    path = folder / "backup.json"
    path.write_text(path.read_text().replace('"format":1', '"format":2'))


def unfinished(folder: Path) -> None:
    (folder / "backup.json").unlink()


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (change_blob, "has not the content of its name"),
        (lose_blob, "is named and not there"),
        (change_database, "market.db: is not the file that was backed up"),
        (damage_database, "market.db: "),
        (change_catalog, "catalog.db"),
        (change_metadata, "timestamp"),
        (lose_released_blob, "is missing or damaged"),
        (link_away, "is no file"),
        (name_elsewhere, "names other files than a backup has"),
        (other_format, "is not one of this version"),
        (unfinished, "is no backup"),
    ],
)
def test_a_damaged_backup_is_not_restored(
    written: tuple[Served, Path, list[str]], tmp_path: Path, harm: Callable[[Path], None],
    sentence: str,
) -> None:  # fmt: skip
    served, folder, _ = written
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    harm(copy)
    with pytest.raises(Exception, match=sentence) as refused:
        restore(copy, tmp_path / "new", now=served.operated.now)
    assert type(refused.value).__module__.split(".")[0] in {"signing", "marketplace_db"}
    assert sorted(one.name for one in tmp_path.iterdir()) == ["copy"], "nothing is left behind"


def test_another_root_and_a_folder_in_use_are_refused(
    written: tuple[Served, Path, list[str]], tmp_path: Path
) -> None:
    served, folder, _ = written
    with pytest.raises(VerificationError, match=r"the backup has no root abababab.*, it has "):
        restore(folder, tmp_path / "new", root_sha256="ab" * 32, now=served.operated.now)
    with pytest.raises(RepositoryError, match="is not empty"):
        restore(folder, folder, now=served.operated.now)


def test_a_backup_whose_dates_are_over_comes_back_and_says_so(
    written: tuple[Served, Path, list[str]], tmp_path: Path
) -> None:
    served, folder, _ = written
    later = served.operated.now + timedelta(days=400)
    assert restore(folder, tmp_path / "new", now=later).expired
    with OperatedMarket.open(tmp_path / "new", served.operated.keys) as place:
        late = tmp_path / "late"
        back_up(place, late, now=later)  # when it has expired already
    assert restore(late, tmp_path / "newer", now=later).expired


def test_any_root_that_was_in_force_may_be_named(tmp_path: Path) -> None:
    operated = Operated(tmp_path)
    with operated.open() as place:
        ceremony = place.prepare(Change(renew=("root",)), operated.now)
        ceremony.sign_all(key for role in OFFLINE_ROLES for key in operated.keys.of(role))
        place.adopt(ceremony, operated.now)
        roots = [operated.root, place.repository.root_bytes]
        back_up(place, tmp_path / "backup", now=operated.now)
    assert roots[0] != roots[1]
    for number, root in enumerate(roots):
        done = restore(
            tmp_path / "backup", tmp_path / f"new-{number}", root_sha256=Digest.of(root).hex,
            now=operated.now,
        )  # fmt: skip
        assert done.root_sha256 == Digest.of(roots[0]).hex
    stray = tmp_path / "backup" / "repository" / "metadata" / "77.root.json"
    other = Operated(tmp_path / "other").root
    stray.write_bytes(other)  # a file beside the chain proves nothing
    with pytest.raises(VerificationError, match="the chain of roots has a gap"):
        restore(
            tmp_path / "backup", tmp_path / "new", root_sha256=Digest.of(other).hex,
            now=operated.now,
        )  # fmt: skip


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    operated = Operated(tmp_path)
    (tmp_path / "file").write_text("")
    with operated.open() as place:
        with pytest.raises(RepositoryError, match="file/backup: cannot be written: Not a dir"):
            back_up(place, tmp_path / "file" / "backup", now=operated.now)
        back_up(place, tmp_path / "backup", now=operated.now)
    with pytest.raises(RepositoryError, match="file/new: cannot be written: Not a directory"):
        restore(tmp_path / "backup", tmp_path / "file" / "new", now=operated.now)
