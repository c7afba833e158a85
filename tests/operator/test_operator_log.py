"""The log of releases: who rewrites it is found out, and an auditor needs no tavo."""

from __future__ import annotations

import ast
import base64
import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from signing.client import DirectorySource, TrustState
from signing.digests import Digest
from signing.errors import MissingError, VerificationError
from signing.keyring import Keyring
from signing.keys import PrivateKey
from signing.log import ForkError, Log, append, entry_of, read_checkpoint, read_log
from signing.merkle import leaf_hash
from signing.roles import LOG_NAME
from tavo.registry.audit import Audit, consistency, inclusion
from tavo.registry.mirrors import Mirrors
from tavo.registry.trust import Trust
from tests.fakes.marketplace import MemoryStore
from tests.fakes.operated import Operated
from tests.fakes.repository import Machine

SCRIPT = Path(__file__).parents[2] / "examples" / "verify_log.py"


def load() -> Any:
    spec = importlib.util.spec_from_file_location("verify_log", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def operated(tmp_path: Path) -> Operated:
    """A marketplace with two releases."""
    operated = Operated(tmp_path)
    operated.add(id="one")
    return operated


def log_of(operated: Operated) -> Log:
    with operated.open() as place:
        log = place.repository.log()
    assert log is not None
    return log


def machine(operated: Operated, name: str = "machine") -> Machine:
    return Machine(operated.folder / name, operated.root, now=operated.now)


def forked(operated: Operated) -> Operated:
    """The same marketplace in the hands of somebody who tells another story from here on."""
    other = Operated.__new__(Operated)
    other.__dict__.update(operated.__dict__)
    other.directory = Path(shutil.copytree(operated.directory, operated.folder / "forked"))
    other.add(id="evil")
    other.release()
    return other


def test_each_release_is_an_entry_and_renewing_is_none(operated: Operated) -> None:
    assert [json.loads(one)["releases"] for one in log_of(operated).entries] == [0, 1]
    operated.release()  # nothing new
    assert len(log_of(operated).entries) == 2
    done = operated.add(id="two")
    last = json.loads(log_of(operated).entries[-1])
    assert last["catalog"] == done.catalog.hex
    assert (last["index"], last["length"], last["releases"]) == (2, done.length, 2)
    with operated.open() as place:
        assert last["version"] == place.repository.version("catalog")


def test_a_machine_that_follows_accepts_what_continues(operated: Operated) -> None:
    one = machine(operated)
    for number in range(3):
        one.refresh(DirectorySource(operated.tree))
        assert one.state.log is not None
        assert one.state.log.newest.size == 2 + number
        operated.add(id=f"more-{number}")
        one.now = operated.now


def test_rewritten_history_is_refused_with_evidence(operated: Operated) -> None:
    one = machine(operated)
    other = forked(operated)
    operated.add(id="two")
    one.now = operated.now
    one.refresh(DirectorySource(operated.tree))
    other.now = operated.now
    other.release()
    one.now = other.now
    with pytest.raises(ForkError, match="differs in its first 3 entries from the one") as caught:
        one.refresh(DirectorySource(other.tree))
    evidence = caught.value.evidence
    keys = [key.public for key in operated.keys.of("catalog")]
    seen = read_checkpoint(evidence["seen.note"].decode(), "seen")
    offered = read_log(evidence["offered.log"], "offered").checkpoint
    assert seen.signed_by(keys)
    assert offered.signed_by(keys)
    assert one.state.log is not None
    assert one.state.log.newest == seen  # nothing was accepted


def test_without_what_was_seen_it_would_have_been_accepted(operated: Operated) -> None:
    """The control: signatures, versions and expiry are all right, with the operator's own key."""
    one = machine(operated)
    other = forked(operated)
    operated.add(id="two")
    one.now = operated.now
    one.refresh(DirectorySource(operated.tree))
    one.state = replace(one.state, log=None)
    other.now = operated.now
    other.release()
    one.now = other.now
    assert one.refresh(DirectorySource(other.tree)).catalog.version


def test_a_log_that_is_left_out_later_is_refused(operated: Operated) -> None:
    one = machine(operated)
    one.refresh(DirectorySource(operated.tree))
    with operated.open() as place:
        place.repository.publish(renew=("catalog",), without={LOG_NAME}, now=operated.now)
    with pytest.raises(ForkError, match="offers no log of releases any more, and one of 2"):
        one.refresh(DirectorySource(operated.tree))
    fresh = machine(operated, "fresh")  # control: to whom nothing was shown, nothing is missing
    assert fresh.refresh(DirectorySource(operated.tree)).log is None


def republish(operated: Operated, data: bytes) -> None:
    with operated.open() as place:
        place.repository.publish(log=data, now=operated.now)


def catalog_key(operated: Operated) -> PrivateKey:
    return operated.keys.of("catalog")[0]


def identity(operated: Operated) -> str:
    with operated.open() as place:
        return place.repository.identity


def forgeries(operated: Operated) -> Mapping[str, tuple[bytes, str]]:
    log, key, name = log_of(operated), catalog_key(operated), identity(operated)
    good, last = log.entries[:-1], log.entries[-1]
    data = append(good, last, name, key)
    other = entry_of(
        index=1, catalog=Digest.of(b"x"), length=1, publishers=None, releases=1,
        time="2026-11-23T12:00:00Z", version=9,
    )  # fmt: skip
    return {
        "another catalog": (append(good, other, name, key), "last entry is not the catalog"),
        "another key": (append(good, last, name, PrivateKey.generate()), "not signed by a key"),
        "another marketplace": (append(good, last, "ab" * 16, key), "not signed by a key"),
        "an entry changed": (data.replace(b'"releases":0', b'"releases":7'), "does not fit"),
        "an entry gone": (data.partition(b"\n")[2], "entry 0 has another form"),
        "no checkpoint": (data.partition(b"\n\n")[0], "is no checkpoint"),
        "not canonical": (data.replace(b'"index":0', b'"index": 0'), "not in canonical form"),
        "no log": (b"hello\n\nhello", "is no log of releases"),
        "a wrong root": (
            data.replace(base64.b64encode(log.checkpoint.root), base64.b64encode(bytes(32))),
            "does not fit its entries",
        ),
    }


def test_a_log_that_is_forged_is_refused(operated: Operated) -> None:
    one = machine(operated)
    for number, (data, sentence) in enumerate(forgeries(operated).values()):
        republish(operated, data)
        with pytest.raises(VerificationError, match=sentence):
            machine(operated, f"m{number}").refresh(DirectorySource(operated.tree))
    republish(operated, append(log_of_good(operated), *last_of_good(operated)))
    assert one.refresh(DirectorySource(operated.tree)).log is not None  # control


def log_of_good(operated: Operated) -> list[bytes]:
    with operated.open() as place:
        digest = place.repository.published("catalog/catalog.db")
        assert digest is not None
        return [
            entry_of(index=0, catalog=digest, length=1, publishers=None, releases=0,
                     time="2026-11-22T12:00:00Z", version=1)
        ]  # fmt: skip


def last_of_good(operated: Operated) -> tuple[bytes, str, PrivateKey]:
    entry = json.loads(log_of_good(operated)[0])
    entry["index"] = 1
    data = json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
    return data, identity(operated), catalog_key(operated)


def test_new_keys_of_the_catalog_carry_the_log_on(operated: Operated) -> None:
    one = machine(operated)
    one.refresh(DirectorySource(operated.tree))
    rotate(operated)
    done = one.refresh(DirectorySource(operated.tree))
    assert done.log_news == ""
    operated.add(id="two")
    one.now = operated.now
    assert one.refresh(DirectorySource(operated.tree)).log_news == ""
    assert one.state.log is not None
    assert one.state.log.newest.size == 3


def test_what_a_thief_appended_locks_nobody_out(operated: Operated) -> None:
    """With new keys, which the offline role gives, the log may begin anew; and it is said."""
    one = machine(operated)
    thief = forked(operated)
    one.now = thief.now
    one.refresh(DirectorySource(thief.tree))
    operated.now = thief.now
    for name in "abc":  # versions that only rise
        operated.add(id=name)
    one.now = operated.now
    with pytest.raises(ForkError):
        one.refresh(DirectorySource(operated.tree))  # control: with the stolen keys in force
    rotate(operated)
    done = one.refresh(DirectorySource(operated.tree))
    assert "the log begins anew; ask the operator what happened" in done.log_news
    assert one.state.log is not None
    assert one.state.log.newest.size == len(log_of(operated).entries)


def rotate(operated: Operated) -> None:
    keys: Keyring = operated.keys.with_role("catalog", [PrivateKey.generate()])
    with operated.open() as place:
        place.repository.rotate_root(keys, operated.now)
    operated.keys = keys


def test_a_marketplace_of_an_earlier_tavo_begins_with_its_next_release(operated: Operated) -> None:
    with operated.open() as place:
        place.repository.publish(renew=("catalog",), without={LOG_NAME}, now=operated.now)
    one = machine(operated)
    assert one.refresh(DirectorySource(operated.tree)).log is None
    operated.release()  # nothing new in it but the log
    assert [json.loads(entry)["index"] for entry in log_of(operated).entries] == [0]
    one.now = operated.now
    assert one.refresh(DirectorySource(operated.tree)).log is not None


def test_a_state_of_an_earlier_tavo_has_seen_no_log(operated: Operated) -> None:
    one = machine(operated)
    one.refresh(DirectorySource(operated.tree))
    old = {key: value for key, value in one.state.to_dict().items() if key != "log"}
    assert TrustState.from_dict(old).log is None
    broken = {**old, "log": {"notes": ["x"], "keys": ""}}
    with pytest.raises(VerificationError, match="stored trust state"):
        TrustState.from_dict(broken)


def test_a_log_comes_by_its_new_entries_alone(operated: Operated) -> None:
    from marketplace_db.counted import Counted

    for number in range(30):
        operated.add(id=f"p{number}") if number < 2 else operated.release()
    one = machine(operated)
    one.refresh(DirectorySource(operated.tree))
    before = Counted(DirectorySource(operated.tree))
    operated.add(id="two")
    one.now = operated.now
    named = log_of(operated)
    size = sum(len(entry) + 1 for entry in named.entries)
    reads: list[tuple[str, int]] = []
    inner = before.read_from

    def counting(path: str, start: int, deadline: Any) -> Any:
        reads.append((path, start))
        return inner(path, start, deadline)

    before.read_from = counting  # type: ignore[method-assign]
    one.refresh(before)
    (start,) = [at for path, at in reads if path.endswith("releases.log")]
    assert start == size - len(named.entries[-1]) - 1


# -- sites: sync, import, audit


def site(operated: Operated, store: MemoryStore, name: str = "site") -> Trust:
    folder = operated.folder / name
    return Trust(
        store, folder / "cache", embedded=None, root=operated.root, now=operated.now,
        evidence=folder / "evidence",
    )  # fmt: skip


def test_a_mirror_and_a_bundle_prove_that_they_descend(operated: Operated, tmp_path: Path) -> None:
    store = MemoryStore()
    outside = Mirrors(site(operated, MemoryStore(), "outside"))
    outside.sync(DirectorySource(operated.tree), tmp_path / "m")
    outside.export(tmp_path / "m", tmp_path / "b", "4G", None)
    inside = Mirrors(site(operated, store))
    inside.import_([tmp_path / "b"], tmp_path / "i")

    other = forked(operated)
    other.release()
    evil = Mirrors(site(other, MemoryStore(), "evil"))
    operated.add(id="two")
    Mirrors(site(operated, store)).sync(DirectorySource(operated.tree), tmp_path / "i2")
    operated.now = other.now
    evil.sync(DirectorySource(other.tree), tmp_path / "me")
    evil.export(tmp_path / "me", tmp_path / "be", "4G", None)
    again = Mirrors(site(other, store))
    for attack in (
        lambda: again.import_([tmp_path / "be"], tmp_path / "i"),
        lambda: again.sync(DirectorySource(other.tree), tmp_path / "i"),
        lambda: again.audit(tmp_path / "me"),
        lambda: again.trust.update(DirectorySource(other.tree)),
    ):
        with pytest.raises(ForkError, match="history was rewritten") as caught:
            attack()
        assert "The evidence is in " in caught.value.hint
    (folder,) = (operated.folder / "site" / "evidence").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["offered.log", "seen.note"]
    Mirrors(site(other, MemoryStore(), "new")).import_([tmp_path / "be"], tmp_path / "n")  # control


@pytest.fixture
def audited(operated: Operated, tmp_path: Path) -> tuple[Operated, Audit, Path]:
    """A site that has synced twice, and what it can show an auditor."""
    store = MemoryStore()
    mirror = tmp_path / "mirror"
    Mirrors(site(operated, store)).sync(DirectorySource(operated.tree), mirror)
    operated.add(id="two")
    Mirrors(site(operated, store)).sync(DirectorySource(operated.tree), mirror)
    return operated, Mirrors(site(operated, store)).audit(mirror), mirror


def test_the_auditor_needs_a_key_and_no_tavo(
    audited: tuple[Operated, Audit, Path], tmp_path: Path
) -> None:
    operated, found, mirror = audited
    assert found.earlier is not None
    assert found.consistency is not None
    assert (found.earlier.size, found.checkpoint.size) == (2, 3)
    (tmp_path / "i.json").write_bytes(found.inclusion)
    (tmp_path / "c.json").write_bytes(found.consistency)
    (tmp_path / "kept.note").write_text(found.earlier.note)
    (catalog,) = (mirror / "targets" / "catalog").glob(f"{found.catalog.hex}.catalog.db")
    key = catalog_key(operated).public.hex
    words = [sys.executable, "-I", SCRIPT, tmp_path / "i.json", tmp_path / "c.json"]
    more = ["--catalog", catalog, "--earlier", tmp_path / "kept.note"]
    done = subprocess.run(
        [*words, "--key", key, *more], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("HOLDS") == 2
    assert "of 3 releases continues the one of 2" in done.stdout
    stranger = PrivateKey.generate().public.hex
    wrong = subprocess.run([*words, "--key", stranger], check=False, capture_output=True, text=True)
    assert wrong.returncode == 1
    assert "is REFUSED: none of the given keys signed the checkpoint" in wrong.stderr
    other = [*words, "--key", key, "--catalog", SCRIPT]
    assert (
        "of another catalog"
        in subprocess.run(other, check=False, capture_output=True, text=True).stderr
    )
    gone = tmp_path / "gone.json"
    for lacking in ([words[-1], gone], [words[-1], "--catalog", gone], [gone, "--earlier", gone]):
        done = subprocess.run(
            [*words[:-1], *lacking, "--key", key], check=False, capture_output=True, text=True
        )
        assert done.returncode == 2, lacking
        assert "gone.json cannot be read: No such file" in done.stderr
        assert "REFUSED" not in done.stderr


def longest(path: Path) -> int:
    return path.stat().st_size


def test_an_audit_reads_the_log_that_lies_in_the_mirror(
    audited: tuple[Operated, Audit, Path],
) -> None:
    """The machine keeps the right log in its cache: that one says nothing about this mirror."""
    operated, found, mirror = audited
    path = max((mirror / "targets" / "catalog").glob("*.releases.log"), key=longest)
    (kept,) = (operated.folder / "site" / "cache").rglob(path.name)
    good = path.read_bytes()
    again = Mirrors(site(operated, MemoryStore()))
    path.write_bytes(good.replace(b'"releases":0', b'"releases":7'))
    with pytest.raises(VerificationError, match=r"releases\.log") as caught:
        again.audit(mirror)
    assert "`tavo mirror verify` names what is damaged" in caught.value.hint
    path.write_bytes(good + b"x")
    with pytest.raises(VerificationError, match=r"releases\.log"):
        again.audit(mirror)
    path.unlink()
    with pytest.raises(MissingError, match="not there"):
        again.audit(mirror)
    assert kept.read_bytes() == good  # what let it pass before
    path.write_bytes(good)
    assert again.audit(mirror).inclusion == found.inclusion  # control


def test_the_script_stands_alone() -> None:
    text = SCRIPT.read_text("utf-8")
    assert len(text.splitlines()) <= 100
    names = {
        alias.name for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Import)
        for alias in node.names
    }  # fmt: skip
    assert names <= set(sys.stdlib_module_names)
    assert not [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.ImportFrom)]


def long_log(size: int, key: PrivateKey) -> Log:
    entries = [
        entry_of(index=n, catalog=Digest.of(b"%d" % n), length=10**9, publishers=Digest.of(b"p"),
                 releases=n, time="2026-11-22T12:00:00Z", version=n + 1)
        for n in range(size)
    ]  # fmt: skip
    return read_log(append(entries[:-1], entries[-1], "ab" * 16, key), "log")


def test_proofs_of_a_long_log_are_small_and_hold() -> None:
    """Ten years of daily releases; every size of an earlier log that is awkward."""
    key = PrivateKey.generate()
    log = long_log(3700, key)
    script = load()
    keys = [bytes.fromhex(key.public.hex)]
    for index in (0, 1, 2047, 2048, 3698, 3699):
        data = inclusion(log, index)
        assert len(data) < 2000
        assert f"release {index + 1} of 3700" in script.check(data, keys)
    for size in (1, 2, 3, 1024, 2047, 2048, 2049, 3699, 3700):
        earlier = read_log(
            append(log.entries[: size - 1], log.entries[size - 1], "ab" * 16, key), ""
        )
        data = consistency(log, earlier.checkpoint)
        assert len(data) < 2000
        assert f"of 3700 releases continues the one of {size}" in script.check(data, keys)


def test_a_changed_proof_is_refused_by_the_script() -> None:
    key = PrivateKey.generate()
    log, script = long_log(9, key), load()
    keys = [bytes.fromhex(key.public.hex)]
    earlier = read_log(append(log.entries[:4], log.entries[4], "ab" * 16, key), "").checkpoint
    forged = long_log(9, key)
    other = [*forged.entries]
    other[2] = other[2].replace(b'"length":1000000000', b'"length":1000000001')
    rewritten = read_log(append(other[:-1], other[-1], "ab" * 16, key), "log")
    good = json.loads(consistency(log, earlier))
    held = json.loads(inclusion(log, 4))
    bad: list[dict[str, Any]] = [
        {**good, "checkpoint": rewritten.checkpoint.note},
        {**good, "proof": good["proof"][:-1]},
        {**good, "proof": [*good["proof"], good["proof"][0]]},
        {**good, "proof": good["proof"][::-1]},
        {**good, "format": "x"},
        {**held, "index": 5},
        {**held, "entry": held["entry"].replace('"releases":4', '"releases":5')},
        {**held, "proof": held["proof"][:-1]},
        {**held, "proof": [base64.b64encode(leaf_hash(b"x")).decode(), *held["proof"][1:]]},
        {**held, "checkpoint": held["checkpoint"].replace("\n9\n", "\n10\n")},
    ]
    for value in bad:
        with pytest.raises(ValueError, match=r"\w"):
            script.check(json.dumps(value).encode(), keys)
    for value in (good, held):
        assert script.check(json.dumps(value).encode(), keys)  # control


def test_an_earlier_checkpoint_of_another_story_is_refused(
    audited: tuple[Operated, Audit, Path],
) -> None:
    operated, _, mirror = audited
    key = catalog_key(operated)
    entries = [*log_of(operated).entries]
    entries[0] = entries[0].replace(b'"releases":0', b'"releases":7')
    note = read_log(append(entries[:1], entries[1], identity(operated), key), "x").checkpoint.note
    trust = site(operated, MemoryStore(), "auditor")
    with pytest.raises(Exception, match="does not continue the checkpoint of 2"):
        Mirrors(trust).audit(mirror, since=note)
