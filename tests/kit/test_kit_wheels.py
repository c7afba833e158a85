"""A plugin's lock and the wheels it names: written, built, signed, looked at, handed in."""

from __future__ import annotations

import base64
import json
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from marketplace_db.errors import ManifestError, PackageError
from marketplace_db.lock import parse_lock
from marketplace_db.origins import ORIGINS
from marketplace_db.package import inspect_package
from signing.attest import verify_build
from signing.digests import Digest, hash_file
from signing.errors import AttestationError
from signing.keys import PrivateKey
from tavo.errors import InputError, RefusedError, UsageError
from tavo.host.local import open_local
from tavo.kit.build import build_wheel
from tavo.kit.contract import run_suite
from tavo.kit.publish import pack
from tavo.kit.validate import validate
from tavo.kit.wheels import (
    BUILD_SUFFIX,
    add_to_lock,
    check_wheels,
    keep_wheel,
    make_bare_lock,
    make_lock,
)
from tests.fakes.authors import ACCEPT, author_plugin
from tests.fakes.operator_market import Marketplace, wheel_bytes
from tests.fakes.repository import NOW, key_map
from tests.fakes.sdists import write_sdist

KEY = PrivateKey.generate()
WHEEL = "tiny-1.0-py3-none-any.whl"


def plugin(tmp_path: Path, *dependencies: str, native: bool = False) -> Path:
    folder = author_plugin(tmp_path / "sample")
    text = (folder / "plugin.yaml").read_text()
    if native:
        text = text.replace("  files: none\n", "  files: none\n  native_code: true\n")
    names = json.dumps(list(dependencies))
    (folder / "plugin.yaml").write_text(f"{text}dependencies: {names}\n")
    (folder / ".wheels").mkdir()
    return folder


def put(
    folder: Path, name: str = "dep", tag: str = "py3-none-any", *, requires: Sequence[str] = ()
) -> Path:
    path = folder / ".wheels" / f"{name}-1.0-{tag}.whl"
    lines = "".join(f"Requires-Dist: {line}\n" for line in requires)
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n{lines}\n".encode()
    path.write_bytes(wheel_bytes(name, files={f"{name}-1.0.dist-info/METADATA": metadata}))
    return path


def built(tmp_path: Path, folder: Path, key: PrivateKey = KEY) -> Path:
    wheel, _ = keep_wheel(build_wheel(write_sdist(tmp_path / "s"), None), folder, key, now=NOW)
    return wheel


# -- lock


def test_a_lock_is_what_an_inspection_and_pip_read(tmp_path: Path) -> None:
    folder = plugin(tmp_path, "dep>=1")
    wheel = put(folder)
    (locked,) = make_lock(folder, folder / ".wheels")
    assert (locked.filename, locked.digest) == (wheel.name, hash_file(wheel)[0])
    text = (folder / "requirements.lock").read_text()
    assert text == f"dep==1.0 --hash=sha256:{locked.digest.hex}  # {wheel.name}\n"
    package = pack(folder, tmp_path / "a.zip")
    assert package.locked == (locked,)
    with open_local(folder) as local:
        assert local.installation.wheels == (wheel.name,)


def test_a_bare_lock_has_what_is_named_and_says_what_is_left_out(tmp_path: Path) -> None:
    folder = plugin(tmp_path, "dep>=1")
    put(folder, requires=("torch>=2", "other; sys_platform == 'win32'"))
    with pytest.raises(InputError, match=r"dep 1\.0 needs torch>=2"):
        make_lock(folder, folder / ".wheels")
    locked, left_out = make_bare_lock(folder, folder / ".wheels")
    assert [one.name for one in locked] == ["dep"]
    assert left_out == ["torch"]
    assert (folder / "requirements.lock").read_text().startswith("dep==1.0 ")


def test_what_cannot_be_locked_is_one_sentence(tmp_path: Path) -> None:
    folder = author_plugin(tmp_path / "none")
    with pytest.raises(UsageError, match="names no dependencies"):
        make_lock(folder, folder)
    with pytest.raises(UsageError, match=r"holds no plugin.yaml"):
        make_lock(tmp_path, tmp_path)
    folder = plugin(tmp_path, "dep>=1")
    with pytest.raises(InputError, match="there is no such folder") as caught:
        make_lock(folder, tmp_path / "gone")
    assert "pip download --only-binary :all:" in caught.value.hint
    with pytest.raises(InputError, match=r"acme/sample needs dep>=1, and .* holds no wheel of it"):
        make_lock(folder, folder / ".wheels")
    assert not (folder / "requirements.lock").exists()
    (folder / "plugin.yaml").write_text("id: x\n")
    with pytest.raises(ManifestError):
        make_lock(folder, folder / ".wheels")


def test_sources_alone_lead_to_the_way_to_build_them(tmp_path: Path) -> None:
    folder = plugin(tmp_path, "tiny", "dep")
    sdist = write_sdist(folder / ".wheels")
    with pytest.raises(InputError) as caught:
        make_lock(folder, folder / ".wheels")
    assert str(caught.value) == (
        f"acme/sample needs dep, and {folder / '.wheels'} holds no wheel of it; acme/sample needs"
        f" tiny, and {folder / '.wheels'} holds only its sources, tiny-1.0.tar.gz"
    )
    assert f"tavo plugin pack {folder} --build-wheel {sdist}" in caught.value.hint


def test_compiled_wheels_need_the_permission(tmp_path: Path) -> None:
    folder = plugin(tmp_path, "dep")
    put(folder, tag="cp311-cp311-manylinux_2_28_x86_64")
    with pytest.raises(RefusedError, match="does not ask for the permission native_code"):
        make_lock(folder, folder / ".wheels")
    folder = plugin(tmp_path / "two", "dep", native=True)
    put(folder, tag="cp311-cp311-manylinux_2_28_x86_64")
    assert len(make_lock(folder, folder / ".wheels")) == 1


def test_the_suite_tries_plugins_with_compiled_wheels_and_a_closed_configuration(
    tmp_path: Path,
) -> None:
    folder = plugin(tmp_path, "dep", native=True)
    version = "".join(map(str, sys.version_info[:2]))
    machine = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    put(folder, tag=f"cp{version}-cp{version}-{machine}")
    make_lock(folder, folder / ".wheels")
    with (folder / "plugin.yaml").open("a") as stream:
        stream.write("config_schema: {type: object, additionalProperties: false}\n")
    with open_local(folder) as local:
        report = run_suite(local, accept=ACCEPT)
    assert report.passed, report.checks


# -- building for a plugin


def test_a_built_wheel_is_kept_signed_and_locked(tmp_path: Path) -> None:
    folder = plugin(tmp_path, "tiny", "dep")
    put(folder)
    wheel = built(tmp_path, folder)
    statement = wheel.with_name(wheel.name + BUILD_SUFFIX)
    claim = verify_build(statement.read_bytes(), key_map(KEY), wheel.name, hash_file(wheel)[0])
    assert claim.source == "tiny-1.0.tar.gz"
    assert claim.issued == NOW
    add_to_lock(folder, [claim])
    locked = parse_lock((folder / "requirements.lock").read_bytes())
    assert [one.name for one in locked] == ["dep", "tiny"]
    assert pack(folder, tmp_path / "a.zip").locked == locked
    with open_local(folder) as local:
        assert len(local.installation.wheels) == 2


def test_a_built_wheel_joins_a_lock_and_never_changes_one(tmp_path: Path) -> None:
    folder = plugin(tmp_path, "dep")
    put(folder)
    make_lock(folder, folder / ".wheels")
    before = (folder / "requirements.lock").read_bytes()
    claim = build_wheel(write_sdist(tmp_path), None).claim
    add_to_lock(folder, [claim])
    after = (folder / "requirements.lock").read_bytes()
    assert before in after
    assert len(parse_lock(after)) == 2
    with pytest.raises(RefusedError, match="with another digest than that of the wheel"):
        add_to_lock(folder, [replace(claim, digest=Digest.of(b"x"))])
    assert (folder / "requirements.lock").read_bytes() == after


def test_another_wheel_of_that_name_stays(tmp_path: Path) -> None:
    folder = plugin(tmp_path, "tiny")
    other = wheel_bytes("tiny")
    (folder / ".wheels" / WHEEL).write_bytes(other)
    with pytest.raises(RefusedError, match="another wheel is there already"):
        built(tmp_path, folder)
    assert (folder / ".wheels" / WHEEL).read_bytes() == other


# -- what validate sees


def found(folder: Path) -> list[str]:
    locked = parse_lock((folder / "requirements.lock").read_bytes())
    return [f"{what} ({note})" for _, what, note in check_wheels(locked, folder / ".wheels")]


def test_a_wheel_has_a_statement_or_a_note(tmp_path: Path) -> None:
    folder = plugin(tmp_path, "tiny", "dep")
    put(folder)
    wheel = built(tmp_path, folder)
    make_lock(folder, folder / ".wheels")
    (only,) = found(folder)
    assert only.startswith("has no build statement: a marketplace looks for it in a package index")
    assert validate(folder).passed
    statement = wheel.with_name(wheel.name + BUILD_SUFFIX)
    (folder / ".wheels" / "dep-1.0-py3-none-any.whl.build.dsse.json").write_bytes(
        statement.read_bytes()
    )
    first, *_ = found(folder)
    assert "package digest differs" in first  # a statement about another wheel
    assert not validate(folder).passed
    statement.write_bytes(b"{}")
    assert any("not a DSSE envelope" in one for one in found(folder))


def test_a_wheel_that_is_not_the_locked_one_is_a_problem(tmp_path: Path) -> None:
    folder = plugin(tmp_path, "dep")
    wheel = put(folder)
    make_lock(folder, folder / ".wheels")
    wheel.write_bytes(wheel.read_bytes() + b"x")
    (only,) = found(folder)
    assert only.startswith("has the digest sha256:")
    assert not validate(folder).passed
    wheel.unlink()
    assert found(folder) == [f"is not in {folder / '.wheels'}, so it was not looked at (True)"]
    wheel.parent.rmdir()
    (note,) = [p for p in validate(folder).problems if p.where == "requirements.lock"]
    assert note.kind == "note"
    assert "its wheels were not looked at" in note.what


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        (("a.data/scripts/tool", "b/tool"), ""),
        (("a.data/scripts/other", "b/tool.txt"), "no wheel holds the program tool"),
        (("a.data/scripts/tool", "b/other"), "holds no compiled file called tool"),
    ],
)
def test_programs_are_looked_for_in_the_wheels_of_every_system(
    files: tuple[str, str], problem: str, tmp_path: Path
) -> None:
    folder = plugin(tmp_path, "dep", native=True)
    for system, name in zip(("manylinux_2_28_x86_64", "macosx_11_0_arm64"), files, strict=True):
        data = wheel_bytes(files={name.replace("a.data", "dep-1.0.data"): b"\x7fELF\x02\x01"})
        (folder / ".wheels" / f"dep-1.0-py3-none-{system}.whl").write_bytes(data)
    make_lock(folder, folder / ".wheels")
    with (folder / "plugin.yaml").open("a") as stream:
        stream.write("programs: [tool]\n")
    found = [one.what for one in validate(folder).problems if one.kind == "problem"]
    assert len(found) == bool(problem)
    assert all(problem in one for one in found)


# -- what a marketplace does with them


def submitted(market: Marketplace, folder: Path, builds: dict[str, bytes]) -> str:
    package = pack(folder, folder.parent / "a.zip").path
    wheels = {w.filename: folder / ".wheels" / w.filename for w in inspect_package(package).locked}
    return market.market.submit(
        package, market.sign(package), wheels=wheels, builds=builds,
        publishers=market.publishers, now=NOW,
    )  # fmt: skip


def test_intake_verifies_and_records_where_wheels_come_from(tmp_path: Path) -> None:
    market = Marketplace(tmp_path / "market")
    folder = plugin(tmp_path, "tiny", "dep")
    put(folder)
    wheel = built(tmp_path, folder, market.acme)
    make_lock(folder, folder / ".wheels")
    statement = wheel.with_name(wheel.name + BUILD_SUFFIX).read_bytes()
    submission = submitted(market, folder, {wheel.name: statement})
    (row,) = market.market.connection.execute("SELECT * FROM checks").fetchall()
    assert (row["name"], row["outcome"]) == (ORIGINS, "not done")  # dep: an index must have it
    digest = Digest(row["report"])
    report = json.loads(market.market.blob(digest).read_bytes())
    assert [(one["wheel"], one["origin"]) for one in report["wheels"]] == [
        ("dep-1.0-py3-none-any.whl", "index"), (WHEEL, "built"),
    ]  # fmt: skip
    kept = report["wheels"][1]
    assert verify_build(
        kept["statement"].encode(), key_map(market.acme), WHEEL, Digest(kept["sha256"])
    ).source_digest.hex == kept["source_sha256"]  # fmt: skip
    package = folder.parent / "a.zip"
    envelope = market.review(package, market.reviewers[0], reports=(digest,))
    market.market.record_review(submission, envelope, publishers=market.publishers, now=NOW)
    market.market.approve(submission, publishers=market.publishers, now=NOW)
    assert market.market.blob(digest) in market.release().blobs  # mirrors carry the statement


def test_wheels_that_were_all_built_pass(tmp_path: Path) -> None:
    market = Marketplace(tmp_path / "market")
    folder = plugin(tmp_path, "tiny")
    wheel = built(tmp_path, folder, market.acme)
    make_lock(folder, folder / ".wheels")
    statement = wheel.with_name(wheel.name + BUILD_SUFFIX).read_bytes()
    submitted(market, folder, {wheel.name: statement})
    (row,) = market.market.connection.execute("SELECT outcome FROM checks").fetchall()
    assert row["outcome"] == "passed"


def test_intake_refuses_statements_that_do_not_hold(tmp_path: Path) -> None:
    market = Marketplace(tmp_path / "market")
    folder = plugin(tmp_path, "tiny")
    wheel = built(tmp_path, folder, KEY)  # a stranger's key
    make_lock(folder, folder / ".wheels")
    statement = wheel.with_name(wheel.name + BUILD_SUFFIX).read_bytes()
    with pytest.raises(AttestationError, match="is not among the 1 allowed keys"):
        submitted(market, folder, {wheel.name: statement})
    with pytest.raises(PackageError, match=r"is about x.whl, which is not in requirements.lock"):
        submitted(market, folder, {"x.whl": statement})
    publisher = market.sign(folder.parent / "a.zip")
    with pytest.raises(AttestationError, match="predicate type differs"):
        submitted(market, folder, {wheel.name: publisher})
    assert market.market.submissions() == []
    payload = json.loads(base64.b64decode(json.loads(statement)["payload"]))
    assert payload["predicateType"] == "urn:tavo:attestation:build:v1"


def test_a_submission_without_wheels_has_no_such_check(tmp_path: Path) -> None:
    market = Marketplace(tmp_path / "market")
    package = market.package()
    market.market.submit(package, market.sign(package), publishers=market.publishers, now=NOW)
    assert market.market.connection.execute("SELECT count(*) FROM checks").fetchone()[0] == 0
