"""Mirrors: complete, verified, re-runnable, and the old one or the new one at any instant."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest

from marketplace_db.bundle_import import import_bundle
from marketplace_db.bundle_write import export
from marketplace_db.catalog import Catalog
from marketplace_db.errors import MirrorError
from marketplace_db.mirror import MirrorReport, sync
from marketplace_db.mirror_prune import Pruned, prune
from marketplace_db.selection import Contents, Selection
from signing.client import DirectorySource, HttpSource, Source, TrustState
from signing.errors import ExpiredError, MissingError, RollbackError, SourceError, VerificationError
from signing.roles import blob_path
from signing.sources import Deadline
from tavo.registry.mirror_server import MirrorServer
from tests.fakes.operator_market import Marketplace
from tests.fakes.repository import NOW, Machine, RepositorySimulator, serve

ROOT = Path(__file__).parents[2]


@dataclass
class Site:
    """A marketplace, its published repository, and the folder that becomes its mirror."""

    market: Marketplace
    simulator: RepositorySimulator
    folder: Path

    @property
    def mirror(self) -> Path:
        return self.folder / "mirror"

    def sync(self, source: Source | Path | None = None, **options: object) -> MirrorReport:
        values: dict[str, object] = {
            "root": self.simulator.root,
            "cache": self.folder / "mirror-cache",
            "state": TrustState(),
            "now": self.simulator.now,
            "build_time": NOW - timedelta(days=5),
        }
        return sync(
            source or self.simulator.directory,
            self.mirror,
            **{**values, **options},  # type: ignore[arg-type]
        )

    def next_day(self) -> None:
        self.market.approve(self.market.package(version="1.1.0"))
        self.market.publish(self.simulator)
        self.simulator.now += timedelta(days=1)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    market = Marketplace(tmp_path)
    market.approve(market.package())
    return Site(market, market.publish(), tmp_path)


def install_from(site: Site, folder: Path) -> list[str]:
    """Refresh a fresh client from a tree, and read every blob that the catalog names."""
    machine = Machine(site.folder / f"cache-{folder.name}", site.simulator.root)
    machine.now = site.simulator.now
    refreshed = machine.refresh(DirectorySource(folder), with_releases=True)
    with Catalog.open(refreshed.catalog, thorough=True) as catalog:
        releases = list(catalog.releases())
    for release in releases:
        for digest in (release.package, release.publisher_envelope, *release.reviewer_envelopes):
            assert (folder / blob_path(digest)).exists()
    return [release.version for release in releases]


def test_a_mirror_is_a_full_repository(site: Site) -> None:
    report = site.sync()
    assert report.releases == 1
    assert report.fetched_files > 4
    assert install_from(site, site.mirror) == ["1.0.0"]


def test_a_mirror_of_a_mirror_is_the_same(site: Site, tmp_path: Path) -> None:
    site.sync()
    second = Site(site.market, site.simulator, tmp_path / "second")
    second.sync(site.mirror)
    for path in site.mirror.rglob("*"):
        if path.is_file() and path.name != "mirror.json":
            assert (second.mirror / path.relative_to(site.mirror)).read_bytes() == path.read_bytes()


def test_a_mirror_over_http_is_the_same(site: Site) -> None:
    with serve(site.simulator.directory) as url, HttpSource(url) as source:
        site.sync(source)
    assert install_from(site, site.mirror) == ["1.0.0"]


@pytest.mark.parametrize("how", ["folder", "read only", "server", "server with ranges"])
def test_a_mirror_is_read_in_the_same_way_wherever_it_lies(
    site: Site, tmp_path: Path, how: str
) -> None:
    """One code path: what comes of it is the same tree, byte for byte."""
    site.sync()
    second = Site(site.market, site.simulator, tmp_path / "second")
    with contextlib.ExitStack() as stack:
        source: Source | Path = site.mirror
        if how == "read only":
            for path in (*site.mirror.rglob("*"), site.mirror):
                path.chmod(0o555 if path.is_dir() else 0o444)
            stack.callback(lambda: [path.chmod(0o755) for path in site.mirror.rglob("*")])
            stack.callback(site.mirror.chmod, 0o755)
        elif how == "server":  # Python's own: no ranges, no entity tags
            source = stack.enter_context(HttpSource(stack.enter_context(serve(site.mirror))))
        elif how == "server with ranges":
            server = stack.enter_context(MirrorServer(site.mirror, "127.0.0.1", 0))
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
            stack.callback(server.shutdown)
            source = stack.enter_context(HttpSource(server.address))
        report = second.sync(source)
    assert report.fetched_files == site.sync().kept_files
    trees = [
        {name: (folder / name).read_bytes() for name in files_of(folder) if "lock" not in name}
        for folder in (site.mirror, second.mirror)
    ]
    for tree in trees:
        tree["mirror.json"] = b""
    assert trees[0] == trees[1]
    assert install_from(second, second.mirror) == ["1.0.0"]


def test_a_second_run_fetches_only_what_is_new(site: Site) -> None:
    first = site.sync()
    assert site.sync(state=first.refreshed.state).fetched_files == 0
    site.next_day()
    again = site.sync(state=first.refreshed.state)
    assert again.releases == 2
    # A package, its three statements, and the next catalog.
    assert again.fetched_files == 5
    assert again.kept_files == first.fetched_files - 1
    assert install_from(site, site.mirror) == ["1.0.0", "1.1.0"]


def test_a_damaged_file_in_the_mirror_is_replaced(site: Site) -> None:
    site.sync()
    blob = next(path for path in (site.mirror / "blobs").rglob("*") if path.is_file())
    content = blob.read_bytes()
    blob.write_bytes(b"damaged")
    assert site.sync().fetched_files == 1
    assert blob.read_bytes() == content


def test_a_damaged_source_is_refused_and_the_old_mirror_stays(site: Site) -> None:
    site.sync()
    before = (site.mirror / "metadata" / "timestamp.json").read_bytes()
    site.next_day()
    for blob in (site.simulator.directory / "blobs").rglob("*"):
        if blob.is_file():
            blob.write_bytes(b"x" * blob.stat().st_size)
    with pytest.raises(VerificationError):
        site.sync()
    assert (site.mirror / "metadata" / "timestamp.json").read_bytes() == before
    site.simulator.now -= timedelta(days=1)
    assert install_from(site, site.mirror) == ["1.0.0"]


def test_an_endless_blob_is_cut_off(site: Site) -> None:
    class Endless:
        """Serves the honest tree, but blobs that never end: a package or a statement first."""

        name = "endless"
        honest = DirectorySource(site.simulator.directory)
        given = 0

        def read(self, path: str, deadline: Deadline) -> Iterator[bytes]:
            if not path.startswith("blobs/"):
                yield from self.honest.read(path, deadline)
                return
            while True:
                self.given += 1000
                yield b"x" * 1000

        def root_versions(self) -> frozenset[int] | None:
            return None

    source = Endless()
    with pytest.raises(VerificationError, match=r"longer than \d|longer, signed"):
        site.sync(source)
    assert source.given < 200_000
    assert not (site.mirror / "metadata").exists()


def test_an_incomplete_source_is_named(site: Site) -> None:
    for blob in (site.simulator.directory / "blobs").rglob("*"):
        if blob.is_file():
            blob.unlink()
    with pytest.raises(SourceError, match="blobs/sha256/"):
        site.sync()
    assert not (site.mirror / "metadata").exists()


def test_an_expired_source_is_refused(site: Site) -> None:
    with pytest.raises(ExpiredError):
        site.sync(now=NOW + timedelta(days=40))


def test_an_older_source_is_refused_with_and_without_memory(site: Site, tmp_path: Path) -> None:
    old = site.simulator.copy(tmp_path / "old")
    site.next_day()
    first = site.sync()
    with pytest.raises(RollbackError):
        site.sync(old, state=first.refreshed.state, cache=tmp_path / "c1")
    with pytest.raises(MirrorError, match="is newer than what is offered"):
        site.sync(old, cache=tmp_path / "c2")
    # Control: into an empty folder, a machine that remembers nothing takes the old copy.
    fresh = Site(site.market, site.simulator, tmp_path / "fresh")
    fresh.sync(old)


def test_another_repository_is_not_written_over_a_mirror(site: Site, tmp_path: Path) -> None:
    site.sync()
    market = Marketplace(tmp_path / "other")
    market.approve(market.package())
    other = market.publish()
    with pytest.raises(MirrorError, match="is a mirror of another repository"):
        site.sync(other.directory, root=other.root, cache=tmp_path / "c")


def test_a_folder_with_other_files_is_left_alone(site: Site) -> None:
    site.mirror.mkdir()
    (site.mirror / "thesis.txt").write_text("important")
    with pytest.raises(MirrorError, match=r"holds other files \('thesis\.txt'\)"):
        site.sync()
    assert [path.name for path in site.mirror.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize("place", [".", "inside", ".."])
def test_source_and_destination_must_be_apart(site: Site, place: str) -> None:
    with pytest.raises(MirrorError, match="lies in the repository that is copied, or around it"):
        sync(
            site.simulator.directory,
            site.simulator.directory / place,
            root=site.simulator.root,
            cache=site.folder / "c",
            state=TrustState(),
            now=NOW,
            build_time=NOW,
        )


def test_a_lying_hint_changes_nothing(site: Site) -> None:
    site.sync()
    (site.mirror / "mirror.json").write_text('{"repository": 3')
    site.next_day()
    assert site.sync().releases == 2


def test_progress_is_reported_step_by_step(site: Site) -> None:
    class Counting:
        total: int | None = None
        done = 0
        ended = False

        def begin(self, what: str, total: int | None, unit: str = "") -> None:
            self.total = total

        def advance(self, steps: int = 1) -> None:
            self.done += steps

        def end(self) -> None:
            self.ended = True

    counting = Counting()
    site.sync(reporter=counting)
    assert counting.ended
    assert counting.done == counting.total


KILLED = """
import os, signal, sys
from datetime import datetime
from pathlib import Path
from signing import files
from marketplace_db.mirror import sync
from signing.client import TrustState

after, source, mirror, root, cache, now = sys.argv[1:]
left = int(after)
real = os.replace
def replace(self, target):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, target)
Path.replace = lambda self, target: replace(self, target)
now = datetime.fromisoformat(now)
sync(Path(source), Path(mirror), root=Path(root).read_bytes(), cache=Path(cache),
     state=TrustState(), now=now, build_time=now)
"""


@pytest.mark.parametrize("after", [0, 3, 6, 8, 11, 13, 15, 17])
def test_killed_at_any_step_the_mirror_is_the_old_one_or_the_new_one(
    site: Site, after: int, tmp_path: Path
) -> None:
    site.sync()
    site.next_day()
    root = tmp_path / "root.json"
    root.write_bytes(site.simulator.root)
    arguments = [
        str(after), str(site.simulator.directory), str(site.mirror), str(root),
        str(tmp_path / "killed-cache"), site.simulator.now.isoformat(),
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        check=False,
        capture_output=True,
    )
    assert done.returncode in {-signal.SIGKILL, 0}, done.stderr.decode()
    assert after > 8 or done.returncode == -signal.SIGKILL
    assert install_from(site, site.mirror) in (["1.0.0"], ["1.0.0", "1.1.0"])
    site.sync()
    assert install_from(site, site.mirror) == ["1.0.0", "1.1.0"]


def known_of(site: Site) -> dict[str, object]:
    return {
        "root": site.simulator.root, "cache": site.folder / "mirror-cache", "state": TrustState(),
        "now": site.simulator.now, "build_time": NOW - timedelta(days=5),
    }  # fmt: skip


def pruned(site: Site, **options: object) -> Pruned:
    values: dict[str, object] = {"delete": False, "days": 0.0, **known_of(site), **options}
    return prune(site.mirror, **values)  # type: ignore[arg-type]


def files_of(folder: Path) -> set[str]:
    return {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    }  # fmt: skip


def test_what_nothing_refers_to_is_listed_and_goes_only_if_told(site: Site) -> None:
    first = site.sync()
    assert pruned(site).files == 0
    site.next_day()
    site.sync(state=first.refreshed.state)
    blobs = site.mirror / "blobs" / "sha256"
    empty = next(name for n in range(256) if not (blobs / (name := f"{n:02x}")).exists())
    stray = blobs / empty / (empty + "0" * 62)
    stray.parent.mkdir()
    stray.write_bytes(b"nobody's")
    (stray.parent / ".new-left").write_bytes(b"of a killed run")
    (site.mirror / "blobs" / "notes.txt").write_text("not ours")
    before = files_of(site.mirror)

    assert pruned(site, days=1.0) == Pruned(0, 0, pruned(site).files, ())
    found = pruned(site)
    assert files_of(site.mirror) == before  # nothing is deleted by looking
    kinds = {path.rpartition("/")[0] for path in found.paths}
    assert kinds == {"metadata", "targets/catalog", f"blobs/sha256/{empty}"}
    assert not any("root.json" in path or "timestamp" in path for path in found.paths)

    gone = pruned(site, delete=True)
    assert gone.paths == found.paths
    assert before - files_of(site.mirror) == set(found.paths)
    assert not stray.parent.exists()
    assert pruned(site).files == 0
    assert install_from(site, site.mirror) == ["1.0.0", "1.1.0"]


def test_what_a_build_published_goes_across_an_air_gap_and_is_pruned(tmp_path: Path) -> None:
    """The versions of a build's lists are seconds since 1970, and have ten digits."""
    market = Marketplace(tmp_path)
    market.approve(market.package())
    outside = Site(market, market.publish(first_version=1_795_982_370), tmp_path)
    outside.sync()
    known = known_of(outside)
    written = export(outside.mirror, tmp_path / "out", size=1 << 30, since=None, **known)  # type: ignore[arg-type]
    report, _ = import_bundle(written.parts, tmp_path / "inside", **known)  # type: ignore[arg-type]
    assert report.releases == 1
    assert install_from(outside, tmp_path / "inside") == ["1.0.0"]
    (old,) = (outside.mirror / "metadata").glob("*.snapshot.json")
    outside.next_day()
    outside.sync()
    assert pruned(outside, delete=True).files > 2
    assert not old.exists()
    assert install_from(outside, outside.mirror) == ["1.0.0", "1.1.0"]


def test_a_repository_that_no_sync_wrote_is_not_pruned(site: Site) -> None:
    """It holds packages that wait for reviewers: no catalog names them yet."""
    waiting = site.simulator.repository.add_blob(b"a package that waits")
    there = site.simulator.directory / blob_path(waiting)
    with pytest.raises(MirrorError, match="was not written by `tavo mirror sync`"):
        prune(site.simulator.directory, delete=True, days=0.0, **known_of(site))  # type: ignore[arg-type]
    assert there.exists()
    # Control: with the hint of a mirror, it would go.
    hint = site.simulator.directory / "mirror.json"
    hint.write_text('{"catalog_sha256": "x"}')
    prune(site.simulator.directory, delete=True, days=0.0, **known_of(site))  # type: ignore[arg-type]
    assert not there.exists()


def test_a_mirror_that_does_not_verify_is_not_pruned(site: Site) -> None:
    site.sync()
    before = files_of(site.mirror)
    with pytest.raises(ExpiredError):
        pruned(site, delete=True, now=NOW + timedelta(days=40))
    assert files_of(site.mirror) == before


class Watched:
    """A directory as a source, which counts how many files are read at the same time."""

    name = "watched"

    def __init__(self, folder: Path, broken: str = "", wanted: int = 0) -> None:
        """Let the first `wanted` readings of blobs wait for each other."""
        self.honest = DirectorySource(folder)
        self.broken = broken
        self.wanted, self.are_there = wanted, threading.Event()
        self.lock = threading.Lock()
        self.now = self.most = 0

    def read(self, path: str, deadline: Deadline) -> Iterator[bytes]:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
            if self.now >= self.wanted:
                self.are_there.set()
        try:
            if path.startswith("blobs/"):
                self.are_there.wait(60)
            time.sleep(0.02)
            if self.broken and path.startswith(self.broken):
                yield b"x"
            yield from self.honest.read(path, deadline)
        finally:
            with self.lock:
                self.now -= 1

    def root_versions(self) -> frozenset[int] | None:
        return None


@pytest.mark.parametrize("connections", [1, 3])
def test_so_many_files_come_at_a_time(site: Site, connections: int) -> None:
    for number in range(2, 6):
        site.market.approve(site.market.package(version=f"1.{number}.0"))
    site.market.publish(site.simulator)
    source = Watched(site.simulator.directory, wanted=connections)
    report = site.sync(source, connections=connections)
    assert source.most == connections
    assert report.releases == 5
    assert len(install_from(site, site.mirror)) == 5


def test_the_first_file_that_fails_ends_the_others(site: Site) -> None:
    for number in range(2, 6):
        site.market.approve(site.market.package(version=f"1.{number}.0"))
    site.market.publish(site.simulator)
    source = Watched(site.simulator.directory, broken="blobs/")
    with pytest.raises(VerificationError):
        site.sync(source, connections=3)
    assert not [one.name for one in threading.enumerate() if one.name.startswith("mirror")]
    assert not (site.mirror / "metadata").exists()
    assert site.sync().releases == 5


def test_a_file_that_is_shared_by_releases_comes_once(site: Site) -> None:
    contents = Contents(site.sync().refreshed.catalog, Selection())
    blobs = [digest for digest, _ in contents.blobs()]
    assert blobs == sorted(set(blobs))
    assert set(contents.statements()) < set(blobs)


@pytest.mark.parametrize(("filename", "wanted"), [
    ("a-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
    ("a-1.0-cp310-cp310-manylinux_2_17_x86_64.whl", False),
    ("a-1.0-cp38-abi3-manylinux_2_17_x86_64.whl", True),
    ("a-1.0-cp312-abi3-manylinux_2_17_x86_64.whl", False),
    ("a-1.0-1-cp311-cp311-musllinux_1_2_x86_64.whl", True),
    ("a-1.0-cp311-cp311-manylinux_2_17_aarch64.whl", False),
    ("a-1.0-py3-none-any.whl", True),
    ("a-1.0-py310-none-any.whl", True),
    ("a-1.0-py2-none-any.whl", False),
    ("a-1.0-py2.py3-none-any.whl", True),
    ("a-1.0-py3-none-macosx_11_0_arm64.whl", False),
    ("no-wheel", True),
])  # fmt: skip
def test_wheels_are_chosen_by_python_and_machine(filename: str, wanted: bool) -> None:
    chosen = Selection.of(pythons=["3.11"], platforms=["linux-x86_64"])
    assert chosen.wants_wheel(filename) is wanted
    assert Selection().wants_wheel(filename)


def test_filters_of_an_earlier_mirror_are_read() -> None:
    """`pythons` came later: what has no such field chooses every version."""
    before = {"plugins": ["acme/a"], "platforms": ["linux"]}
    assert Selection.from_dict(before).pythons == ()
    assert Selection.from_dict(before).to_dict() == before
    with pytest.raises(MirrorError, match=r"3\.x: not a version of Python"):
        Selection.of(pythons=["3.x"])
    with pytest.raises(MirrorError, match=r"linux-sparc: not a platform"):
        Selection.of(platforms=["linux-sparc"])


@pytest.mark.parametrize("over_http", [False, True])
def test_a_source_that_is_a_part_of_the_catalog_says_so(site: Site, over_http: bool) -> None:
    site.market.approve(site.market.package(id="other", name="Other"))
    site.market.publish(site.simulator)
    only = Selection.of(plugins=["acme/other"])
    site.sync(selection=only)
    part = site.mirror.rename(site.folder / "part")
    with contextlib.ExitStack() as stack:
        source: Source = DirectorySource(part)
        if over_http:
            source = stack.enter_context(HttpSource(stack.enter_context(serve(part))))
        with pytest.raises(MissingError) as caught:
            site.sync(source)
        said = f"{source.name} is a mirror of a part of the catalog (plugins: acme/other)."
        assert caught.value.hint.startswith(said)
        (part / "mirror.json").write_text('{"filters": {"plugins": ["\\u001b[2J"]}}')
        with pytest.raises(MissingError) as caught:
            site.sync(source)
        assert caught.value.hint.startswith("The mirror is incomplete")
        assert site.sync(source, selection=only).releases == 1
