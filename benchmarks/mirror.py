"""What the daily update of a mirror costs: bytes, requests and CPU time, metadata included.

    .venv/cp311/bin/python benchmarks/mirror.py WORK [PLUGINS] [DAYS]

A day: 0.1 % of the plugins release a version, 0.02 % change their text. Packages are left out by a
filter, as they cost what they weigh; what is measured is everything else. The mirror is read over
HTTP on loopback.
"""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
import statistics
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import big_catalog

from marketplace_db.delta import delta_name, make
from marketplace_db.mirror import sync
from marketplace_db.selection import Selection
from signing.client import HttpSource, TrustState
from signing.digests import hash_file
from signing.keyring import Keyring
from signing.keys import PrivateKey
from signing.publishers import Namespace, Publishers
from signing.repository import Repository
from tavo.registry.mirror_server import MirrorServer

VERSIONS = 10
NO_PACKAGES = Selection(categories=("none",))


def change(path: Path, day: int, plugins: int) -> None:
    """Write a day's change into the catalog, in place as a release does."""
    connection = sqlite3.connect(path)
    (last,) = connection.execute("SELECT max(id) FROM plugin_versions").fetchone()
    for number in range(plugins // 1000):
        plugin = 1 + (day * 7919 + number * 997) % plugins
        last += 1
        digest = hashlib.sha256(f"{day} {number}".encode()).digest()
        row = list(connection.execute(
            "SELECT * FROM plugin_versions WHERE plugin_id = ? LIMIT 1", (plugin,)
        ).fetchone())  # fmt: skip
        row[0], row[1], row[3], row[4] = (
            last,
            big_catalog._uuid(f"{day} {number}"),
            last,
            f"2.{day}.0",
        )
        row[6] = row[8] = row[10] = row[11] = digest
        connection.execute(f"INSERT INTO plugin_versions VALUES ({','.join('?' * 16)})", row)
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


def main() -> None:
    """Measure and print."""
    work = Path(sys.argv[1])
    plugins, days = (int(word) for word in (*sys.argv[2:4], "10000", "10")[:2])
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    catalog, before, tree = work / "catalog.db", work / "before.db", work / "repository"
    big_catalog.fill(catalog, plugins, VERSIONS)
    now = datetime.now(UTC) - timedelta(days=days + 1)
    made = Repository.create(tree, Keyring.generate(development=True), now)
    key = PrivateKey.generate().public
    who = Publishers(namespaces={"acme": Namespace(keys={key.key_id: key}, official=False)})
    made.publish(catalog=catalog, publishers=who.to_bytes(), now=now)
    state, rows = TrustState(), []
    with MirrorServer(tree, "127.0.0.1", 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for day in range(days + 1):
            if day:
                now += timedelta(days=1)
                shutil.copyfile(catalog, before)
                change(catalog, day, plugins)
                path = work / delta_name(hash_file(before)[0], hash_file(catalog)[0])
                path.write_bytes(make(before, catalog) or b"")
                made.publish(catalog=catalog, deltas=[path], now=now)
            start, cpu = time.monotonic(), time.process_time()
            with HttpSource(server.address) as source:
                report = sync(
                    source, work / "mirror", root=made.root_bytes, cache=work / "cache",
                    state=state, now=now, build_time=now, selection=NO_PACKAGES,
                )  # fmt: skip
            state = report.refreshed.state
            rows.append((report.fetched_bytes, report.requests, time.process_time() - cpu,
                         time.monotonic() - start, report.refreshed.deltas))  # fmt: skip
        server.shutdown()
    whole = catalog.stat().st_size
    print(f"{plugins} plugins, {VERSIONS} versions each; catalog {whole / 1e6:.1f} MB")
    print(f"first: {rows[0][0]} bytes, {rows[0][1]} requests, {rows[0][2]:.2f} s CPU")
    for name, column in (("bytes", 0), ("requests", 1), ("s CPU", 2), ("s wall", 3)):
        values = [row[column] for row in rows[1:]]
        print(f"a day, {name}: {statistics.median(values):.5g}, most {max(values):.5g}")
    print(f"days by delta: {sum(row[4] == 1 for row in rows[1:])} of {days}")


if __name__ == "__main__":
    main()
