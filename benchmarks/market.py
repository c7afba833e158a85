"""The figures of a large marketplace: a release after one change, and what a client pays.

Rules this script keeps:
- a market of 10,000 plugins with 10 versions, two approvals each: all rows, 400,000 blobs in the
  repository; one more version goes through submission, approvals and `tavo market release`, and
  the CPU time of that command is measured;
- a client of 100,000 plugins with 10 versions: opening what was accepted, the full verification
  before an install, and searches for words and parts of words: reading all rows, and with the
  index that the first search makes, whose making is measured, too;
- rows and statements in bulk are made up; signatures, files and their verification are real.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
import statistics
import sys
import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from measure import ROOT, WORK, machine, run

sys.path.insert(0, str(ROOT))

import big_catalog

from marketplace_db.catalog import Catalog
from marketplace_db.delta import apply
from marketplace_db.intake import Market
from marketplace_db.release import release_catalog
from marketplace_db.words import WordIndex
from signing.client import DirectorySource, TrustState, refresh, reopen
from signing.digests import Digest
from signing.founding import first_ceremony
from signing.keyring import Keyring
from signing.roles import CATALOG_NAME, OFFLINE_ROLES, ROLES, blob_path
from tavo.operator.marketplace import OperatedMarket
from tests.fakes.operator_market import Marketplace

NOW = datetime.now(UTC).replace(microsecond=0)
RUNS = 5
WORDS = (
    "scanner", "prompt", "secrets models", "agent", "policy logs", "scanner-77", "nothing", "ag",
)  # fmt: skip


def market(plugins: int, versions: int) -> tuple[Path, Marketplace]:
    """Make a marketplace in which all of it is released."""
    folder = WORK / "market"
    shutil.rmtree(folder, ignore_errors=True)
    people = Marketplace(folder / "people")
    keys = Keyring.generate_development(folder / "keys")
    public = {role: [key.public for key in keys.of(role)] for role in ROLES}
    first = first_ceremony(public, NOW, publishers=people.publishers, development=True)
    first.sign_all(key for role in OFFLINE_ROLES for key in keys.of(role))
    with OperatedMarket.found(folder / "market", first, keys, NOW) as place:
        place.register(NOW)
        # Vetting runs before, and costs a release nothing.
        (folder / "market" / "market.toml").write_text("[vetting]\nrequired = []\n")
        _bulk(place.intake, folder / "market" / "repository", plugins, versions)
        # As `release` does, but for copying 400,000 blobs that are there already.
        made = release_catalog(
            place.intake, folder / "market" / "catalog.db",
            previous=place.repository.artifact(CATALOG_NAME),
        )  # fmt: skip
        place.repository.publish(catalog=made.path, now=NOW)
    sys.stderr.write(f"{made.added} rows, {made.length / 1e6:.1f} MB\n")
    return folder, people


def _bulk(intake: Market, repository: Path, plugins: int, versions: int) -> None:
    out = repository.parent / "made-up.db"
    out.unlink(missing_ok=True)
    big_catalog.fill(out, plugins, versions)
    with closing(sqlite3.connect(out)) as made, intake.connection as connection:
        ours = connection.execute("SELECT id FROM publishers WHERE name = 'acme'").fetchone()[0]
        connection.execute("BEGIN")
        names = dict(made.execute("SELECT id, plugin_id FROM plugins"))
        for row in made.execute("SELECT id, uuid, plugin_id, created_at FROM plugins"):
            connection.execute(
                "INSERT INTO plugins VALUES (?, ?, ?, ?, ?)", (row[0], row[1], ours, row[2], row[3])
            )
        columns = (
            "id, uuid, plugin_id, seq, version, api, hex(package), package_length,"
            " hex(manifest_digest), hex(permission_digest), manifest, published_at"
        )
        for row in made.execute(f"SELECT {columns} FROM plugin_versions"):
            number = row[0]
            package, manifest, permissions = (row[i].lower() for i in (6, 8, 9))
            blobs = [_made_up(f"{what} {number}") for what in ("publisher", "one", "two")]
            for digest in (package, *blobs):
                path = repository / blob_path(Digest(digest))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            connection.execute(
                "INSERT INTO submissions (id, uuid, publisher_id, full_id, version, package,"
                " package_length, publisher_envelope, state, submitted_at, decided_at)"
                " VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'approved', ?, ?)",
                (
                    number,
                    f"s{number}",
                    ours,
                    f"acme/{names[row[2]]}",
                    row[4],
                    package,
                    row[7],
                    blobs[0],
                    row[11],
                    row[11],
                ),
            )
            connection.executemany(
                "INSERT INTO approvals VALUES (NULL, ?, ?, 'approve', ?, '[]', ?, ?)",
                [(number, f"key {key}", digest, row[11], row[11])
                 for key, digest in enumerate(blobs[1:])],
            )  # fmt: skip
            connection.execute(
                f"INSERT INTO plugin_versions VALUES ({', '.join('?' * 17)})",
                (number, row[1], row[2], number, row[3], row[4], row[5], package, row[7], manifest,
                 None, permissions, blobs[0], row[10], row[11], None, None),
            )  # fmt: skip
        connection.execute("COMMIT")
    out.unlink()


def _made_up(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def release(folder: Path, people: Marketplace) -> tuple[list[float], list[int]]:
    """Bring one more version through the market, several times; return CPU s and delta bytes."""
    keyring = Keyring.generate_development(folder / "keys")
    costs, deltas = [], []
    for number in range(RUNS):
        package = people.package(id=f"prompt-{1 + 9 * number}", version="2.0.0")
        with OperatedMarket.open(folder / "market", keyring) as place:
            submission = place.intake.submit(
                package, people.sign(package), publishers=place.publishers(), now=NOW
            )
            one = place.intake.submission(submission)
            for key in people.reviewers[:2]:
                place.review(one, place.statement(one, key, "approve", NOW), NOW)
            place.approve(one, NOW)
        cost = run(
            [sys.executable, "-m", "tavo", "--json", "market", "release", "--market",
             str(folder / "market"), "--keys", str(folder / "keys")],
            env={"PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        if cost.code:
            raise SystemExit(f"the release failed: {cost.output}")
        costs.append(cost.cpu_s)
        deltas.append(int(json.loads(cost.output)["delta_bytes"]))
    return costs, deltas


def client(plugins: int, versions: int) -> dict[str, float]:
    """Measure a client's work on an unchanged catalog, in this process; CPU s."""
    repository = big_catalog.write(WORK / f"catalog-{plugins}x{versions}", plugins, versions)
    root = (repository.parent / "root.json").read_bytes()
    issued = datetime.fromisoformat(
        json.loads((repository / "metadata" / "timestamp.json").read_text())["signed"][
            "x-tavo-issued"
        ].replace("Z", "+00:00")
    )
    now = issued + timedelta(minutes=1)
    cache = WORK / "market-cache"
    shutil.rmtree(cache, ignore_errors=True)
    accepted = refresh(
        DirectorySource(repository), root=root, cache=cache, state=TrustState(), now=now,
        build_time=now, apply_deltas=apply,
    )  # fmt: skip
    found: dict[str, list[float]] = {"open": [], "verify": []}
    for _ in range(RUNS):
        for name, thorough in (("open", False), ("verify", True)):
            start = time.process_time()
            file, _ = reopen(accepted.record, state=accepted.state, now=now)
            with Catalog.open(file, thorough=thorough) as catalog:
                catalog.plugin("acme/prompt-1")
            found[name].append(time.process_time() - start)
    with Catalog.open(accepted.catalog) as catalog:
        start = time.process_time()
        index = WordIndex.of(catalog, cache)
        making = time.process_time() - start
        size = index.path.stat().st_size if index else 0
        without, searches = _searches(catalog, None), _searches(catalog, index)
    shutil.rmtree(cache, ignore_errors=True)
    return {
        "MB": accepted.catalog.length / 1e6,
        **{name: statistics.median(values) for name, values in found.items()},
        "reading": statistics.median(without),
        "making": making,
        "index MB": size / 1e6,
        "search": statistics.median(searches),
        "slowest search": max(searches),
    }


def _searches(catalog: Catalog, index: WordIndex | None) -> list[float]:
    """Search for each text, several times, after once to warm up; return the CPU s of each."""
    costs = []
    for run_number in range(RUNS + 1):
        for text in WORDS:
            start = time.process_time()
            catalog.search(text, limit=20, index=index)
            if run_number:
                costs.append(time.process_time() - start)
    return costs


def main() -> None:
    """Print the tables of docs/benchmarks.md."""
    quick = "--quick" in sys.argv
    small, large = (200, 1_000) if quick else (10_000, 100_000)
    print(f"{machine()}; medians of {RUNS} runs; CPU s\n")
    folder, people = market(small, 10)
    costs, deltas = release(folder, people)
    print("| a release after one change | CPU s | most | delta, bytes |\n|---|---|---|---|")
    print(
        f"| {small:,} plugins with 10 versions | {statistics.median(costs):.2f} |"
        f" {max(costs):.2f} | {statistics.median(deltas):,.0f} |\n"
    )
    clients = {plugins: client(plugins, 10) for plugins in (small, large)}
    print("| a client | MB | open | verify before an install |\n|---|---|---|---|")
    for plugins, made in clients.items():
        print(
            f"| {plugins:,} plugins with 10 versions | {made['MB']:.0f} | {made['open']:.2f} |"
            f" {made['verify']:.2f} |"
        )
    print(
        "\n| search | reading all rows, ms | with the index, ms | slowest, ms |"
        " making the index, s | its MB |\n|---|---|---|---|---|---|"
    )
    for plugins, made in clients.items():
        print(
            f"| {plugins:,} plugins | {made['reading'] * 1000:.1f} | {made['search'] * 1000:.1f} |"
            f" {made['slowest search'] * 1000:.1f} | {made['making']:.2f} |"
            f" {made['index MB']:.1f} |"
        )


if __name__ == "__main__":
    main()
