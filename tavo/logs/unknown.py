"""Why a file is no log that is read, and what to do with it: one sentence by its first bytes."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tavo.logs.sniff import is_spread_out

__all__ = ["why_unknown"]

_NOT_KNOWN = (
    "its format is not known, so it was not looked at; `tavo logs formats` lists those that are,"
    " --reader or --mapping names one"
)
_SPREAD_OUT = (
    "it is JSON over many lines, not one record in each line, so it was not looked at;"
    " `jq -c . FILE` makes lines of it, or `jq -c '.[]' FILE` of a list"
)
_FLOWS = (
    "it is a file of mitmproxy's flows, so it was not looked at; `mitmdump -nr FILE --set"
    " hardump=FILE.har` makes a HAR of it"
)
_PACKED = "it is compressed by {}, and its name does not end with {}, so it was not looked at"
_BINARY = "it is {}, so it was not looked at; export its records as JSON lines or CSV"
_MAGIC = (
    (b"\x1f\x8b", _PACKED.format("gzip", ".gz")),
    (b"\x28\xb5\x2f\xfd", _PACKED.format("zstd", ".zst")),
    (b"BZh", _PACKED.format("bzip2", ".bz2")),
    (b"\xfd7zXZ", _PACKED.format("xz", ".xz")),
    (b"PK\x03\x04", "it is a zip file, so it was not looked at; unpack it first"),
    (b"SQLite format 3\0", _BINARY.format("a database of SQLite")),
    (b"PAR1", _BINARY.format("a Parquet file")),
    (b"Obj\x01", _BINARY.format("an Avro file")),
    (b"ElfFile\0", _BINARY.format("an event log of Windows")),
)
_FLOW = re.compile(rb"\d{1,9}:\d{1,6}:[a-z_]{2,20};")


def why_unknown(lines: Sequence[bytes]) -> str:
    """Return why a log with these first lines was not looked at."""
    first = lines[0] if lines else b""
    for magic, said in _MAGIC:
        if first.startswith(magic):
            return said
    if _FLOW.match(first):
        return _FLOWS
    if b"\0" in b"\n".join(lines[:50]):
        return _BINARY.format("no text")
    return _SPREAD_OUT if is_spread_out(lines) else _NOT_KNOWN
