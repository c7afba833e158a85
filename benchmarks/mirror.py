"""What the daily update of a mirror costs: bytes, requests and CPU time, metadata included.

    .venv/cp311/bin/python benchmarks/mirror.py WORK [PLUGINS] [DAYS]
    .venv/cp311/bin/python benchmarks/mirror.py WORK PLUGINS first [BYTES]
    .venv/cp311/bin/python benchmarks/mirror.py WORK PLUGINS import [BYTES]

A day: 0.1 % of the plugins release a version, 0.02 % change their text. Packages are left out by a
filter, as they cost what they weigh; what is measured is everything else. The mirror is read over
HTTP on loopback by a process of its own; heads of requests and answers are counted apart, by the
server. Each day's release has its entry in the log of releases, as an operated marketplace writes
it. Beside it, for the same changes of the last day: the whole file, zstd of it, an index of
text with ed scripts between its days as apt has it, and rsync of the file.

`first` measures a first, full copy of a repository with a small package, or one of BYTES, for each
release, and one after it with nothing new: files a second, CPU time, and the most memory that the
copying process takes. `import` measures the same of a bundle.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import big_catalog

from marketplace_db.bundle_import import import_bundle
from marketplace_db.bundle_write import export
from marketplace_db.catalog import Catalog
from marketplace_db.delta import apply, delta_name, make
from marketplace_db.mirror import sync
from marketplace_db.selection import EVERYTHING, Selection
from marketplace_db.site import Site
from marketplace_db.words import WordIndex
from signing.client import HttpSource, TrustState, prune
from signing.digests import hash_file
from signing.keyring import Keyring
from signing.keys import PrivateKey
from signing.publishers import Namespace, Publishers
from signing.repository import Repository
from signing.roles import blob_path
from tavo.registry import mirror_server

VERSIONS = 10
NO_PACKAGES = Selection(categories=("none",))


class Server(mirror_server.MirrorServer):
    """The mirror's own server, which counts the bytes of heads."""

    heads = 0


class _Counting(mirror_server._Handler):
    server: Server

    def parse_request(self) -> bool:
        good = super().parse_request()
        if good:
            Server.heads += len(self.raw_requestline) + len(self.headers.as_bytes())
        return good

    def end_headers(self) -> None:
        Server.heads += sum(map(len, self._headers_buffer)) + 2
        super().end_headers()


def change(path: Path, day: int, plugins: int) -> None:
    """Write a day's change into the catalog, in place as a release does."""
    connection = sqlite3.connect(path)
    (last,) = connection.execute("SELECT max(id) FROM plugin_versions").fetchone()
    for number in range(plugins // 1000):
        plugin = 1 + (day * 7919 + number * 997) % plugins
        last += 1
        digest = hashlib.sha256(f"{day} {number}".encode()).digest()
        cursor = connection.execute(
            "SELECT * FROM plugin_versions WHERE plugin_id = ? LIMIT 1", (plugin,)
        )
        names = [column[0] for column in cursor.description]
        row = dict(zip(names, cursor.fetchone(), strict=True))
        row |= {
            "id": last, "uuid": big_catalog._uuid(f"{day} {number}"), "seq": last,
            "version": f"2.{day}.0", "package": digest, "manifest_digest": digest,
            "permission_digest": digest, "publisher_envelope": digest,
        }  # fmt: skip
        columns, marks = ",".join(names), ",".join("?" * len(names))
        connection.execute(
            f"INSERT INTO plugin_versions ({columns}) VALUES ({marks})",
            [row[name] for name in names],
        )
        connection.execute(
            "UPDATE plugins SET latest_version_id = ? WHERE id = ?", (last, plugin)
        )  # fmt: skip
    for number in range(max(1, plugins // 5000)):
        connection.execute(
            "UPDATE plugins SET description = ? WHERE id = ?",
            (f"Looks for other things since day {day}.", 1 + (day * 104729 + number) % plugins),
        )
    connection.commit()
    connection.close()


def founded(work: Path, plugins: int, now: datetime) -> tuple[Path, Repository]:
    """Make the repository; return its catalog and the repository."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    catalog = work / "catalog.db"
    big_catalog.fill(catalog, plugins, VERSIONS)
    made = Repository.create(work / "repository", Keyring.generate(development=True), now)
    return catalog, made


def logged(made: Repository, catalog: Path, now: datetime) -> bytes:
    """Return the log of releases with this one in it, as a release writes it."""
    digest, length = hash_file(catalog)
    with sqlite3.connect(catalog) as connection:
        (releases,) = connection.execute("SELECT count(*) FROM plugin_versions").fetchone()
    connection.close()
    return made.with_release(digest, length, releases=releases, now=now)


def publish(made: Repository, catalog: Path, now: datetime) -> None:
    """Publish the catalog with its publishers, and the first entry of the log."""
    key = PrivateKey.generate().public
    who = Publishers(namespaces={"acme": Namespace(keys={key.key_id: key}, official=False)})
    log = logged(made, catalog, now)
    made.publish(catalog=catalog, publishers=who.to_bytes(), log=log, now=now)


def copy_once(work: Path, address: str, now: datetime, *, packages: bool) -> dict[str, Any]:
    """Sync in this process; return what it cost."""
    state = work / "state.json"
    known = TrustState.from_dict(json.loads(state.read_text())) if state.exists() else TrustState()
    start, cpu = time.monotonic(), time.process_time()
    with HttpSource(address) as source:
        report = sync(
            source, work / "mirror", root=(work / "root.json").read_bytes(), cache=work / "cache",
            state=known, now=now, build_time=now,
            selection=EVERYTHING if packages else NO_PACKAGES,
        )  # fmt: skip
    spent = {
        "bytes": report.fetched_bytes, "requests": report.requests, "files": report.fetched_files,
        "cpu": time.process_time() - cpu, "wall": time.monotonic() - start,
        "deltas": report.refreshed.deltas,
        "memory": most_memory(),
    }  # fmt: skip
    prune(work / "cache", [report.refreshed.record])
    state.write_text(json.dumps(report.refreshed.state.to_dict()))
    return spent


def most_memory() -> int:
    """Return the most memory that this process took; `ru_maxrss` would be the parent's, if more."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def copied(work: Path, address: str, now: datetime, *, packages: bool = False) -> dict[str, Any]:
    """Sync in a process of its own; return what it cost, with the bytes of heads."""
    before = Server.heads
    words = ["copy", str(work), address, now.isoformat(), str(int(packages))]
    done = subprocess.run(
        [sys.executable, __file__, *words], capture_output=True, text=True, check=True
    )
    return {**json.loads(done.stdout), "heads": Server.heads - before}


def client(work: Path, base: Path, deltas: Path, catalog: Path, site: Site) -> dict[str, float]:
    """Return CPU seconds of what a client does with a day's delta, step by step."""
    spent: dict[str, float] = {}
    at = time.process_time()

    def told(name: str) -> None:
        nonlocal at
        now = time.process_time()
        spent[name], at = now - at, now

    made = work / "made.db"
    digest = hash_file(base)[0]
    at = time.process_time()
    apply(base, digest, [deltas.read_bytes()], made)
    told("apply the delta")
    right = hash_file(made)[0] == hash_file(catalog)[0]
    told("hash")
    spent["hash"] /= 2
    if not right:
        raise SystemExit("the delta does not make the catalog")
    made.unlink()
    at = time.process_time()
    from signing.client import DirectorySource

    accepted = site.read(DirectorySource(work / "repository"), old_artifacts=[work / "old"])
    if accepted.deltas != 1:
        raise SystemExit(f"the client did not take the delta: {accepted.fallback}")
    told("refresh in full: metadata, delta, hashes")
    with Catalog.open(accepted.catalog) as opened:
        index = WordIndex.of(opened, work / "words")
        told("open, and make the index of words")
        opened.search("prompt agent", limit=20, index=index)
        told("the first search")
    spent["ready to search, together"] = sum(
        value for name, value in spent.items() if name not in ("apply the delta", "hash")
    )
    at = time.process_time()
    Catalog.open(accepted.catalog, thorough=True).close()
    told("verify every page and reference, before an install")
    return spent


def beside(work: Path, before: Path, after: Path) -> dict[str, int | None]:
    """Return the bytes that other ways would move for the last day's changes."""
    found: dict[str, int | None] = {"the whole file": after.stat().st_size, "zstd -9 of it": None}
    if shutil.which("zstd"):
        done = subprocess.run(
            f"zstd -9 -q -c {after} | wc -c", shell=True, capture_output=True, check=True
        )
        found["zstd -9 of it"] = int(done.stdout)
    found["ed script between indexes of text, gzip -9 (apt's pdiff)"] = len(
        gzip.compress(_ed(before, after), 9)
    )
    found["rsync of the file, both ways"] = None
    if shutil.which("rsync"):
        there = work / "rsynced.db"
        shutil.copyfile(before, there)
        done = subprocess.run(
            ["rsync", "--no-whole-file", "--checksum", "--compress", "--stats", after, there],
            capture_output=True, check=True, env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
        lines = dict(line.split(": ", 1) for line in done.stdout.decode().splitlines()
                     if ": " in line)  # fmt: skip
        found["rsync of the file, both ways"] = sum(
            int("".join(filter(str.isdecimal, lines[name])))
            for name in ("Total bytes sent", "Total bytes received")
        )
        there.unlink()
    return found


def _ed(before: Path, after: Path) -> bytes:
    """Return the ed script from one day's index to the next: a line of text for each row."""
    connection = sqlite3.connect(after)
    connection.execute("ATTACH ? AS old", (str(before),))
    script = b""
    for table in ("plugin_versions", "plugins"):
        new = f"SELECT * FROM main.{table} EXCEPT SELECT * FROM old.{table}"
        for row in sorted(connection.execute(new), reverse=True):
            shown = [value.hex() if isinstance(value, bytes) else value for value in row]
            script += f"{row[0]}c\n{json.dumps(shown)}\n.\n".encode()
    connection.close()
    return script


def daily(work: Path, plugins: int, days: int) -> None:
    """Measure a first sync without packages, and the days after it."""
    now = datetime.now(UTC) - timedelta(days=days + 1)
    catalog, made = founded(work, plugins, now)
    publish(made, catalog, now)
    before = work / "before.db"
    (work / "root.json").write_bytes(made.root_bytes)
    rows = []
    path = Path()
    with Server(work / "repository", "127.0.0.1", 0) as server:
        server.RequestHandlerClass = _Counting
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for day in range(days + 1):
            if day:
                now += timedelta(days=1)
                shutil.copyfile(catalog, before)
                change(catalog, day, plugins)
                path = work / delta_name(hash_file(before)[0], hash_file(catalog)[0])
                path.write_bytes(make(before, catalog) or b"")
                log = logged(made, catalog, now)
                made.publish(catalog=catalog, deltas=[path], log=log, now=now)
                for old in (work / "repository/targets/catalog").glob("*.catalog.db"):
                    if hash_file(catalog)[0].hex not in old.name:
                        old.unlink()
            rows.append(copied(work, server.address, now))
            for old in (work / "mirror/targets/catalog").glob("*.catalog.db"):
                if hash_file(catalog)[0].hex not in old.name:
                    old.unlink()
        server.shutdown()
    print(f"{plugins} plugins, {VERSIONS} versions each; catalog"
          f" {catalog.stat().st_size / 1e6:.1f} MB; {days} days")  # fmt: skip
    first = rows[0]
    print(f"first: {first['bytes']} bytes, {first['requests']} requests, {first['cpu']:.2f} s CPU,"
          f" at most {first['memory'] / 1e6:.0f} MB of memory")  # fmt: skip
    print("\n| a day | median | most |\n|---|---|---|")
    for label, name in (("bytes of bodies", "bytes"), ("bytes of heads, apart", "heads"),
                        ("requests", "requests"), ("s CPU", "cpu"), ("s wall", "wall"),
                        ("memory, MB", "memory")):  # fmt: skip
        values = [row[name] / (1e6 if name == "memory" else 1) for row in rows[1:]]
        print(f"| {label} | {statistics.median(values):.5g} | {max(values):.5g} |")
    print(f"\ndays by delta: {sum(row['deltas'] == 1 for row in rows[1:])} of {days}")
    print("\n| the last day by other ways | bytes |\n|---|---|")
    print(f"| tavo, with all metadata | {rows[-1]['bytes']} |")
    print(f"| the page delta alone | {path.stat().st_size} |")
    for name, size in beside(work, before, catalog).items():
        print(f"| {name} | {'not measured' if size is None else size} |")
    old = work / "old"
    old.mkdir()
    shutil.copyfile(before, old / f"{hash_file(before)[0].hex}.catalog.db")
    site = Site(made.root_bytes, work / "client", TrustState(), now, now)
    print("\n| a client, the last day | CPU s |\n|---|---|")
    for name, seconds in client(work, before, path, catalog, site).items():
        print(f"| {name} | {seconds:.3f} |")


def with_packages(work: Path, plugins: int, size: int) -> Path:
    """Make a repository with a package of at least `size` bytes for each release."""
    now = datetime.now(UTC)
    catalog, made = founded(work, plugins, now)
    connection = sqlite3.connect(catalog)
    for (number,) in connection.execute("SELECT id FROM plugin_versions").fetchall():
        content = f"{number}".encode().ljust(size, b".")
        digest = hashlib.sha256(content)
        connection.execute(
            "UPDATE plugin_versions SET package = ?1, publisher_envelope = ?1,"
            " package_length = ?2 WHERE id = ?3",
            (digest.digest(), len(content), number),
        )
        path = work / "repository" / blob_path(hash_of(digest.digest()))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    connection.commit()
    connection.close()
    publish(made, catalog, now)
    (work / "root.json").write_bytes(made.root_bytes)
    return catalog


def first_copy(work: Path, plugins: int, size: int) -> None:
    """Measure a full copy with a package for each release."""
    catalog = with_packages(work, plugins, size)
    with Server(work / "repository", "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for label in ("first copy", "again, nothing new"):
            show(label, plugins, size, catalog,
                 copied(work, server.address, datetime.now(UTC), packages=True))  # fmt: skip
        server.shutdown()


def first_import(work: Path, plugins: int, size: int) -> None:
    """Measure the export of a bundle with a package for each release, and its import."""
    catalog = with_packages(work, plugins, size)
    for label in ("export", "import", "import again"):
        words = [label.split()[0], str(work)]
        done = subprocess.run(
            [sys.executable, __file__, *words], capture_output=True, text=True, check=True
        )
        show(label, plugins, size, catalog, json.loads(done.stdout))


def show(label: str, plugins: int, size: int, catalog: Path, spent: dict[str, Any]) -> None:
    """Print what a copy, an export or an import cost."""
    print(f"{label}: {plugins * VERSIONS} packages of {size or 'a few'} bytes, catalog"
          f" {catalog.stat().st_size / 1e6:.1f} MB: {spent['files']} files in"
          f" {spent['wall']:.1f} s ({spent['cpu']:.1f} s CPU), at most"
          f" {spent['memory'] / 1e6:.0f} MB of memory", flush=True)  # fmt: skip


def bundle_once(work: Path, what: str) -> dict[str, Any]:
    """Export or import in this process; return what it cost."""
    now = datetime.now(UTC)
    site: Any = {
        "root": (work / "root.json").read_bytes(), "cache": work / f"cache-{what}",
        "state": TrustState(), "now": now, "build_time": now,
    }  # fmt: skip
    start, cpu = time.monotonic(), time.process_time()
    if what == "export":
        files = export(
            work / "repository", work / "out", size=1 << 40, since=None, **site
        ).summary.files
    else:
        files = import_bundle([work / "out"], work / "mirror", **site)[0].fetched_files
    return {
        "files": files, "cpu": time.process_time() - cpu, "wall": time.monotonic() - start,
        "memory": most_memory(),
    }  # fmt: skip


def hash_of(value: bytes) -> Any:
    """Return a digest of the catalog's own form."""
    from signing.digests import Digest

    return Digest(value.hex())


def main() -> None:
    """Measure and print."""
    if sys.argv[1] == "copy":
        work, address, now, packages = sys.argv[2:]
        moment = datetime.fromisoformat(now)
        print(json.dumps(copy_once(Path(work), address, moment, packages=packages == "1")))
        return
    if sys.argv[1] in ("export", "import"):
        print(json.dumps(bundle_once(Path(sys.argv[2]), sys.argv[1])))
        return
    work = Path(sys.argv[1])
    plugins, days = (*sys.argv[2:4], "10000", "10")[:2]
    if days in ("first", "import"):
        size = int((*sys.argv[4:], "0")[0])
        (first_copy if days == "first" else first_import)(work, int(plugins), size)
    else:
        daily(work, int(plugins), int(days))


if __name__ == "__main__":
    main()
