"""One tavo.pyz from a path or an https address into a private folder, checked before it is there.

Rules this module keeps:
- what is checked is what is run: the bytes are copied and hashed at once, and the copy is used;
- a download goes over https only, redirects too, and is bounded in size and time;
- a file that differs is deleted, and never run.

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

import hashlib
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from tavo_action.errors import FAILED, REFUSED, ActionError

__all__ = ["LARGEST", "take_file"]

LARGEST = 128 << 20
_CHUNK = 1 << 16
_WAIT_S = 30.0
_WHOLE_S = 300.0


def take_file(
    source: str, sha256: str, destination: Path, *, folder: Path, whole_s: float = _WHOLE_S
) -> None:
    """Copy or download the file to `destination`. Raises ActionError.

    A path is relative to `folder`. The whole download may take `whole_s` seconds.
    """
    failed: list[ActionError] = []

    def work() -> None:
        try:
            chunks = _download(source) if "://" in source else _read(folder / source, source)
            _copy(chunks, sha256, destination, source)
        except ActionError as error:
            failed.append(error)

    # A server that sends a byte now and then holds a socket's own limit; it does not hold this one.
    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(whole_s)
    if worker.is_alive():
        raise ActionError(f"{source}: not here after {whole_s:g} s", code=FAILED)
    if failed:
        raise failed[0]


def _copy(chunks: Iterator[bytes], sha256: str, destination: Path, source: str) -> None:
    digest, size = hashlib.sha256(), 0
    partial = destination.with_name(destination.name + ".partial")
    try:
        with partial.open("xb") as out:
            for chunk in chunks:
                size += len(chunk)
                if size > LARGEST:
                    raise ActionError(
                        f"{source}: larger than {LARGEST >> 20} MB, so it is no tavo.pyz",
                        code=REFUSED,
                    )
                digest.update(chunk)
                out.write(chunk)
        if digest.hexdigest() != sha256:
            raise ActionError(
                f"{source}: its sha256 is {digest.hexdigest()} ({size} bytes), expected {sha256};"
                " it was not run",
                hint="Compare with the published SHA256SUMS. A new release needs a new sha256.",
                code=REFUSED,
            )
        partial.rename(destination)
    except OSError as error:
        raise ActionError(f"{source}: {_reason(error)}", code=FAILED) from error
    finally:
        partial.unlink(missing_ok=True)


def _read(path: Path, source: str) -> Iterator[bytes]:
    if not path.is_file():
        raise ActionError(
            f"{source}: no such file in the workspace",
            hint="Put it there in an earlier step, or name an https:// address.",
            code=FAILED,
        )
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK):
            yield chunk


def _download(address: str) -> Iterator[bytes]:
    _check_address(address)
    opener = urllib.request.build_opener(_OnlyHttps)
    request = urllib.request.Request(address, headers={"User-Agent": "tavo-action"})  # noqa: S310
    try:
        with opener.open(request, timeout=_WAIT_S) as answer:
            announced = answer.headers.get("Content-Length", "")
            if announced.isascii() and announced.isdecimal() and int(announced) > LARGEST:
                raise ActionError(
                    f"{address}: {announced} bytes are announced, at most {LARGEST >> 20} MB are"
                    " taken",
                    code=REFUSED,
                )
            while chunk := answer.read1(_CHUNK):
                yield chunk
    except (OSError, HTTPException, ValueError) as error:
        raise ActionError(f"{address}: not downloaded: {_reason(error)}", code=FAILED) from error


def _check_address(address: str) -> None:
    try:
        parts = urlsplit(address)
        usable = parts.scheme == "https" and bool(parts.hostname)
        secret = parts.username is not None or parts.password is not None
    except ValueError:
        usable = secret = False
    if secret:
        raise ActionError(
            "the input tavo is an address with a name or password in it, which logs would show",
            hint="Download the file in a step of your own, and name its path.",
        )
    if not usable:
        raise ActionError(f"{address}: expected an https:// address or a path", code=REFUSED)


class _OnlyHttps(urllib.request.HTTPRedirectHandler):
    max_redirections = 5

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if urlsplit(newurl).scheme != "https":
            raise ActionError(
                f"{req.full_url}: leads to {newurl}, which is not https", code=REFUSED
            )
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code}"
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, Exception):
        return str(error.reason)
    return str(getattr(error, "strerror", None) or error)
