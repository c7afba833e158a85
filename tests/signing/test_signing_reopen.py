"""Reopening what was accepted: hashed again, judged again, and without tuf."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from signing.client import DirectorySource, Refreshed, TrustState, prune, recalls_of, reopen
from signing.digests import Digest, VerifiedFile
from signing.errors import BusyError, ExpiredError, RollbackError, SourceError, VerificationError
from signing.record import AcceptedRecord, root_facts
from signing.sources import Deadline
from tests.fakes.repository import (
    NOW,
    Machine,
    RepositorySimulator,
    simple_publishers,
    verified_catalog,
)


@pytest.fixture
def simulator(tmp_path: Path) -> RepositorySimulator:
    publishers = simple_publishers(revoked_packages={Digest.of(b"bad"): "malware"})
    return RepositorySimulator(tmp_path / "repository", publishers=publishers)


@pytest.fixture
def machine(tmp_path: Path, simulator: RepositorySimulator) -> Machine:
    return Machine(tmp_path / "cache", simulator.root)


@pytest.fixture
def accepted(simulator: RepositorySimulator, machine: Machine) -> Refreshed:
    return machine.refresh(simulator.source)


def test_record_survives_json(accepted: Refreshed) -> None:
    again = AcceptedRecord.from_dict(json.loads(json.dumps(accepted.record.to_dict())))
    assert again == accepted.record
    catalog, publishers = reopen(again, state=accepted.state, now=NOW)
    assert repr(catalog) == repr(accepted.catalog)
    assert publishers == accepted.publishers


@pytest.mark.parametrize("which", ["catalog", "publishers"])
def test_changed_file_is_refused(accepted: Refreshed, which: str) -> None:
    path = getattr(accepted.record, which).path
    before = path.read_bytes()
    path.write_bytes(before[:-1] + b"!")
    with pytest.raises(VerificationError, match="changed since it was accepted"):
        reopen(accepted.record, state=accepted.state, now=NOW)
    path.write_bytes(before)
    reopen(accepted.record, state=accepted.state, now=NOW)  # control
    path.unlink()
    with pytest.raises(SourceError, match="cannot read"):
        reopen(accepted.record, state=accepted.state, now=NOW)


def test_expired_record_is_refused_by_the_first_expiry_of_the_chain(accepted: Refreshed) -> None:
    last = NOW + timedelta(days=3)
    reopen(accepted.record, state=accepted.state, now=last - timedelta(seconds=1))
    with pytest.raises(ExpiredError, match="timestamp metadata expired 2026-11-25T12:00:00Z"):
        reopen(accepted.record, state=accepted.state, now=last)
    newer = {**accepted.state.to_dict(), "newest_issued": "2026-12-01T00:00:00Z"}
    with pytest.raises(ExpiredError):  # the clock set back, but a newer signed time is known
        reopen(accepted.record, state=TrustState.from_dict(newer), now=NOW)
    with pytest.raises(ExpiredError):  # a program that was built later
        reopen(accepted.record, state=accepted.state, now=NOW, build_time=last)


def test_recalls_count_after_expiry(accepted: Refreshed) -> None:
    assert recalls_of(accepted.record).packages == {Digest.of(b"bad"): "malware"}
    accepted.record.publishers.path.write_bytes(b"{}")
    with pytest.raises(VerificationError):
        recalls_of(accepted.record)


def test_older_record_is_refused_once_a_newer_one_was_accepted(
    simulator: RepositorySimulator, machine: Machine, accepted: Refreshed
) -> None:
    simulator.publish(catalog=b"catalog 2")
    machine.refresh(simulator.source)
    with pytest.raises(RollbackError):
        reopen(accepted.record, state=machine.state, now=NOW)
    reopen(accepted.record, state=accepted.state, now=NOW)  # control: with the older state


def test_reopening_imports_neither_tuf_nor_its_libraries(
    accepted: Refreshed, tmp_path: Path
) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text(
        json.dumps({"record": accepted.record.to_dict(), "state": accepted.state.to_dict()})
    )
    code = """
import json, sys
from datetime import UTC, datetime
from signing.client import AcceptedRecord, TrustState, reopen
value = json.load(open(sys.argv[1]))
catalog, publishers = reopen(
    AcceptedRecord.from_dict(value["record"]),
    state=TrustState.from_dict(value["state"]),
    now=datetime(2026, 11, 22, 12, tzinfo=UTC),
)
heavy = {"tuf", "securesystemslib", "cryptography", "httpx", "urllib3"} & set(sys.modules)
print(catalog.digest.hex, sorted(heavy))
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(kept)], capture_output=True, text=True, check=True
    )
    assert done.stdout.split(maxsplit=1) == [accepted.catalog.digest.hex, "[]\n"]


def test_prune_keeps_what_records_use(
    simulator: RepositorySimulator, machine: Machine, accepted: Refreshed
) -> None:
    simulator.publish(catalog=b"catalog 2")
    newer = machine.refresh(simulator.source)
    assert accepted.catalog.path.exists()
    prune(machine.cache, [newer.record])
    assert not accepted.catalog.path.exists()
    reopen(newer.record, state=newer.state, now=NOW)


def test_verified_files_are_made_by_the_client_alone(accepted: Refreshed) -> None:
    fields = {name: getattr(accepted.catalog, name) for name in VerifiedFile.__slots__}
    with pytest.raises(TypeError, match=r"only by signing\.client"):
        VerifiedFile(object(), **fields)


def test_the_simulator_makes_verified_files_for_other_tests(tmp_path: Path) -> None:
    path = tmp_path / "c.db"
    path.write_bytes(b"SQLite format 3\0")
    assert verified_catalog(tmp_path, path).path.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("value", [{}, {"repository": "x"}, {"repository": "x", "floors": 1}])
def test_damaged_record_is_refused(value: dict[str, object]) -> None:
    with pytest.raises(VerificationError, match="record of the accepted catalog cannot be read"):
        AcceptedRecord.from_dict(value)


def test_root_facts(simulator: RepositorySimulator) -> None:
    facts = root_facts(simulator.root)
    assert facts.repository == simulator.repository.identity
    assert (facts.version, facts.development) == (1, False)
    assert facts.digest == Digest.of(simulator.root)


def test_two_processes_do_not_refresh_at_once(
    simulator: RepositorySimulator, machine: Machine, accepted: Refreshed
) -> None:
    """Another process holds the lock; when it is killed, the lock is free."""
    lock = machine.cache / accepted.record.repository / "lock"
    code = (
        "import sys, pathlib\n"
        "from signing.locks import hold\n"
        "with hold(pathlib.Path(sys.argv[1]), 5, 'is busy'):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(lock)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match="another process is refreshing"):
            machine.refresh(simulator.source, deadline_s=0.2)
        holder.kill()
        holder.wait()
    machine.refresh(simulator.source)  # control


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("moment", range(24))
def test_killed_at_any_instant_the_old_or_the_new_catalog_is_there(
    simulator: RepositorySimulator, machine: Machine, accepted: Refreshed, moment: int
) -> None:
    """A child is killed at the n-th chunk that it reads or file that it renames."""
    simulator.publish(catalog=b"catalog 2" * 100_000, publishers=simple_publishers())
    child = os.fork()
    if child == 0:
        left = [moment]

        def tick() -> None:
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        rename = Path.replace

        def replace(path: Path, target: Path) -> Path:
            tick()
            done = rename(path, target)
            tick()
            return done

        class Killing(DirectorySource):
            def read(self, path: str, deadline: Deadline) -> Iterator[bytes]:
                for chunk in super().read(path, deadline):
                    tick()
                    yield chunk

        try:
            Path.replace = replace  # type: ignore[method-assign,assignment]
            machine.refresh(Killing(simulator.directory))
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    catalog, _ = reopen(accepted.record, state=accepted.state, now=NOW)
    assert catalog.path.read_bytes() == b"catalog 1"
    done = machine.refresh(simulator.source)
    assert done.catalog.path.stat().st_size == 900_000


def test_prune_leaves_other_repositories_and_what_is_young(
    machine: Machine, simulator: RepositorySimulator
) -> None:
    record = machine.refresh(simulator.source).record
    mine = record.catalog.path.parent
    other = machine.cache / ("0" * 32) / "artifacts"
    other.mkdir(parents=True)
    for folder in (mine, other):
        (folder / "old.db").write_bytes(b"x")
        os.utime(folder / "old.db", (1e9, 1e9))
        (folder / "young.db").write_bytes(b"x")
    prune(machine.cache, [record], repository=record.repository, older_than_s=3600)
    assert {path.name for path in other.iterdir()} == {"old.db", "young.db"}
    assert (mine / "young.db").exists()
    assert not (mine / "old.db").exists()
    assert record.catalog.path.exists()
