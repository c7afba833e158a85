"""What an author packs and signs is what a marketplace accepts."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import jsonschema
import msgspec
import pytest
import yaml

from marketplace_db.acceptance import publisher_claim
from marketplace_db.errors import PackageError
from signing.attest import verify_publisher
from signing.errors import AttestationError
from signing.keys import PrivateKey
from tavo.errors import InputError, RefusedError
from tavo.host.local import open_local
from tavo.kit.contract import run_suite
from tavo.kit.publish import pack, sign, submission
from tavo.kit.schema import manifest_schema, report_schema, schema_text
from tavo.kit.validate import validate
from tests.fakes.authors import ACCEPT, TYPES, author_plugin
from tests.fakes.repository import NOW, key_map

ROOT = Path(__file__).parents[2]


def test_packing_twice_gives_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = pack(author_plugin(tmp_path / "one"))
    assert first.path == Path("acme-sample-0.1.0.zip")
    assert pack(author_plugin(tmp_path / "two"), tmp_path / "b.zip").digest == first.digest
    assert pack(tmp_path / "one").digest == first.digest  # the same again is no overwriting


@pytest.mark.parametrize(("umask", "zone"), [(0o000, "UTC"), (0o077, "XYZ-13:30")])
def test_umask_time_zone_and_times_do_not_matter(umask: int, zone: str, tmp_path: Path) -> None:
    expected = pack(author_plugin(tmp_path / "one"), tmp_path / "a.zip").digest.hex
    code = (
        "import os, sys; from pathlib import Path;"
        f"os.umask({umask}); from tests.fakes.authors import author_plugin;"
        "from tavo.kit.publish import pack;"
        "folder = author_plugin(Path('a folder/with another name'));"
        "(folder / 'main.py').chmod(0o755); os.utime(folder / 'main.py', (1, 1));"
        "print(pack(folder).digest.hex)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True,
        env={"TZ": zone, "LC_ALL": "C", "PYTHONPATH": str(ROOT), "PATH": ""},
    )  # fmt: skip
    assert done.stdout.strip() == expected


def test_another_package_of_that_name_stays(tmp_path: Path) -> None:
    folder = author_plugin(tmp_path / "one")
    first = pack(folder, tmp_path / "a.zip")
    (folder / "README.md").write_text("changed\n")
    with pytest.raises(RefusedError, match="nothing is overwritten"):
        pack(folder, tmp_path / "a.zip")
    assert pack(author_plugin(tmp_path / "two"), tmp_path / "a.zip").digest == first.digest


def test_the_statement_is_what_a_marketplace_verifies(tmp_path: Path) -> None:
    package = pack(author_plugin(tmp_path / "one"), tmp_path / "a.zip")
    key, other = PrivateKey.generate(), PrivateKey.generate()
    written = sign(package.path, key, now=NOW)
    assert written == tmp_path / "a.zip.dsse.json"
    envelope = written.read_bytes()
    statement = verify_publisher(envelope, key_map(key), publisher_claim(package))
    assert statement.key_ids == (key.public.key_id,)
    with pytest.raises(AttestationError):
        verify_publisher(envelope, key_map(other), publisher_claim(package))


def test_only_a_sound_package_is_signed(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK")
    with pytest.raises(PackageError):
        sign(tmp_path / "a.zip", PrivateKey.generate(), now=NOW)
    assert not (tmp_path / "a.zip.dsse.json").exists()


@pytest.mark.parametrize(
    ("name", "schema", "word"),
    [("plugin.schema.json", manifest_schema(), "plugin"),
     ("tavo-plugin-test-1.json", report_schema(), "test")],
)  # fmt: skip
def test_the_schemas_in_the_documentation_are_fresh(
    name: str, schema: dict[str, object], word: str
) -> None:
    kept = (ROOT / "docs" / "schemas" / name).read_text()
    assert kept == schema_text(schema), f"python -m tavo.kit.schema {word} > docs/schemas/{name}"


def test_a_report_fits_its_schema(tmp_path: Path) -> None:
    with open_local(author_plugin(tmp_path / "one")) as local:
        report = run_suite(local, accept=ACCEPT)
    schema = report_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    printed = json.loads(msgspec.json.encode(report))
    jsonschema.validate(printed, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**printed, "passed": "yes"}, schema)


def test_the_schema_takes_what_tavo_takes(tmp_path: Path) -> None:
    schema = manifest_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    manifests = [author_plugin(tmp_path / t, t) / "plugin.yaml" for t in TYPES]
    manifests += (ROOT / "examples" / "plugins").glob("*/plugin.yaml")
    for path in manifests:
        document = yaml.safe_load(path.read_text())
        jsonschema.validate({**document, "x-mine": 1}, schema)
        for wrong in ({"unknown": 1}, {"plugin_type": "other"}, {"id": "A"}, {"limits": {"x": 1}}):
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate({**document, **wrong}, schema)


def test_packing_inside_the_folder_leaves_the_digest_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = author_plugin(tmp_path / "one")
    monkeypatch.chdir(folder)
    first = pack(Path())
    sign(first.path, PrivateKey.generate(), now=NOW)
    assert sorted(path.name for path in folder.glob("acme-*")) == [
        "acme-sample-0.1.0.zip", "acme-sample-0.1.0.zip.dsse.json",
    ]  # fmt: skip
    assert pack(Path()).digest == first.digest
    assert validate(Path()).package == first.digest.hex
    with open_local(Path()) as local:
        assert local.digest == first.digest
    # other archives are the plugin's own
    with zipfile.ZipFile("words.zip", "w") as archive:
        archive.writestr("words.txt", "hello")
    assert pack(Path(), tmp_path / "b.zip").digest != first.digest


def _key_file(tmp_path: Path, passphrase: bytes | None) -> str:
    PrivateKey.generate().save(tmp_path / "made.key", passphrase)
    return (tmp_path / "made.key").read_text()


@pytest.mark.parametrize("place", ["acme.key", "tests/samples/id", "data/innocent.txt"])
@pytest.mark.parametrize("kind", ["plain", "encrypted", "crlf", "openssh"])
def test_a_private_key_is_never_packed(place: str, kind: str, tmp_path: Path) -> None:
    folder = author_plugin(tmp_path / "one")
    text = _key_file(tmp_path, b"three words here" if kind == "encrypted" else None)
    if kind == "crlf":
        text = "a note\r\n" + text.replace("\n", "\r\n")
    if kind == "openssh":
        text = text.replace("PRIVATE", "OPENSSH PRIVATE")
    (folder / place).parent.mkdir(parents=True, exist_ok=True)
    (folder / place).write_text(text)
    with pytest.raises(PackageError, match=f"{Path(place).name}: holds a private key") as refused:
        pack(folder, tmp_path / "a.zip")
    assert "Move it out" in refused.value.hint
    assert not (tmp_path / "a.zip").exists()
    (problem,) = (one for one in validate(folder).problems if one.kind == "problem")
    assert problem.where == place
    # the control: what only looks like one is packed
    body = text.replace("\r", "").partition("\n-----END")
    (folder / place).write_text(body[0])
    pack(folder, tmp_path / "b.zip")
    (folder / place).write_text("KEY = '-----BEGIN PRIVATE KEY-----'  # what we look for\n")
    pack(folder, tmp_path / "c.zip")


def test_a_folder_that_cannot_be_written_is_told_by_the_file_that_was_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = author_plugin(tmp_path / "one")
    package = pack(folder, tmp_path / "a.zip").path
    statement = sign(package, PrivateKey.generate(), now=NOW)

    mkstemp = tempfile.mkstemp

    def denied(*, prefix: str, dir: Path) -> tuple[int, str]:  # noqa: A002
        if dir == tmp_path:
            raise PermissionError(errno.EACCES, "Permission denied", f"{dir}/{prefix}x")
        return mkstemp(prefix=prefix, dir=dir)

    monkeypatch.setattr(tempfile, "mkstemp", denied)
    out = tmp_path / "there"
    for write in (
        lambda: pack(folder, out),
        lambda: sign(package, PrivateKey.generate(), now=NOW, out=out),
        lambda: submission(package, statement, wheels=None, out=out),
    ):
        with pytest.raises(InputError) as refused:
            write()
        assert str(refused.value) == f"{out}: cannot be written: Permission denied"
        assert refused.value.hint == "Name another file with --output."


def test_what_is_missing_is_named_by_the_authors_own_words(tmp_path: Path) -> None:
    folder = author_plugin(tmp_path / "mine")
    (folder / "README.md").unlink()
    with pytest.raises(PackageError, match=r"^mine: holds no README\.md") as refused:
        pack(folder, tmp_path / "a.zip")
    assert refused.value.hint
