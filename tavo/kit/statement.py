"""The publisher's statement beside a package, compared with the package before anybody gets it.

Rules this module keeps:
- every field is compared with what an inspection of the package found, as a marketplace does;
- a signature is checked only with a public key that the author names: a statement brings no key
  that could be believed, and what was not checked is said.
"""

from __future__ import annotations

import msgspec

from marketplace_db.acceptance import publisher_claim
from marketplace_db.package import InspectedPackage
from signing.attest import unverified_publisher, verify_publisher
from signing.errors import AttestationError
from signing.keys import PublicKey
from tavo.errors import InputError, UsageError
from tavo.kit.publish import STATEMENT_SUFFIX

__all__ = ["Statement", "look_at_statement"]

_LARGEST = 64 * 1024


class Statement(msgspec.Struct, frozen=True, kw_only=True):
    """What stands beside a package. `problem` says what is wrong, empty if nothing is.

    `key_ids` are those that signed by their own word; `signature` is `verified`, or `not checked`.
    """

    file: str
    key_ids: tuple[str, ...] = ()
    issued: str = ""
    signature: str = "not checked"
    problem: str = ""


def look_at_statement(package: InspectedPackage, public: str = "") -> Statement | None:
    """Compare the statement beside a package with it; None where there is none.

    `public` is the author's public key in 64 hexadecimal digits. Raises UsageError for one that
    is none, or where there is no statement to check; InputError.
    """
    try:
        key = PublicKey.from_hex(public) if public else None
    except ValueError as error:
        raise UsageError(
            f"--public-key: {error}", hint="`tavo key show FILE` prints it behind `public`."
        ) from None
    path = package.path.with_name(package.path.name + STATEMENT_SUFFIX)
    if not path.is_file():
        if key is not None:
            raise UsageError(
                f"{path}: there is no statement to check",
                hint=f"Make one: tavo plugin sign {package.path} --key FILE",
            )
        return None
    try:
        with path.open("rb") as stream:
            envelope = stream.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    claim = publisher_claim(package)
    try:
        read = unverified_publisher(envelope, claim)
        if key is not None:
            read = verify_publisher(envelope, {key.key_id: key}, claim)
    except AttestationError as error:
        return Statement(file=str(path), problem=str(error))
    return Statement(
        file=str(path),
        key_ids=read.key_ids,
        issued=read.issued.strftime("%Y-%m-%dT%H:%M:%SZ"),
        signature="not checked" if key is None else "verified",
    )
