"""Where a repository tree is read from: a directory, or a web server with static files.

Rules this module keeps:
- a source only moves bytes; it decides nothing about trust, and everything it gives is hostile;
- every foreign error becomes a `SourceError`, also one in the middle of a file;
- a read has a total deadline, so a source that drips bytes cannot hold us for ever;
- paths are relative to the tree, made by us from names and digests, and never leave it;
- no two readings share a client (`signing.lent`).

Units: seconds.
"""

from __future__ import annotations

import contextlib
import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from signing.errors import MissingError, SourceError, printable
from signing.lent import Lent

if TYPE_CHECKING:
    import ssl

    import httpx

__all__ = ["Deadline", "DirectorySource", "HttpSource", "Resumable", "Source"]

_CHUNK = 1 << 18
_MOST_REDIRECTS = 5
_IDLE_S = 30.0
_PACKED = (".gz", ".tgz", ".zst", ".xz", ".bz2", ".br")
_PAGES = (".html", ".htm")
_MAGIC = {"gzip": b"\x1f\x8b", "x-gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}


class Deadline:
    """A moment after which reading gives up; `monotonic` is a seam for tests."""

    def __init__(self, seconds: float, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._seconds = seconds
        self._end = monotonic() + seconds

    def left(self) -> float:
        """Return the seconds left, never below 0."""
        return max(0.0, self._end - self._monotonic())

    def check(self, where: str) -> None:
        """Raise SourceError when the time is up."""
        if self.left() <= 0:
            raise SourceError(
                f"{where}: not finished within {self._seconds:g} s",
                hint="Try again, or use a nearer mirror.",
            )


class Source(Protocol):
    """A tree of files, read by relative path."""

    @property
    def name(self) -> str:
        """Return what to call this source in messages; never contains a password."""

    def read(self, path: str, deadline: Deadline) -> Iterator[bytes]:
        """Yield the file's bytes. Raises MissingError, or SourceError for any other failure."""

    def root_versions(self) -> frozenset[int] | None:
        """Return which versions of the root it holds, None if it cannot list files."""


@runtime_checkable
class Resumable(Protocol):
    """A source that can go on in the middle of a file."""

    def read_from(self, path: str, start: int, deadline: Deadline) -> Iterator[bytes]:
        """Yield the file's bytes from `start` on; errors as `Source.read`."""


class DirectorySource:
    """A tree on this machine, such as a mirror on a disk or the embedded repository."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"DirectorySource({str(self.path)!r})"

    @property
    def name(self) -> str:
        """Return the folder's path."""
        return str(self.path)

    def read(self, path: str, deadline: Deadline) -> Iterator[bytes]:
        """Yield the file's bytes; see `Source`. Refuses devices, pipes and folders."""
        return self.read_from(path, 0, deadline)

    def read_from(self, path: str, start: int, deadline: Deadline) -> Iterator[bytes]:
        """Yield the file's bytes from `start` on; see `Resumable`."""
        where = f"{path} in {self.path}"
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
        flags |= getattr(os, "O_BINARY", 0)
        try:
            with os.fdopen(os.open(self.path / _safe(path), flags), "rb") as stream:
                if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
                    raise SourceError(f"{where}: not a regular file")
                stream.seek(start)
                while chunk := stream.read(_CHUNK):
                    deadline.check(where)
                    yield chunk
        except (FileNotFoundError, NotADirectoryError):
            if not self.path.is_dir():
                raise SourceError(
                    f"{self.path}: no such folder", hint="Check the path of the mirror."
                ) from None
            raise _missing(where) from None
        except OSError as error:
            raise SourceError(f"{where}: cannot read: {error.strerror}") from error

    def root_versions(self) -> frozenset[int] | None:
        """Return which versions of the root lie in the folder."""
        try:
            names = [entry.name for entry in (self.path / "metadata").iterdir()]
        except OSError:
            return None
        numbers = (name.removesuffix(".root.json") for name in names if name.endswith(".root.json"))
        return frozenset(int(number) for number in numbers if _is_version(number))


class HttpSource:
    """A tree on a web server. Use it as a context manager, or call `close`.

    Redirects are followed a few times, but never from https to http. Plain http is allowed for
    mirrors in closed networks: trust comes from signatures, not from the connection. Several
    threads may read, each over a connection of its own, which the next reading takes over.
    """

    def __init__(self, url: str, *, user_agent: str = "tavo") -> None:
        """Raise SourceError if the URL is not http or https with a host."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise SourceError(
                f"{_without_secrets(url)}: not an http or https address",
                hint="Give an address such as https://mirror.example/tavo/",
            )
        if parts.query or parts.fragment:
            raise SourceError(f"{_without_secrets(url)}: an address without ? and # is expected")
        self._url = url if url.endswith("/") else url + "/"
        self._name = _without_secrets(self._url)
        self._user_agent = user_agent
        self._clients = Lent(self._new_client)
        self._tls: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return f"HttpSource({self._name!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def name(self) -> str:
        """Return the address without user name and password."""
        return self._name

    def close(self) -> None:
        """Close the connections; the source opens new ones if it is used again.

        Those of readings under way are closed as soon as these end.
        """
        self._clients.close()

    def read(self, path: str, deadline: Deadline) -> Iterator[bytes]:
        """Yield the file's bytes; see `Source`. The answer is taken as sent, not decompressed."""
        return self.read_from(path, 0, deadline)

    def read_from(self, path: str, start: int, deadline: Deadline) -> Iterator[bytes]:
        """Yield the file's bytes from `start` on; see `Resumable`.

        A server that does not know ranges sends the whole file, and its beginning is dropped.
        """
        import httpx

        where = f"{path} from {self._name}"
        url = self._url + quote(_safe(path))
        try:
            for _ in range(_MOST_REDIRECTS + 1):
                deadline.check(where)
                with self._get(url, deadline, start) as response:
                    if response.has_redirect_location:
                        url = _redirected(url, response.headers["location"], where)
                        continue
                    if response.status_code in (403, 404, 410):
                        raise _missing(f"{where} (HTTP {response.status_code})")
                    skip = _left_out(response.status_code, response.headers, start)
                    if skip is None:
                        raise SourceError(
                            f"{where}: the server answered HTTP {response.status_code}, "
                            f"expected {'206 with the range asked for' if start else '200'}",
                            hint="Try again later, or use another mirror.",
                        )
                    begins = response.status_code == 200
                    for chunk in response.iter_raw():
                        deadline.check(where)
                        if begins and chunk:
                            _check_is_the_file(path, response.headers, chunk, where)
                            begins = False
                        kept, skip = chunk[skip:], max(0, skip - len(chunk))
                        if kept:
                            yield kept
                    return
            raise SourceError(f"{where}: more than {_MOST_REDIRECTS} redirects")
        except (httpx.HTTPError, httpx.InvalidURL, RuntimeError, OSError) as error:
            # RuntimeError: the state of a stream, or a client that was closed at the deadline.
            deadline.check(where)
            raise SourceError(
                f"{where}: {printable(error) or type(error).__name__}",
                hint="Check the network and the address of the mirror.",
            ) from error

    @contextlib.contextmanager
    def _get(self, url: str, deadline: Deadline, start: int) -> Iterator[httpx.Response]:
        with self._clients.one() as client, contextlib.ExitStack() as stack:
            # Timeouts count from byte to byte: an answer whose headers drip for ever is ended
            # by closing its connection. Its body is checked chunk by chunk.
            guard = threading.Timer(deadline.left(), client.close)
            guard.daemon = True
            guard.start()
            stack.callback(_close_late, client, deadline)
            try:
                timeout = max(0.001, min(_IDLE_S, deadline.left()))
                headers = {"Range": f"bytes={start}-"} if start else {}
                response = stack.enter_context(
                    client.stream("GET", url, timeout=timeout, headers=headers)
                )
            finally:
                guard.cancel()
            yield response

    def _new_client(self) -> httpx.Client:
        import httpx

        if self._tls is None:  # most of what a client costs
            self._tls = httpx.create_ssl_context()
        headers = {"User-Agent": self._user_agent, "Accept-Encoding": "identity"}
        return httpx.Client(headers=headers, follow_redirects=False, verify=self._tls)

    def root_versions(self) -> frozenset[int] | None:
        """Return None: a web server does not list its files."""
        return None


def _close_late(client: httpx.Client, deadline: Deadline) -> None:
    """Close a client whose guard may be about to do so, when the next reading has it."""
    if deadline.left() <= 0:
        client.close()


def _safe(path: str) -> str:
    parts = path.split("/")
    if any(part in ("", ".", "..") or "\\" in part or "\0" in part for part in parts):
        raise SourceError(f"{path!r:.120} is not a path inside a repository")
    if os.name == "nt" and ":" in path:
        raise SourceError(f"{path!r:.120} is not a path inside a repository")
    return path


def _left_out(status: int, headers: Mapping[str, str], start: int) -> int | None:
    """Return how many bytes of the answer are before `start`; None if it is no answer to it."""
    if status == 200:
        return start
    said = headers.get("content-range", "").replace(" ", "")
    return 0 if start and status == 206 and said.startswith(f"bytes{start}-") else None


def _check_is_the_file(path: str, headers: Mapping[str, str], begin: bytes, where: str) -> None:
    """Raise SourceError where a server sends something else than the file, by its beginning.

    What is only called compressed and is not, is what the file is.
    """
    coding = headers.get("content-encoding", "").strip().lower()
    is_packed = coding not in ("", "identity") and begin.startswith(_MAGIC.get(coding, b""))
    if is_packed and not path.endswith(_PACKED):
        raise SourceError(
            f"{where}: the server sent the file compressed ({printable(coding, 20)}), and was"
            " asked for it as it is",
            hint="Switch compression off for this folder on the web server or on the proxy before"
            " it; the files themselves may be right.",
        )
    text = begin[:512].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    if text.startswith((b"<!doctype html", b"<html")) and not path.endswith(_PAGES):
        raise SourceError(
            f"{where}: the server answered 200 with a web page, not with a file of a mirror",
            hint="Check the address; behind a login page or a portal of the network, log in first."
            " A mirror's server must answer 404 for what it does not have.",
        )


def _missing(where: str) -> MissingError:
    return MissingError(
        f"{where}: not there",
        hint="The mirror is incomplete, or this is not a repository: check its address.",
    )


def _is_version(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 10 and not text.startswith("0")


def _redirected(url: str, location: str, where: str) -> str:
    target = urljoin(url, location)
    scheme = urlsplit(target).scheme
    if scheme not in ("http", "https") or (url.startswith("https:") and scheme != "https"):
        raise SourceError(f"{where}: refused a redirect to {_without_secrets(target)}")
    return target


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
