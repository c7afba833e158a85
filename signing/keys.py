"""Ed25519 keys: make, identify, keep, load, sign, verify.

Rules this module keeps:
- a key's id is computed from the key (TUF's rule), so one key cannot count as two;
- public keys of small order are refused: anybody can sign for them;
- a signature with S >= L is refused, whichever library checks the rest: each message has exactly
  one valid signature per key and nonce (RFC 8032, section 5.1.7);
- private key files are PEM PKCS#8, mode 0600, never overwritten; with a passphrase they are
  encrypted by AES-256 with a key from scrypt (RFC 7914 section 7, RFC 8018 section 6.2), because
  the library's own choice (PBKDF2 with 2048 rounds) is too weak for an offline key;
- `cryptography` is imported when a key is used, not with this module.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from signing.errors import KeyFileError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["PrivateKey", "PublicKey"]

_ORDER = 2**252 + 27742317777372353535851937790883648493  # L of RFC 8032
_PRIME = 2**255 - 19
_EIGHTH = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
# y of the points whose order divides 8, also in encodings that are not reduced. Points of order 8
# come with y and -y: d y^4 + 2 y^2 = 1.
_SMALL_ORDER_Y = frozenset({0, 1, _PRIME - 1, _PRIME, _PRIME + 1, _EIGHTH, _PRIME - _EIGHTH})


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An Ed25519 public key. Raises ValueError if it is malformed or its id is not its own."""

    key_id: str
    hex: str

    def __post_init__(self) -> None:
        try:
            raw = bytes.fromhex(self.hex)
        except (TypeError, ValueError):
            raise ValueError(f"{self.hex!r} is not hexadecimal") from None
        if len(raw) != 32 or self.hex != raw.hex():
            raise ValueError("an Ed25519 public key is 64 lower-case hexadecimal characters")
        if int.from_bytes(raw, "little") % (1 << 255) in _SMALL_ORDER_Y:
            raise ValueError(f"{self.hex} is a key of small order: anybody can sign for it")
        if self.key_id != _key_id(self.hex):
            raise ValueError(f"key id {self.key_id!r} does not belong to {self.hex}")

    @classmethod
    def from_hex(cls, value: str) -> Self:
        """Make the key from its 64 hexadecimal characters. Raises ValueError."""
        return cls(_key_id(value), value)

    @classmethod
    def from_dict(cls, key_id: str, value: Mapping[str, Any]) -> Self:
        """Read TUF's form of a key. Raises ValueError unless it is exactly an Ed25519 key."""
        expected = {"keytype": "ed25519", "scheme": "ed25519", "keyval": value.get("keyval")}
        keyval = value.get("keyval")
        if dict(value) != expected or not isinstance(keyval, Mapping) or set(keyval) != {"public"}:
            raise ValueError(f"key {key_id!r} is not an Ed25519 key in TUF's form")
        return cls(key_id, keyval["public"])

    def to_dict(self) -> dict[str, Any]:
        """Return TUF's form of the key."""
        return {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": self.hex}}

    def verify(self, signature: bytes, data: bytes) -> bool:
        """Say whether the signature over the data is this key's."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

        if len(signature) != 64 or int.from_bytes(signature[32:], "little") >= _ORDER:
            return False
        try:
            Ed25519PublicKey.from_public_bytes(bytes.fromhex(self.hex)).verify(signature, data)
        except (InvalidSignature, ValueError):
            return False
        return True


def _key_id(public: str) -> str:
    form = {"keytype": "ed25519", "scheme": "ed25519", "keyval": {"public": public}}
    canonical = json.dumps(form, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()


class PrivateKey:
    """An Ed25519 private key; its repr shows the public half only."""

    __slots__ = ("_key", "public")

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey.from_hex(key.public_key().public_bytes_raw().hex())

    def __repr__(self) -> str:
        return f"PrivateKey({self.public.key_id[:12]}…)"

    @classmethod
    def generate(cls) -> Self:
        """Make a new key from the system's random bytes."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        return cls(Ed25519PrivateKey.generate())

    def sign(self, data: bytes) -> bytes:
        """Return the 64-byte signature over the data."""
        return self._key.sign(data)

    def save(self, path: Path, passphrase: bytes | None) -> None:
        """Write the key to a new file with mode 0600.

        `passphrase` None writes it unencrypted: for development and machine-held keys only.
        Raises KeyFileError if the file exists or cannot be written.
        """
        if passphrase == b"":
            raise KeyFileError(
                f"{path}: the passphrase is empty", hint="Give a passphrase of several words."
            )
        der = self._der()
        if passphrase is None:
            pem = _pem("PRIVATE KEY", der)
        else:
            pem = _pem("ENCRYPTED PRIVATE KEY", _encrypt(der, passphrase))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(path, flags, 0o600), "wb") as stream:
                stream.write(pem)
                stream.flush()
                os.fsync(stream.fileno())
        except FileExistsError:
            raise KeyFileError(
                f"{path}: a file is already there, and keys are never overwritten",
                hint="Choose another name, or move the old key away.",
            ) from None
        except OSError as error:
            raise KeyFileError(f"{path}: cannot write the key: {error.strerror}") from error

    @classmethod
    def load(cls, path: Path, passphrase: bytes | None) -> Self:
        """Read a key file.

        Raises KeyFileError if it is missing, readable by others, not a regular file, not an
        Ed25519 key, or if the passphrase is missing or wrong.
        """
        return cls.from_pem(_read_private(path), passphrase, where=str(path))

    @classmethod
    def from_pem(cls, pem: bytes, passphrase: bytes | None, *, where: str) -> Self:
        """Read a key in PEM form; `where` names it in messages. Raises KeyFileError."""
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        try:
            encrypted = b"-----BEGIN ENCRYPTED PRIVATE KEY-----" in pem
            key = load_pem_private_key(pem, passphrase if encrypted else None)
        except TypeError:
            raise KeyFileError(
                f"{where}: the key is encrypted and no passphrase was given",
                hint="Give the passphrase of this key.",
            ) from None
        except (ValueError, UnsupportedAlgorithm) as error:
            if encrypted:
                raise KeyFileError(
                    f"{where}: the passphrase is wrong, or the file is damaged",
                    hint="Try again with the passphrase of this key.",
                ) from error
            raise KeyFileError(
                f"{where}: not a private key in PEM form", hint="Make one with `tavo key new`."
            ) from error
        if not isinstance(key, Ed25519PrivateKey):
            raise KeyFileError(
                f"{where}: expected an Ed25519 key, found another kind",
                hint="Make one with `tavo key new`.",
            )
        return cls(key)

    def _der(self) -> bytes:
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
        )

        return self._key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def _read_private(path: Path) -> bytes:
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
    try:
        with os.fdopen(os.open(path, flags), "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise KeyFileError(f"{path}: not a regular file")
            if sys.platform != "win32" and status.st_mode & 0o077:
                raise KeyFileError(
                    f"{path}: others can read or change this key "
                    f"(mode {stat.S_IMODE(status.st_mode):04o}, expected 0600)",
                    hint=f"If nobody else has read it: chmod 600 {path}",
                )
            return stream.read(1 << 16)
    except FileNotFoundError:
        raise KeyFileError(f"{path}: no such key file", hint="Check the path.") from None
    except OSError as error:
        raise KeyFileError(f"{path}: cannot read the key: {error.strerror}") from error


# -- PKCS#8 with PBES2 and scrypt: the few DER values that it needs.

_SCRYPT_N = 1 << 17
_SCRYPT_R = 8
_OID_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_OID_SCRYPT = bytes.fromhex("06092b06010401da47040b")
_OID_AES256_CBC = bytes.fromhex("060960864801650304012a")


def _encrypt(der: bytes, passphrase: bytes) -> bytes:
    import secrets

    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    salt, vector = secrets.token_bytes(16), secrets.token_bytes(16)
    key = hashlib.scrypt(
        passphrase, salt=salt, n=_SCRYPT_N, r=_SCRYPT_R, p=1, maxmem=1 << 28, dklen=32
    )
    fill = 16 - len(der) % 16
    cipher = Cipher(algorithms.AES(key), modes.CBC(vector)).encryptor()
    encrypted = cipher.update(der + bytes([fill]) * fill) + cipher.finalize()
    derivation = _sequence(
        _OID_SCRYPT,
        _sequence(_octets(salt), *map(_integer, (_SCRYPT_N, _SCRYPT_R, 1, 32))),
    )
    scheme = _sequence(
        _OID_PBES2, _sequence(derivation, _sequence(_OID_AES256_CBC, _octets(vector)))
    )
    return _sequence(scheme, _octets(encrypted))


def _tagged(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _sequence(*parts: bytes) -> bytes:
    return _tagged(0x30, b"".join(parts))


def _octets(content: bytes) -> bytes:
    return _tagged(0x04, content)


def _integer(value: int) -> bytes:
    return _tagged(0x02, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _pem(label: str, der: bytes) -> bytes:
    text = base64.b64encode(der).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()
