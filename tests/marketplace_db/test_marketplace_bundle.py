"""Bundles: full and incremental, in parts, verified as online, and refused by name."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from marketplace_db import bundle as bundles
from marketplace_db.bundle import LABEL, Bundle, read_label
from marketplace_db.bundle_import import import_bundle
from marketplace_db.bundle_write import Exported, Have, export, part_size, read_have, recut
from marketplace_db.catalog import Catalog
from marketplace_db.errors import MarketplaceError, MirrorError
from marketplace_db.mirror import MirrorReport, sync
from marketplace_db.mirror_check import check
from marketplace_db.selection import EVERYTHING, Selection
from signing.client import DirectorySource, TrustState
from signing.errors import RollbackError, SigningError, SourceError, VerificationError
from signing.repository import Repository
from tests.fakes import exfat
from tests.fakes.operated import Operated
from tests.fakes.repository import NOW, serve

ROOT = Path(__file__).parents[2]
CORPUS = sorted((ROOT / "tests" / "attacks" / "bundles").glob("*.tavob"))
SMALL = 64 << 10


class Side:
    """A machine with a mirror: its own cache, and what it has accepted before."""

    def __init__(self, operated: Operated, folder: Path) -> None:
        self.operated = operated
        self.folder = folder
        self.mirror = folder / "mirror"
        self.state = TrustState()

    def known(self) -> dict[str, Any]:
        return {
            "root": self.operated.root, "cache": self.folder / "cache", "state": self.state,
            "now": self.operated.now, "build_time": NOW - timedelta(days=5),
        }  # fmt: skip

    def sync(self, **options: Any) -> MirrorReport:
        report = sync(self.operated.tree, self.mirror, **self.known(), **options)
        self.state = report.refreshed.state
        return report

    def export(self, out: Path, size: int = SMALL, since: Have | None = None) -> Exported:
        return export(self.mirror, out, size=size, since=since, **self.known())

    def load(self, *places: Path) -> MirrorReport:
        report, _ = import_bundle(places, self.mirror, **self.known())
        self.state = report.refreshed.state
        return report

    def releases(self) -> int:
        checked = check(DirectorySource(self.mirror), EVERYTHING, **self.known())
        assert not checked.missing
        assert not checked.damaged
        with Catalog.open(checked.refreshed.catalog) as catalog:
            return len(list(catalog.releases()))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Operated:
    """A market with twenty plugins, so that a day's change is a small part of its catalog."""
    operated = Operated(tmp_path_factory.mktemp("operated"))
    for number in range(20):
        operated.approve(operated.hand_in(id=f"plugin-{number}", version="1.0.0"))
    operated.release()
    return operated


class Story:
    """What happened once, and is read by many tests: two full bundles and the step between."""

    def __init__(self, operated: Operated, folder: Path) -> None:
        self.operated = operated
        self.outside = Side(operated, folder / "outside")
        self.outside.sync()
        self.first_day = operated.now
        self.full = self.outside.export(folder / "full")
        operated.add(id="plugin-3", version="1.1.0")
        self.second = self.outside.sync()
        assert self.full.have is not None
        since = read_have(self.full.have)
        self.step = self.outside.export(folder / "step", since=since)


@pytest.fixture(scope="module")
def story(made: Operated, tmp_path_factory: pytest.TempPathFactory) -> Story:
    return Story(made, tmp_path_factory.mktemp("story"))


@pytest.fixture
def inside(story: Story, tmp_path: Path) -> Side:
    return Side(story.operated, tmp_path / "inside")


def copy_of(exported: Exported, folder: Path) -> list[Path]:
    folder.mkdir(parents=True)
    return [Path(shutil.copy(path, folder)) for path in exported.parts]


def test_a_sync_takes_the_delta_and_counts(story: Story) -> None:
    assert story.second.refreshed.deltas == 1
    assert story.second.requests <= 10
    assert story.second.fetched_bytes < 40_000
    catalog = next((story.outside.mirror / "targets" / "catalog").glob("*.catalog.db"))
    assert story.second.fetched_bytes < catalog.stat().st_size
    assert story.outside.releases() == 21


def test_a_sync_with_nothing_new_reads_metadata_only(story: Story, tmp_path: Path) -> None:
    side = Side(story.operated, tmp_path / "side")
    side.sync()
    again = side.sync()
    assert (again.fetched_files, again.requests <= 3) == (0, True)
    assert again.fetched_bytes < 2000
    shutil.rmtree(side.folder / "cache")  # what lies in the mirror is not fetched again either
    again = side.sync()
    assert again.fetched_files == 0
    assert again.fetched_bytes < 20_000
    for path in (side.mirror / "targets" / "catalog").glob("*.catalog.db"):  # control: but hashed
        path.write_bytes(b"damaged")
    shutil.rmtree(side.folder / "cache")
    assert side.sync().fetched_files == 1
    assert side.releases() == 21


def test_a_full_bundle_in_parts_of_any_order_makes_the_mirror(
    story: Story, inside: Side, tmp_path: Path
) -> None:
    assert len(story.full.parts) >= 3
    assert all(path.stat().st_size <= SMALL for path in story.full.parts)
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    for number, path in enumerate(reversed(story.full.parts)):
        shutil.copy(path, (one, two)[number % 2] / f"{number}.TAVOB")  # names do not matter
    report = inside.load(two, one)
    assert report.releases == 20
    assert inside.releases() == 20
    again = inside.load(two, one)
    assert (again.fetched_files, again.kept_files) == (0, report.fetched_files)


def test_an_incremental_bundle_is_small_and_complete(story: Story, inside: Side) -> None:
    inside.load(*story.full.parts)
    assert story.step.bytes < story.full.bytes / 4
    report = inside.load(*story.step.parts)
    assert report.refreshed.deltas == 1
    assert report.refreshed.record.source == str(inside.mirror.resolve())
    assert inside.releases() == 21


def test_an_incremental_bundle_needs_no_cache_of_the_client(story: Story, inside: Side) -> None:
    inside.load(*story.full.parts)
    shutil.rmtree(inside.folder / "cache")
    assert inside.load(*story.step.parts).refreshed.deltas == 1


def test_the_other_side_can_be_told_by_a_bundle_or_by_a_mirror(
    story: Story, inside: Side, tmp_path: Path
) -> None:
    inside.load(*story.full.parts)
    for number, place in enumerate((inside.mirror, story.full.parts[0].parent)):
        again = story.outside.export(tmp_path / str(number), since=read_have(place))
        assert again.summary._replace(written="") == story.step.summary._replace(written="")
    with pytest.raises(MirrorError, match="is incremental, and does not tell all"):
        read_have(story.step.parts[0].parent)


def test_what_a_bundle_is_can_be_read_by_a_person(story: Story) -> None:
    text = story.step.parts[0].read_bytes()[:LABEL].decode()
    assert text.startswith('TAVO-BUNDLE 1\n{\n "bundle": "')
    assert '"kind": "incremental"' in text
    assert f'"base": {story.full.summary.timestamp}' in text
    assert read_label(story.full.parts[-1]).summary == story.full.summary


def test_a_bundle_is_cut_again_and_stays_the_same(
    story: Story, inside: Side, tmp_path: Path
) -> None:
    out = tmp_path / "again"
    whole = recut(list(story.full.parts), out, size=1 << 30)
    assert whole.bundle == story.full.bundle
    assert [path.name for path in out.iterdir()] == [whole.parts[0].name]
    parts = recut([whole.parts[0]], tmp_path / "parts", size=SMALL)
    for one, two in zip(parts.parts, story.full.parts, strict=True):
        assert one.read_bytes() == two.read_bytes()
    with pytest.raises(VerificationError, match="one bundle, cut in two ways"):
        inside.load(whole.parts[0], story.full.parts[1])
    with pytest.raises(MirrorError, match="holds the bundle that is read"):
        recut([whole.parts[0]], out, size=SMALL)
    assert inside.load(*parts.parts).releases == 20


def test_no_stale_part_stays_behind(story: Story, tmp_path: Path) -> None:
    out = tmp_path / "out"
    many = story.outside.export(out)
    few = story.outside.export(out, size=1 << 20)
    assert len(few.parts) < len(many.parts)
    assert {path.suffix for path in out.iterdir()} == {few.parts[0].suffix, ".have"}


def test_what_a_killed_export_left_is_no_part(story: Story, inside: Side, tmp_path: Path) -> None:
    parts = copy_of(story.full, tmp_path / "parts")
    left = parts[0].with_name(f".new-{parts[0].name}")
    left.write_bytes(parts[0].read_bytes()[:-1])
    (parts[0].parent / f"._{parts[1].name}").write_bytes(b"what macOS puts beside a file")
    assert inside.load(parts[0].parent).releases == 20
    with pytest.raises(VerificationError, match=r"has \d+ bytes, its label says"):
        inside.load(left, *parts[1:])  # control: named, it is read
    recut(parts, parts[0].parent / "again", size=1 << 20)


@pytest.mark.parametrize("gone", [[0], [1], [0, 2]])
def test_missing_parts_are_named(story: Story, inside: Side, gone: list[int]) -> None:
    kept = [path for number, path in enumerate(story.full.parts) if number not in gone]
    numbers = ", ".join(str(number + 1) for number in gone)
    with pytest.raises(MirrorError, match=f"missing: parts? {numbers}$"):
        inside.load(*kept)
    assert not inside.mirror.exists()


def test_a_foreign_part_is_named(story: Story, inside: Side) -> None:
    with pytest.raises(VerificationError, match=r"belongs to bundle .* Name|belongs to bundle"):
        inside.load(*story.full.parts[:-1], story.step.parts[0])


def test_parts_that_were_swapped_are_refused(story: Story, inside: Side, tmp_path: Path) -> None:
    """The labels of two parts change places: each file in them has another digest then."""
    parts = copy_of(story.full, tmp_path / "swapped")
    one, two = parts[0].read_bytes(), parts[1].read_bytes()
    assert len(one) == len(two)
    parts[0].write_bytes(one[:LABEL] + two[LABEL:])
    parts[1].write_bytes(two[:LABEL] + one[LABEL:])
    with pytest.raises(VerificationError, match="its list or its summary is not the one"):
        inside.load(*parts)


@pytest.mark.parametrize(("change", "sentence"), [
    (lambda data: data[:-1], r"part 2 of \d+ .* has \d+ bytes, its label says"),
    (lambda data: data + b"x", r"part 2 of \d+ .* has \d+ bytes, its label says"),
])  # fmt: skip
def test_a_part_is_as_long_as_its_label_says(
    story: Story, inside: Side, tmp_path: Path, change: Callable[[bytes], bytes], sentence: str
) -> None:
    parts = copy_of(story.full, tmp_path / "parts")
    parts[1].write_bytes(change(parts[1].read_bytes()))
    with pytest.raises(VerificationError, match=sentence):
        inside.load(*parts)


def test_a_changed_byte_is_found_and_its_part_named(
    story: Story, inside: Side, tmp_path: Path
) -> None:
    parts = copy_of(story.full, tmp_path / "parts")
    for number in range(1, len(parts)):
        damaged = bytearray(parts[number].read_bytes())
        damaged[LABEL + 1000] ^= 1
        honest = parts[number].read_bytes()
        parts[number].write_bytes(damaged)
        with pytest.raises(VerificationError, match=r"is not the file that was|sha256 is"):
            inside.load(*parts)
        assert not (inside.mirror / "metadata").exists()
        parts[number].write_bytes(honest)
    assert inside.load(*parts).releases == 20  # the next run completes


def test_a_step_on_the_wrong_base_is_refused(story: Story, inside: Side, tmp_path: Path) -> None:
    with pytest.raises(MirrorError, match="is no mirror yet") as refused:
        inside.load(*story.step.parts)
    assert refused.value.hint == "Import a full bundle first."
    lying = Side(story.operated, tmp_path / "lying")
    lying.load(*story.full.parts)
    hint = (lying.mirror / "mirror.json").read_text()
    (lying.mirror / "mirror.json").write_text(
        hint.replace(f'"timestamp": {story.full.summary.timestamp}', '"timestamp": 1')
    )
    with pytest.raises(MirrorError, match=r"and .* is at version 1"):
        lying.load(*story.step.parts)


def test_what_neither_the_bundle_nor_the_mirror_has_is_named(story: Story, inside: Side) -> None:
    inside.load(*story.full.parts)
    gone = sorted(path for path in (inside.mirror / "blobs").rglob("*") if path.is_file())[:7]
    for path in gone:
        path.unlink()
    with pytest.raises(SourceError, match=r"lack 7 files that are needed: blobs/.* and 2 more"):
        inside.load(*story.step.parts)
    assert inside.state.floors["timestamp"].version == story.full.summary.timestamp
    inside.load(*story.full.parts)  # it repairs the mirror
    inside.load(*story.step.parts)
    assert inside.releases() == 21


def test_an_older_bundle_is_refused(story: Story, inside: Side, tmp_path: Path) -> None:
    newest = story.outside.export(tmp_path / "newest")
    inside.load(*newest.parts)
    with pytest.raises(RollbackError):
        inside.load(*story.full.parts)
    inside.state = TrustState()
    shutil.rmtree(inside.folder / "cache")
    with pytest.raises(MirrorError, match="is newer than what is offered"):
        inside.load(*story.full.parts)
    assert inside.releases() == 21


def repacked(exported: Exported, folder: Path, more: dict[str, bytes], less: str = "") -> Path:
    """A courier packs a bundle again, with other files in it and labels that fit."""
    bundle = Bundle.open(list(exported.parts))
    files = {
        path: b"".join(bundle.read(entry.start, entry.length))
        for path, entry in bundle.entries.items()
        if path != less
    } | more
    lines = [
        f"{bundles.Digest.of(data).hex} {len(data)} {'blob' if 'blobs/' in path else path}\n"
        for path, data in files.items()
    ]
    listing = "".join(lines).encode()
    stream = listing + b"".join(files.values())
    summary = bundle.summary._replace(files=len(files))
    folder.mkdir()
    path = folder / "x.tavob"
    label = bundles.Label(path, bundles.bundle_id(summary, listing), 1, 1, 0, len(stream),
                          len(stream), len(listing), summary)  # fmt: skip
    path.write_bytes(label.to_bytes() + stream)
    return path


def test_a_courier_adds_nothing(story: Story, inside: Side, tmp_path: Path) -> None:
    data = b"a file for the other side"
    path = bundles.blob_path(bundles.Digest.of(data))
    with pytest.raises(VerificationError, match="holds 1 files that the signed metadata does not"):
        inside.load(repacked(story.full, tmp_path / "a", {path: data}))
    assert not (inside.mirror / path).exists()
    assert not (inside.mirror / "metadata").exists()
    inside.load(repacked(story.full, tmp_path / "b", {}))  # control: repacking alone is harmless


def test_a_courier_hides_no_root(story: Story, tmp_path: Path) -> None:
    """A gap in the chain of roots is refused, though python-tuf would stop before it."""
    operated = object.__new__(Operated)
    operated.__dict__.update(story.operated.__dict__)
    operated.directory = tmp_path / "market"
    shutil.copytree(story.operated.directory, operated.directory)
    operated.now += timedelta(days=1)
    repository = Repository.open(operated.tree, operated.keys)
    for _ in range(2):
        repository.rotate_root(operated.keys, operated.now)
    outside, inside = Side(operated, tmp_path / "outside"), Side(operated, tmp_path / "inside")
    outside.sync()
    full = outside.export(tmp_path / "full")
    lacking = repacked(full, tmp_path / "gap", {}, less="metadata/2.root.json")
    with pytest.raises(VerificationError, match=r"2\.root\.json is missing from bundle"):
        inside.load(lacking)
    inside.load(*full.parts)  # control


def test_the_parts_are_only_read_and_the_rules_of_exfat_hold(
    story: Story, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    exfat.enforce(monkeypatch, disk)
    with pytest.raises(PermissionError):
        (disk / "x").symlink_to("y")  # control
    exported = story.outside.export(disk / "out")
    side = Side(story.operated, disk)
    side.load(*exported.parts)
    exfat.check(disk / "out")
    exfat.check(side.mirror)
    exfat.remount(disk)
    before = {path: path.read_bytes() for path in exported.parts}
    assert side.load(disk / "out").fetched_files == 0
    assert {path: path.read_bytes() for path in exported.parts} == before


@pytest.mark.skipif(not exfat.can_mount(), reason="needs root, exfatprogs and a loop device")
def test_a_real_exfat_disk_carries_bundle_and_mirror(story: Story, tmp_path: Path) -> None:
    try:
        disk = exfat.Disk(tmp_path)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no exFAT disk can be mounted: {error}")
    try:
        with pytest.raises(OSError, match=r"not permitted|not implemented"):
            (disk.place / "x").symlink_to("y")  # control: it is one
        exported = story.outside.export(disk.place / "out")
        side = Side(story.operated, disk.place)
        side.load(*exported.parts)
        disk.remount()
        assert side.load(disk.place / "out").fetched_files == 0
        assert side.releases() == 21
        exfat.check(side.mirror)
        recut(list(exported.parts), disk.place / "again", size=1 << 20)
        assert Bundle.open([disk.place / "again"]).id == exported.bundle
    finally:
        disk.close()


def test_filters_choose_plugins_and_cross_with_the_bundle(
    story: Story, inside: Side, tmp_path: Path
) -> None:
    outside = Side(story.operated, tmp_path / "outside")
    report = outside.sync(selection=Selection.of(plugins=["acme/plugin-3"]))
    assert report.releases == 2
    exported = outside.export(tmp_path / "out")
    assert exported.summary.filters.plugins == ("acme/plugin-3",)
    assert inside.load(*exported.parts).releases == 2
    with pytest.raises(MirrorError, match="acme/none: no plugin of this catalog"):
        outside.sync(selection=Selection.of(plugins=["acme/none"]))
    kinds = outside.sync(selection=Selection.of(types=["proxy"]))
    assert kinds.releases == 0
    both = Selection.of(publishers=["acme"], categories=["testing"])
    assert outside.sync(selection=both).releases == 21


def test_wheels_are_chosen_by_platform() -> None:
    linux = Selection.of(platforms=["linux"])
    assert linux.wants_wheel("re-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl")
    assert linux.wants_wheel("dep-1.0-py3-none-any.whl")
    assert not linux.wants_wheel("re-1.0-cp311-cp311-win_amd64.whl")
    assert Selection().wants_wheel("re-1.0-cp311-cp311-win_amd64.whl")
    with pytest.raises(MirrorError, match="beos: not a platform"):
        Selection.of(platforms=["beos"])


@pytest.mark.parametrize(("text", "size"), [
    ("4G", 4294967295), ("dvd", 4_699_998_208), ("cd", 681_574_400), ("2G", 2 << 30),
    ("700M", 700 << 20), ("65536", 65536),
])  # fmt: skip
def test_sizes_of_parts(text: str, size: int) -> None:
    assert part_size(text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "1K", "4g", "1.5G", "9" * 40, "\u0664G"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(MirrorError, match="not a size of parts"):
        part_size(text)


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.stem)
def test_hostile_bundles_are_refused_by_name(path: Path) -> None:
    expected = path.with_suffix(".expected").read_text().strip()
    with pytest.raises((SigningError, MarketplaceError)) as refused:
        Bundle.open([path])
    assert expected in str(refused.value)


def test_an_honest_bundle_opens_in_the_corpus_test(story: Story) -> None:
    assert Bundle.open(list(story.full.parts)).entries  # control
    assert len(CORPUS) >= 12


def test_an_interrupted_file_goes_on_where_it_stopped(story: Story, tmp_path: Path) -> None:
    """Half of a package is there from before: the web server is asked for the rest only."""
    from http.server import SimpleHTTPRequestHandler

    from signing.client import HttpSource
    from tavo.registry.mirror_server import MirrorServer

    side = Side(story.operated, tmp_path)
    with Catalog.open(story.second.refreshed.catalog) as catalog:
        release = next(iter(catalog.releases()))
    whole = (story.operated.tree / bundles.blob_path(release.package)).read_bytes()
    target = side.mirror / bundles.blob_path(release.package)
    part = target.with_name(f".new-{release.package.hex}.part")

    class NoRanges(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            return

    def run(url: str, begin: bytes) -> int:
        shutil.rmtree(side.folder / "mirror", ignore_errors=True)
        shutil.rmtree(side.folder / "cache", ignore_errors=True)
        part.parent.mkdir(parents=True)
        part.write_bytes(begin)
        with HttpSource(url) as source:
            report = sync(source, side.mirror, **side.known())
        assert target.read_bytes() == whole
        assert not part.exists()
        return report.fetched_bytes

    half = len(whole) // 2
    import threading

    with MirrorServer(story.operated.tree, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        fresh = run(server.address, b"")
        assert fresh - run(server.address, whole[:half]) == half
        assert run(server.address, b"x" * half) >= fresh  # a bad beginning is thrown away
        server.shutdown()
    with serve(story.operated.tree, NoRanges) as url:
        run(url, whole[:half])


def test_what_is_not_there_is_named_with_what_to_name(tmp_path: Path) -> None:
    with pytest.raises(MirrorError, match="none: cannot be read: No such file") as caught:
        Bundle.open([tmp_path / "none"])
    assert caught.value.hint == "Name the parts of a bundle, or the folder that holds them."
