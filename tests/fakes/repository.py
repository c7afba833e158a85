"""A repository in a temporary folder, with all keys at hand, and a client machine beside it.

`RepositorySimulator` is the honest operator and, with `forge`, the attacker: the tree is written
by the real writing side, then files may be edited and signed again with any keys. `Machine` is a
client with its own cache, state and clock. `serve` puts a tree behind a real web server.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from securesystemslib.formats import encode_canonical

from signing.client import DirectorySource, Refreshed, Source, TrustState, refresh
from signing.digests import Digest, VerifiedFile
from signing.keyring import Keyring
from signing.keys import PrivateKey
from signing.publishers import Namespace, Publishers
from signing.repository import Repository

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def simple_publishers(**changes: Any) -> Publishers:
    """A document with one namespace `tavo` whose key nobody keeps."""
    key = PrivateKey.generate().public
    fields: dict[str, Any] = {"namespaces": {"tavo": Namespace(keys={key.key_id: key})}}
    return Publishers(**{**fields, **changes})


class RepositorySimulator:
    """The operator: a repository with one catalog and one publishers document released."""

    def __init__(
        self,
        directory: Path,
        *,
        now: datetime = NOW,
        keyring: Keyring | None = None,
        catalog: bytes = b"catalog 1",
        publishers: Publishers | None = None,
        development: bool = False,
        first_version: int = 1,
    ) -> None:
        self.directory = directory
        self.now = now
        self.keyring = keyring or Keyring.generate(development=development)
        self.repository = Repository.create(
            directory, self.keyring, now, first_version=first_version
        )
        self.root = self.repository.root_bytes
        self.publishers = publishers or simple_publishers()
        self.publish(catalog=catalog, publishers=self.publishers)

    @property
    def source(self) -> DirectorySource:
        return DirectorySource(self.directory)

    def publish(
        self,
        *,
        catalog: bytes | Path | None = None,
        publishers: Publishers | None = None,
        releases: Sequence[Path] = (),
        renew: Sequence[str] = (),
        now: datetime | None = None,
    ) -> None:
        if isinstance(catalog, bytes):
            path = self.directory.parent / f"{self.directory.name}.catalog.db"
            path.write_bytes(catalog)
            catalog = path
        self.repository.publish(
            catalog=catalog,
            publishers=None if publishers is None else publishers.to_bytes(),
            releases=releases,
            renew=renew,
            now=now or self.now,
        )

    def rotate(self, *roles: str, now: datetime | None = None) -> None:
        """Give the roles new keys."""
        keyring = self.keyring
        for role in roles:
            fresh = [PrivateKey.generate() for _ in keyring.of(role)]
            keyring = keyring.with_role(role, fresh)
        self.repository.rotate_root(keyring, now or self.now)
        self.keyring = keyring

    def copy(self, directory: Path) -> Path:
        """Copy the tree as it is now, such as an old mirror."""
        shutil.copytree(self.directory, directory)
        return directory

    def metadata_path(self, role: str) -> Path:
        """The newest metadata file of the role."""
        folder = self.directory / "metadata"
        if role == "timestamp":
            return folder / "timestamp.json"
        paths = folder.glob(f"*.{role}.json")
        return max(paths, key=lambda path: int(path.name.split(".")[0]))

    def forge(
        self,
        role: str,
        change: Callable[[dict[str, Any]], object],
        *,
        keys: Sequence[PrivateKey] | None = None,
        resign: bool = True,
        consistent: bool = True,
    ) -> None:
        """Edit the role's newest metadata in place.

        `keys` sign it (default: the role's own; empty: nobody). With `consistent`, snapshot and
        timestamp are edited to match, as an attacker with the online keys could.
        """
        path = self.metadata_path(role)
        value = json.loads(path.read_bytes())
        change(value["signed"])
        if resign:
            resign_metadata(value, self.keyring.of(role) if keys is None else keys)
        path.write_bytes(json.dumps(value, separators=(",", ":")).encode())
        if not consistent or role in ("root", "timestamp"):
            return
        parent = "timestamp" if role == "snapshot" else "snapshot"
        data = path.read_bytes()

        def fit(signed: dict[str, Any]) -> None:
            signed["meta"][f"{role}.json"].update(
                length=len(data), hashes={"sha256": Digest.of(data).hex}
            )

        self.forge(parent, fit)


def resign_metadata(value: dict[str, Any], keys: Sequence[PrivateKey]) -> None:
    """Replace the signatures of metadata by these keys' signatures."""
    payload = encode_canonical(value["signed"]).encode()
    value["signatures"] = [
        {"keyid": key.public.key_id, "sig": key.sign(payload).hex()} for key in keys
    ]


class Machine:
    """A client with its own cache, state and clock; `refresh` keeps what was accepted."""

    def __init__(
        self,
        cache: Path,
        root: bytes,
        *,
        now: datetime = NOW,
        build_time: datetime = NOW - timedelta(days=5),
        state: TrustState | None = None,
    ) -> None:
        self.cache = cache
        self.root = root
        self.now = now
        self.build_time = build_time
        self.state = state or TrustState()

    def refresh(self, source: Source, **options: Any) -> Refreshed:
        done = refresh(
            source,
            root=self.root,
            cache=self.cache,
            state=self.state,
            now=self.now,
            build_time=self.build_time,
            **options,
        )
        self.state = TrustState.from_dict(json.loads(json.dumps(done.state.to_dict())))
        return done


def verified_catalog(
    directory: Path, catalog: Path, publishers: Publishers | None = None
) -> VerifiedFile:
    """Release a catalog file in a new repository and verify it: a real `VerifiedFile`."""
    simulator = RepositorySimulator(
        directory / "repository", catalog=catalog.read_bytes(), publishers=publishers
    )
    return Machine(directory / "cache", simulator.root).refresh(simulator.source).catalog


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments: object) -> None:
        return


@contextlib.contextmanager
def serve(directory: Path, handler: type[SimpleHTTPRequestHandler] = _Quiet) -> Iterator[str]:
    """Serve a folder on a loopback port; lend its address."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def key_map(*keys: PrivateKey) -> Mapping[str, Any]:
    """Public keys by id, as documents and verification take them."""
    return {key.public.key_id: key.public for key in keys}


def malleable(signature: bytes) -> bytes:
    """The other encoding of an Ed25519 signature: S + L. No secret is needed to make it."""
    order = 2**252 + 27742317777372353535851937790883648493
    s = int.from_bytes(signature[32:], "little") + order
    return signature[:32] + s.to_bytes(32, "little")
