"""The verifier for people who have no tavo yet: the standard library, as strict as tavo."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.formats import encode_canonical

from signing.keyring import Keyring
from signing.keys import PrivateKey
from signing.repository import Repository
from tavo.operator.publish_file import publish_file
from tests.fakes.repository import malleable, resign_metadata

SCRIPT = Path(__file__).parents[2] / "docs" / "verify_tavo.py"
FILE = b"#!/usr/bin/env python3\nPK all of tavo"


def load() -> Any:
    spec = importlib.util.spec_from_file_location("verify_tavo", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


verifier = load()


# -- Ed25519

VECTORS = [  # RFC 8032, section 7.1: public key, message, signature
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
        "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
]


@pytest.mark.parametrize("vector", VECTORS, ids=["empty", "1 byte", "2 bytes", "SHA(abc)"])
def test_the_vectors_of_the_rfc(vector: tuple[str, str, str]) -> None:
    key, message, signature = map(bytes.fromhex, vector)
    assert verifier.verify(key, message, signature)
    assert not verifier.verify(key, message + b"x", signature)
    assert not verifier.verify(key, message, malleable(signature))
    for at in (0, 31, 32, 63):
        changed = bytearray(signature)
        changed[at] ^= 1
        assert not verifier.verify(key, message, bytes(changed))
    for wrong in (b"", signature[:-1], signature + b"\0", signature[:32]):
        assert not verifier.verify(key, message, wrong)


def test_the_other_form_of_a_signature_is_valid_where_s_is_not_bounded() -> None:
    """The control of the S < L check: without it, S + L passes the equation."""
    key, message, signature = map(bytes.fromhex, VECTORS[1])
    source = SCRIPT.read_text().replace("s >= L", "False")
    names: dict[str, Any] = {"__name__": "control"}
    exec(compile(source, "control", "exec"), names)
    assert names["verify"](key, message, malleable(signature))


def test_it_agrees_with_the_library_on_many_keys() -> None:
    randomly = random.Random(7)
    for _ in range(12):
        key, data = PrivateKey.generate(), randomly.randbytes(randomly.randrange(200))
        raw, signature = bytes.fromhex(key.public.hex), key.sign(data)
        assert verifier.verify(raw, data, signature)
        assert not verifier.verify(raw, data + b"\0", signature)
        assert not verifier.verify(bytes.fromhex(PrivateKey.generate().public.hex), data, signature)


P = 2**255 - 19
EIGHTH = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
SMALL_ORDER = [  # y, or y with the sign bit: the eight points that anybody can sign for
    0, 1, P - 1, 1 << 255, EIGHTH, P - EIGHTH, EIGHTH | 1 << 255, (P - EIGHTH) | 1 << 255,
]  # fmt: skip


def test_there_are_no_other_points_of_small_order() -> None:
    """L times any point is one of them; enough points meet all."""
    randomly, met = random.Random(3), set()
    while len(met) < 8:
        with contextlib.suppress(ValueError):
            x, y = verifier.times(verifier.L, verifier.decode(randomly.randbytes(32)))
            met.add(y | (x & 1) << 255)
    assert met == set(SMALL_ORDER)


@pytest.mark.parametrize("value", SMALL_ORDER)
def test_keys_of_small_order_are_refused(value: int) -> None:
    key = value.to_bytes(32, "little")
    identity = (1).to_bytes(32, "little")
    for message in (b"", b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h"):
        assert not verifier.verify(key, message, identity + bytes(32))
    names: dict[str, Any] = {"__name__": "control"}
    source = SCRIPT.read_text().replace("times(8, (x, y)) == (0, 1)", "False")
    exec(compile(source, "control", "exec"), names)
    accepted = [names["verify"](key, bytes([n]), identity + bytes(32)) for n in range(64)]
    assert any(accepted)  # the control: somebody without any key signs for it


@pytest.mark.parametrize(
    "value", [P, P + 1, 2**255 - 1, 1 | 1 << 255, (P - 1) | 1 << 255, P + 1 | 1 << 255, 2]
)
def test_other_encodings_of_points_and_numbers_that_are_no_points_are_refused(value: int) -> None:
    with pytest.raises(ValueError, match="no public key"):
        verifier.decode(value.to_bytes(32, "little"))


@pytest.mark.parametrize("length", [0, 1, 31, 33, 64])
def test_keys_have_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="no public key"):
        verifier.decode(b"\x01" * length)


# -- the whole check


class Download:
    """A finished build published with real keys; what a user downloads; the script run on it."""

    def __init__(self, folder: Path, *, age: timedelta = timedelta(0)) -> None:
        self.folder = folder
        folder.mkdir()
        self.keyring = Keyring.generate_development(folder / "keys")
        now = datetime.now(UTC).replace(microsecond=0) - age
        Repository.create(folder / "repository", self.keyring, now)
        self.file = folder / "tavo.pyz"
        self.file.write_bytes(FILE)
        publish_file(
            keys=folder / "keys", repository=folder / "repository", file=self.file,
            version="1.2.3", now=now,
        )  # fmt: skip
        self.releases = folder / "repository" / "metadata" / "2.releases.json"
        self.keys = [key.public.hex for key in self.keyring.of("releases")]

    def change(
        self,
        change: Callable[[dict[str, Any]], object],
        *,
        keys: list[PrivateKey] | None = None,
    ) -> None:
        """Edit the list; sign it with these keys, or leave the signatures as they were."""
        value = json.loads(self.releases.read_bytes())
        change(value["signed"])
        if keys is not None:
            resign_metadata(value, keys)
        self.releases.write_text(json.dumps(value))

    def check(
        self,
        *options: str,
        keys: list[str] | None = None,
        file: Path | None = None,
        python: str = sys.executable,
    ) -> tuple[int, str]:
        given = [part for key in (self.keys if keys is None else keys) for part in ("--key", key)]
        done = subprocess.run(
            [
                python,
                "-I",
                str(SCRIPT),
                str(file or self.file),
                "--releases",
                str(self.releases),
                *given,
                *options,
            ],
            capture_output=True,
            text=True,
            cwd="/",
        )
        assert (done.stdout == "") == (done.returncode != 0)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture
def download(tmp_path: Path) -> Download:
    return Download(tmp_path / "d")


def test_the_right_file_is_one_sentence_and_0(download: Download) -> None:
    code, said = download.check()
    assert code == 0
    assert said == (
        f"{download.file} is releases/tavo-1.2.3.pyz, sha256 {_sha256(FILE)}, in a list that 3 of"
        " these keys signed\n"
    )


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("data", [b"", FILE[:-1], FILE + b"\n", b"X" + FILE[1:]])
def test_another_file_is_refused(download: Download, data: bytes) -> None:
    download.file.write_bytes(data)
    code, said = download.check()
    assert code == 1
    assert "REFUSED, do not run it: its sha256" in said


def test_a_missing_file_is_refused(download: Download) -> None:
    download.file.unlink()
    code, said = download.check()
    assert code == 1
    assert "No such file" in said


def test_the_name_of_the_file_does_not_matter(download: Download) -> None:
    assert download.check(file=download.file.rename(download.folder / "other"))[0] == 0


def test_two_keys_are_enough_and_one_is_not(download: Download) -> None:
    assert download.check(keys=download.keys[:2])[0] == 0
    code, said = download.check(keys=download.keys[:1])
    assert (code, "1 of the given keys signed the list, expected 2" in said) == (1, True)
    assert download.check("--threshold", "1", keys=download.keys[:1])[0] == 0
    assert download.check("--threshold", "3")[0] == 0
    assert download.check("--threshold", "4")[0] == 1


def test_one_key_given_twice_counts_once(download: Download) -> None:
    key = download.keys[0]
    spaced = " ".join(key[at : at + 2] for at in range(0, 64, 2))
    code, said = download.check(keys=[key, key, key.upper(), spaced])
    assert (code, "1 of the given keys" in said) == (1, True)


@pytest.mark.parametrize("threshold", ["0", "-1"])
def test_a_threshold_below_one_accepts_nothing_unsigned(download: Download, threshold: str) -> None:
    download.change(lambda signed: None, keys=[])
    assert download.check("--threshold", threshold)[0] == 1


def test_wrong_keys_are_refused(download: Download) -> None:
    other = [PrivateKey.generate().public.hex for _ in range(3)]
    code, said = download.check(keys=other)
    assert (code, "0 of the given keys signed" in said) == (1, True)
    assert download.check(keys=[download.keys[0], *other[:2]])[0] == 1
    publishers = [key.public.hex for key in download.keyring.of("publishers")]
    assert download.check(keys=publishers)[0] == 1


@pytest.mark.parametrize("key", ["00", "zz" * 32, "ff" * 32, "", "02" + "00" * 31])
def test_what_is_no_key_is_refused(download: Download, key: str) -> None:
    assert download.check(keys=[*download.keys, key])[0] in (1, 2)


def test_a_list_with_one_signature_is_refused(download: Download) -> None:
    keys = download.keyring.of("releases")
    download.change(lambda signed: None, keys=list(keys[:1]))
    assert download.check()[0] == 1
    download.change(lambda signed: None, keys=[keys[0], keys[0]])
    assert download.check()[0] == 1
    download.change(lambda signed: None, keys=list(keys[1:]))
    assert download.check()[0] == 0


def test_the_online_keys_cannot_make_a_list(download: Download) -> None:
    online = [key for role in ("catalog", "snapshot", "timestamp") for key in
              download.keyring.of(role)]  # fmt: skip
    download.change(lambda signed: None, keys=online)
    assert download.check()[0] == 1


def swap(signed: dict[str, Any]) -> None:
    signed["targets"]["releases/tavo-1.2.3.pyz"] = {
        "length": 4,
        "hashes": {"sha256": _sha256(b"evil")},
    }


def test_a_tampered_list_is_refused(download: Download) -> None:
    download.file.write_bytes(b"evil")
    download.change(swap)
    code, said = download.check()
    assert (code, "0 of the given keys signed the list" in said) == (1, True)
    download.change(lambda signed: None, keys=list(download.keyring.of("releases")))
    assert download.check()[0] == 0  # the control: with the role's keys it would be a release


@pytest.mark.parametrize(
    "change",
    [
        lambda signed: signed.update(version=3),
        lambda signed: signed.update(expires="2999-01-01T00:00:00Z"),
        lambda signed: signed.update(more=1),
        lambda signed: signed["targets"].update({"releases/more": {}}),
    ],
)
def test_any_change_breaks_the_signatures(
    download: Download, change: Callable[[dict[str, Any]], object]
) -> None:
    download.change(change)
    code, said = download.check()
    assert (code, "0 of the given keys signed the list" in said) == (1, True)


def test_the_other_form_of_signatures_is_refused(download: Download) -> None:
    value = json.loads(download.releases.read_bytes())
    for item in value["signatures"]:
        item["sig"] = malleable(bytes.fromhex(item["sig"])).hex()
    download.releases.write_text(json.dumps(value))
    assert download.check()[0] == 1


def test_an_expired_list_is_refused(tmp_path: Path) -> None:
    code, said = Download(tmp_path / "old", age=timedelta(days=366)).check()
    assert code == 1
    assert "the list expired 20" in said
    assert Download(tmp_path / "young", age=timedelta(days=364)).check()[0] == 0


def test_metadata_of_another_kind_signed_by_the_same_keys_is_no_list(download: Download) -> None:
    download.change(
        lambda signed: signed.update(_type="root"), keys=list(download.keyring.of("releases"))
    )
    assert download.check()[0] == 1


def test_the_signed_length_counts_too(download: Download) -> None:
    def lengthen(signed: dict[str, Any]) -> None:
        signed["targets"]["releases/tavo-1.2.3.pyz"]["length"] += 1

    download.change(lengthen, keys=list(download.keyring.of("releases")))
    assert download.check()[0] == 1


def test_targets_of_another_folder_are_no_releases(download: Download) -> None:
    def move(signed: dict[str, Any]) -> None:
        signed["targets"] = {"catalog/x": signed["targets"]["releases/tavo-1.2.3.pyz"]}

    download.change(move, keys=list(download.keyring.of("releases")))
    assert download.check()[0] == 1


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{}", "null", '{"signed": {}, "signatures": []}', "[" * 100_000, "\x00",
        '{"signed": [], "signatures": {}}', '{"signed": {"a": "\\ud800"}, "signatures": []}',
        '{"signed": {}, "signatures": [1]}', '{"signed": {}, "signatures": [{"sig": "xyz"}]}',
        '{"signed": {}, "signatures": [{"sig": 5}]}',
    ],
)  # fmt: skip
def test_what_is_no_list_is_one_sentence(download: Download, text: str) -> None:
    download.releases.write_text(text)
    code, said = download.check()
    assert code == 1
    assert said.startswith(f"{download.file} is REFUSED, do not run it: ")
    assert said.count("\n") == 1


def test_the_form_that_is_signed_is_the_canonical_one(download: Download) -> None:
    signed = json.loads(download.releases.read_bytes())["signed"]
    assert json.dumps(
        signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ) == encode_canonical(signed)


def test_it_is_short_and_imports_nothing_else() -> None:
    text = SCRIPT.read_text()
    assert len(text.splitlines()) <= 60
    tree = ast.parse(text, feature_version=(3, 8))
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for alias in node.names
    }
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert names <= sys.stdlib_module_names


def test_the_usage_at_its_top_works(download: Download) -> None:
    usage = (verifier.__doc__ or "").splitlines()[2]
    assert usage.split() == [
        "python3", "verify_tavo.py", "tavo.pyz", "--releases", "N.releases.json", "--key", "HEX",
        "--key", "HEX", "[--threshold", "2]",
    ]  # fmt: skip


def _others() -> list[str]:
    """Other interpreters on this machine, of any version that the script promises."""
    found = []
    for minor in (8, 9, 10, 12, 13, 14):
        path = shutil.which(f"python3.{minor}")
        if path and subprocess.run([path, "-c", ""], capture_output=True).returncode == 0:
            found.append(path)
    return found


@pytest.mark.skipif(os.name != "posix", reason="looks for interpreters by name")
def test_other_interpreters_say_the_same(download: Download) -> None:
    others = _others()
    if not others:
        pytest.skip("no other interpreter here")
    for python in others:
        assert download.check(python=python) == download.check()
        assert download.check(keys=download.keys[:1], python=python)[0] == 1
