"""A certificate authority for one run of one program: made at its start, gone with it.

Rules this module keeps:
- its key and those of its certificates are in memory alone. OpenSSL takes a key from a file only,
  so the one of a server is written encrypted, under a password that is never written, into a folder
  of ours, and is deleted as soon as it was read;
- its own certificate says for which hosts it may speak (RFC 5280, 4.2.1.10), so that whoever trusts
  it does not trust it for the rest of the world;
- it signs for exactly those hosts, and for each of them once.

The one place in `tavo` that makes certificates; signatures on packages are `signing`'s.

Units: none.
"""

from __future__ import annotations

import datetime
import ipaddress
import os
import secrets
import ssl
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["Authority"]

_LIFE = datetime.timedelta(days=30)
_SLACK = datetime.timedelta(hours=1)
_USES = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
         "key_agreement", "key_cert_sign", "crl_sign", "encipher_only",
         "decipher_only")  # fmt: skip


class Authority:
    """Signs certificates for `hosts`; nothing stays in `folder`, which is private."""

    def __init__(self, hosts: Iterable[str], folder: Path) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._leaf = ec.generate_private_key(ec.SECP256R1())
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._hosts = {_plain(host) for host in hosts}
        now = datetime.datetime.now(datetime.UTC)
        self._until = now + _LIFE
        # another name for each run: programs remember authorities by it
        self._name = _named(f"tavo proxy run {secrets.token_hex(4)}")
        public = self._key.public_key()
        self._identifier = x509.SubjectKeyIdentifier.from_public_key(public)
        self.certificate = (
            x509.CertificateBuilder().subject_name(self._name).issuer_name(self._name)
            .public_key(public).serial_number(x509.random_serial_number())
            .not_valid_before(now - _SLACK).not_valid_after(self._until)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
            .add_extension(self._identifier, critical=False)
            .add_extension(_constraints(self._hosts), critical=True)
            .sign(self._key, hashes.SHA256())
        )  # fmt: skip

    @property
    def pem(self) -> bytes:
        """The certificate that the program is to trust."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def context(self, host: str) -> ssl.SSLContext:
        """Return the server's side of TLS for a host. Raises ValueError for one not ours."""
        host = _plain(host)
        if host not in self._hosts:
            raise ValueError(f"{host} is not a host of this authority")
        found = self._contexts.get(host)
        if found is None:
            found = self._contexts[host] = self._made(host)
        return found

    def _made(self, host: str) -> ssl.SSLContext:
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder().subject_name(_named("tavo proxy run")).issuer_name(self._name)
            .public_key(self._leaf.public_key()).serial_number(x509.random_serial_number())
            .not_valid_before(now - _SLACK).not_valid_after(self._until)
            .add_extension(x509.SubjectAlternativeName([_general(host)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage("digital_signature"), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
            )
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._leaf.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._identifier),
                critical=False,
            )
            .sign(self._key, hashes.SHA256())
        )  # fmt: skip
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        password = secrets.token_bytes(32).hex().encode("ascii")
        path = self._folder / f"server-{secrets.token_hex(8)}.pem"
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(made.public_bytes(serialization.Encoding.PEM))
                stream.write(
                    self._leaf.private_bytes(
                        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                        serialization.BestAvailableEncryption(password),
                    )
                )  # fmt: skip
            context.load_cert_chain(path, password=password)
        finally:
            path.unlink(missing_ok=True)
        # who says CONNECT to one host and asks for another in TLS gets neither
        context.sni_callback = lambda _, name, __: (
            None if name is None or _plain(name) == host
            else ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        )  # fmt: skip
        return context


# -- inside


def _plain(host: str) -> str:
    return host.lower().rstrip(".")


def _named(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _constraints(hosts: Iterable[str]) -> x509.NameConstraints:
    """Permit these hosts, and no address or name but them."""
    permitted: list[x509.GeneralName] = []
    addresses = False
    for host in sorted(hosts):
        general = _general(host)
        if isinstance(general, x509.IPAddress):
            addresses = True
            general = x509.IPAddress(ipaddress.ip_network(host))
        permitted.append(general)
    nothing = [] if addresses else [
        x509.IPAddress(ipaddress.ip_network("0.0.0.0/0")),
        x509.IPAddress(ipaddress.ip_network("::/0")),
    ]  # fmt: skip
    return x509.NameConstraints(permitted, nothing or None)


def _usage(*allowed: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{use: use in allowed for use in _USES})
