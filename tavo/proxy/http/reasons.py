"""The first lines of answers."""

from __future__ import annotations

from http import HTTPStatus

__all__ = ["STATUS_LINES"]

STATUS_LINES = {
    int(one): b"HTTP/1.1 %d %b" % (one, one.phrase.encode("ascii")) for one in HTTPStatus
}
