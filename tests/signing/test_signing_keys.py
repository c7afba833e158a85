"""Keys: identity, signatures that are not unique, key files that others could read."""

import base64
import contextlib
import os
import stat
import subprocess
import sys

import pytest
from securesystemslib._vendor.ed25519.ed25519 import checkvalid
from securesystemslib.signer import SSlibKey

from signing.errors import KeyFileError
from signing.keyring import Keyring
from signing.keys import PrivateKey, PublicKey
from signing.roles import OFFLINE_ROLES, ROLES
from tests.fakes.repository import malleable


def test_key_id_and_form_are_those_of_tuf() -> None:
    public = PrivateKey.generate().public
    theirs = SSlibKey.from_dict(public.key_id, public.to_dict())
    assert SSlibKey.from_crypto(theirs._crypto_key()).keyid == public.key_id
    assert PublicKey.from_dict(public.key_id, public.to_dict()) == public


def test_only_the_right_key_and_data_verify() -> None:
    key, other = PrivateKey.generate(), PrivateKey.generate()
    signature = key.sign(b"data")
    assert key.public.verify(signature, b"data")
    assert not key.public.verify(signature, b"datb")
    assert not other.public.verify(signature, b"data")
    assert not key.public.verify(signature[:-1], b"data")
    assert not key.public.verify(b"", b"data")


def test_malleable_signature_is_refused_where_the_pure_verifier_accepts_it() -> None:
    key = PrivateKey.generate()
    forged = malleable(key.sign(b"data"))
    assert not key.public.verify(forged, b"data")
    checkvalid(forged, b"data", bytes.fromhex(key.public.hex))  # control: it raises if wrong


PRIME = 2**255 - 19
D = -121665 * pow(121666, -1, PRIME) % PRIME
EIGHTH = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
SMALL_ORDER_Y = [0, 1, PRIME - 1, EIGHTH, PRIME - EIGHTH]


def test_the_points_of_small_order_are_what_the_curve_says() -> None:
    """Order 8 doubles to y = 0, so x^2 = -y^2, and the curve gives d y^4 + 2 y^2 = 1."""
    for y in (EIGHTH, PRIME - EIGHTH):
        assert (D * pow(y, 4, PRIME) + 2 * y * y - 1) % PRIME == 0
    # That has two solutions for y^2: this one, and another which is no square.
    other = -pow(D * EIGHTH * EIGHTH, -1, PRIME) % PRIME
    assert (D * other * other + 2 * other - 1) % PRIME == 0
    assert pow(other, (PRIME - 1) // 2, PRIME) == PRIME - 1


@pytest.mark.parametrize("y", [*SMALL_ORDER_Y, PRIME, PRIME + 1])
@pytest.mark.parametrize("sign", [0, 1])
def test_keys_of_small_order_are_refused(y: int, sign: int) -> None:
    with pytest.raises(ValueError, match="small order"):
        PublicKey.from_hex((y | sign << 255).to_bytes(32, "little").hex())


@pytest.mark.parametrize("y", SMALL_ORDER_Y)
def test_anybody_signs_for_a_key_of_small_order_when_it_is_not_refused(y: int) -> None:
    """The control: with such a key, R = 0 and S = 0 verify for one message in eight or more."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    key = Ed25519PublicKey.from_public_bytes(y.to_bytes(32, "little"))
    forged = (1).to_bytes(32, "little") + bytes(32)
    verified = 0
    for number in range(256):
        with contextlib.suppress(InvalidSignature):
            key.verify(forged, number.to_bytes(2, "little"))
            verified += 1
    if not verified:  # a library that refuses it by itself is fine too
        pytest.skip("this build of cryptography refuses it")


@pytest.mark.parametrize(
    "change",
    [
        {"keytype": "rsa"},
        {"scheme": "ed25519ph"},
        {"keyval": {"public": "00"}},
        {"keyval": {"public": "AA" * 32}},
        {"keyval": {"public": "ab" * 32, "private": "x"}},
        {"extra": 1},
    ],
)
def test_other_forms_of_keys_are_refused(change: dict[str, object]) -> None:
    public = PrivateKey.generate().public
    with pytest.raises(ValueError, match=r"."):
        PublicKey.from_dict(public.key_id, {**public.to_dict(), **change})


def test_a_key_cannot_have_a_second_id() -> None:
    first, second = PrivateKey.generate().public, PrivateKey.generate().public
    with pytest.raises(ValueError, match="does not belong"):
        PublicKey.from_dict(second.key_id, first.to_dict())


def test_repr_does_not_show_the_secret(tmp_path) -> None:
    key = PrivateKey.generate()
    secret = key._key.private_bytes_raw().hex()
    assert secret not in repr(key)
    assert secret not in repr(Keyring({"root": [key]}))


def test_key_file_round_trip_without_passphrase(tmp_path) -> None:
    path = tmp_path / "a.key"
    key = PrivateKey.generate()
    key.save(path, None)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert PrivateKey.load(path, None).public == key.public
    assert PrivateKey.load(path, b"not needed").public == key.public
    with pytest.raises(KeyFileError, match="never overwritten"):
        PrivateKey.generate().save(path, None)
    assert PrivateKey.load(path, None).public == key.public


def test_encrypted_key_file_uses_scrypt_and_needs_its_passphrase(tmp_path) -> None:
    path = tmp_path / "a.key"
    key = PrivateKey.generate()
    key.save(path, b"four plain words here")
    text = path.read_text()
    assert "ENCRYPTED PRIVATE KEY" in text
    der = base64.b64decode("".join(text.splitlines()[1:-1]))
    assert bytes.fromhex("2b06010401da47040b") in der  # id-scrypt of RFC 7914
    assert PrivateKey.load(path, b"four plain words here").public == key.public
    with pytest.raises(KeyFileError, match="passphrase is wrong"):
        PrivateKey.load(path, b"four plain words")
    with pytest.raises(KeyFileError, match="no passphrase was given"):
        PrivateKey.load(path, None)
    with pytest.raises(KeyFileError, match="empty"):
        key.save(tmp_path / "b.key", b"")


@pytest.mark.skipif(sys.platform == "win32", reason="no modes")
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_key_file_that_others_can_use_is_refused(tmp_path, mode: int) -> None:
    path = tmp_path / "a.key"
    PrivateKey.generate().save(path, None)
    path.chmod(mode)
    with pytest.raises(KeyFileError, match="expected 0600") as caught:
        PrivateKey.load(path, None)
    assert "chmod 600" in caught.value.hint
    path.chmod(0o600)
    PrivateKey.load(path, None)  # control


def test_files_that_are_no_keys(tmp_path) -> None:
    with pytest.raises(KeyFileError, match="no such key file"):
        PrivateKey.load(tmp_path / "none.key", None)
    path = tmp_path / "a.key"
    path.write_bytes(b"hello")
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="not a private key"):
        PrivateKey.load(path, None)
    with pytest.raises(KeyFileError, match=r"not a regular file|cannot read"):
        PrivateKey.load(tmp_path, None)


def test_a_pipe_in_place_of_a_key_does_not_block(tmp_path) -> None:
    path = tmp_path / "a.key"
    os.mkfifo(path, 0o600)
    with pytest.raises(KeyFileError, match="not a regular file"):
        PrivateKey.load(path, None)


def test_keys_of_another_kind_are_refused(tmp_path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key

    path = tmp_path / "a.key"
    path.write_bytes(
        generate_private_key(SECP256R1()).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="expected an Ed25519 key"):
        PrivateKey.load(path, None)


def test_development_keys_are_made_once_marked_and_ignored_by_git(tmp_path) -> None:
    folder = tmp_path / "keys"
    first = Keyring.generate_development(folder)
    again = Keyring.generate_development(folder)
    assert first.development
    assert (folder / "DEVELOPMENT").exists()
    assert (folder / ".gitignore").read_text() == "*\n"
    for role in ROLES:
        assert [key.public for key in first.of(role)] == [key.public for key in again.of(role)]
        assert len(first.of(role)) == (3 if role in OFFLINE_ROLES else 1)
    assert first.named("publisher-tavo").public == again.named("publisher-tavo").public
    assert Keyring.load(folder).development
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in folder.glob("*.key"))


def test_real_keys_are_never_taken_for_development_keys(tmp_path) -> None:
    PrivateKey.generate().save(tmp_path / "root-1.key", None)
    with pytest.raises(KeyFileError, match="no DEVELOPMENT marker"):
        Keyring.generate_development(tmp_path)
    assert not Keyring.load(tmp_path).development
    with pytest.raises(KeyFileError, match="only a development keyring"):
        Keyring.load(tmp_path).named("publisher-tavo")


def test_importing_keys_does_not_import_cryptography() -> None:
    code = "import sys, signing.keys, signing.client; print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
