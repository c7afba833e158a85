"""Refusals of the wire's own in the words of the dialect that the path belongs to.

What is refused before an exchange has looked at it, such as a key that nobody knows, is an error
for the client's library all the same, so it has the form that this library reads.
"""

from __future__ import annotations

import msgspec

from tavo.llm.dialect import Broken
from tavo.llm.known import operation_of
from tavo.proxy.messages import Refusal

__all__ = ["shaped"]


def shaped(refusal: Refusal, method: bytes, path: bytes, query: bytes) -> Refusal:
    """Return a refusal as the dialect of a path words errors; as it is where none knows it."""
    operation = operation_of(
        method.decode("latin-1"), path.decode("latin-1"), query.decode("latin-1")
    )
    if operation is None:
        return refusal
    body = operation.dialect.refusal(
        Broken(message=refusal.reason, code=refusal.code, status=refusal.status)
    )
    return msgspec.structs.replace(refusal, body=body)
