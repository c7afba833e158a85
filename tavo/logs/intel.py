"""Threat intelligence: lists of addresses, networks, domains, URLs and hashes, looked for in logs.

Rules this module keeps:
- an indicator is a whole word of a record: `evil.test` is found in `https://a.evil.test/x`, and not
  in `notevil.test`; what JSON, a URL or a web server writes with an escape ends a word, too, so
  `\\nevil.test` and `%2Fevil.test` are found;
- a million indicators are sets and sorted ranges; the cost is in the words of the log.

How lists are read: `tavo.logs.intel_lists`.
"""

from __future__ import annotations

import ipaddress
import re
from bisect import bisect_right
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

from tavo.plugins import Confidence, Rule, Severity

__all__ = ["RULES", "Indicators", "begins_word"]

_KEPT = b"abcdefghijklmnopqrstuvwxyz0123456789.-%\\"
_WORDS = bytes(low if (low := one | 32 if 65 <= one <= 90 else one) in _KEPT else 32
               for one in range(256))  # fmt: skip
"""What a character is when a record is cut into words: itself in small letters, or a blank."""
_ESCAPE = re.compile(rb"\\(?:[bfnrt]|x[0-9a-f]{2}|u[0-9a-f]{4})|%[0-9a-f]{2}|[\\%]")
_ESCAPE_BEFORE = re.compile(_ESCAPE.pattern + rb"\Z")
_LONGEST_NAME = 254
_COLONS = re.compile(rb"[0-9a-f]{0,4}:[0-9a-f:.]{3,}")
_NUMBERS = re.compile(rb"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}")
_END_OF_HOST = re.compile(r"[/?#:]")
_HASH = re.compile(r"(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{64}|[0-9a-f]{128})")
_DOMAIN = re.compile(r"(?:[a-z0-9_](?:[a-z0-9_-]{0,62})\.)+[a-z0-9-]{2,63}")
_ADDRESS = re.compile(r"(?:(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?!\Z)|\Z)){4}")
_PORT = re.compile(r"\[([0-9a-f:.]+)\](?::\d{1,5})?\Z|(.*[^:]):\d{1,5}\Z")
_DEFANGED = re.compile(r"[\[({](?:\.|dot)[\])}]|\[:\]|\[://\]|\[/\]|\\\.")

RULES = {
    kind: Rule(
        id=f"intel-{kind}",
        title=title,
        severity=severity,
        confidence=Confidence.HIGH,
        description="A record holds an indicator of a list that was given with --intel.",
        tags=("attack.t1071",),
    )
    for kind, title, severity in (
        ("address", "An address of a list", Severity.HIGH),
        ("domain", "A domain of a list", Severity.HIGH),
        ("url", "A URL of a list", Severity.HIGH),
        ("hash", "A hash of a list", Severity.HIGH),
    )
}


class Indicators:
    """The indicators of some lists, ready to be looked for."""

    def __init__(self) -> None:
        self.addresses: set[bytes] = set()
        self.domains: set[bytes] = set()
        self.hashes: set[bytes] = set()
        self.urls: dict[bytes, bytes | set[bytes]] = {}  # one by itself, for most hosts have one
        self.notes: list[tuple[str, str]] = []  # lists of which not all was understood
        self._networks: list[tuple[int, int]] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._wide: list[ipaddress.IPv6Network] = []
        self._of_version_6 = False

    def __len__(self) -> int:
        urls = sum(len(one) if isinstance(one, set) else 1 for one in self.urls.values())
        sets = (self.addresses, self.domains, self.hashes, self._networks, self._wide)
        return urls + sum(map(len, sets))

    def add(self, text: str) -> bool:
        """Take one indicator, whatever it is, and tell whether it is one.

        `hxxp` and `[.]` are read as they are meant.
        """
        value = text.strip().lower()
        if "[" in value or "(" in value or "{" in value or "\\" in value:
            value = _DEFANGED.sub(_fanged, value)
        value = value.replace("hxxp", "http", 1)
        if self._take(value):
            return True
        found = _PORT.fullmatch(value)  # one port is taken off, however many there are
        return found is not None and self._take(found[1] or found[2])

    def _take(self, value: str) -> bool:
        if not value.isascii() or not 4 <= len(value) <= 4000:
            return False
        name = value.strip(".")
        if _HASH.fullmatch(value):
            self.hashes.add(value.encode())
        elif "://" in value:
            host = _END_OF_HOST.split(value.partition("://")[2], maxsplit=1)[0].encode()
            self._add_url(host, value.rstrip("/").encode())
        elif _ADDRESS.fullmatch(value):
            self.addresses.add(value.encode())
        elif _DOMAIN.fullmatch(name) and not name[-1].isdigit():
            self.domains.add(name.encode())
        elif self._add_address(value):
            pass
        elif _DOMAIN.fullmatch(name) and not name.rpartition(".")[2].isdigit():
            self.domains.add(name.encode())
        else:
            return False
        return True

    def add_range(self, first: str, last: str) -> bool:
        """Take the addresses from one to another, and tell whether that is a range."""
        try:
            start, end = ipaddress.ip_address(first), ipaddress.ip_address(last)
            networks = list(ipaddress.summarize_address_range(start, end))
        except (ValueError, TypeError):
            return False
        return all(self._add_address(str(one)) for one in networks)

    def _add_url(self, host: bytes, url: bytes) -> None:
        known = self.urls.setdefault(host, url)
        if isinstance(known, set):
            known.add(url)
        elif known != url:
            self.urls[host] = {known, url}

    def _add_address(self, value: str) -> bool:
        try:
            network = ipaddress.ip_network(value, strict=False)
        except ValueError:
            return False
        if network.num_addresses == 1:
            self.addresses.add(str(network.network_address).encode())
        elif isinstance(network, ipaddress.IPv6Network):
            self._wide.append(network)
        else:
            self._networks.append((int(network[0]), int(network[-1])))
        return True

    def close(self) -> None:
        """Sort the networks, and merge those that meet."""
        self._of_version_6 = bool(self._wide) or any(b":" in one for one in self.addresses)
        for start, end in sorted(self._networks):
            if self._ends and start <= self._ends[-1] + 1:
                self._ends[-1] = max(self._ends[-1], end)
            else:
                self._starts.append(start)
                self._ends.append(end)

    def found_in(self, data: bytes) -> dict[bytes, str]:
        """Return the words of some records that are indicators, with their kinds.

        A word of a URL is its host: `holds_url` tells whether the URL is there.
        """
        out: dict[bytes, str] = {}
        names = bool(self.domains or self.urls)
        addresses = bool(self.addresses or self._starts)
        words = _words_of(data)
        for word in words & self.hashes:
            out[word] = "hash"
        for word in words:
            if b"." not in word:
                continue
            if addresses and word[-1:].isdigit() and _NUMBERS.fullmatch(word):
                if word in self.addresses or self._in_network(word):
                    out[word] = "address"
            elif names:
                for name in _names(word):
                    if name in self.domains:
                        out[name] = "domain"
                    if name in self.urls:
                        out[name] = "url"
        if self._of_version_6:
            out.update((word, "address") for word in self._colons_in(data.lower()))
        return out

    def holds_url(self, host: bytes, line: bytes) -> bool:
        """Tell whether a record holds a URL of the lists with this host."""
        low = line.lower().replace(b"\\/", b"/")
        if b"%" in low:
            low += b"\n" + unquote_to_bytes(low)
        known = self.urls.get(host, set())
        return any(url in low for url in (known if isinstance(known, set) else (known,)))

    def _in_network(self, word: bytes) -> bool:
        try:
            number = int(ipaddress.IPv4Address(word.decode()))
        except ValueError:
            return False
        at = bisect_right(self._starts, number) - 1
        return at >= 0 and number <= self._ends[at]

    def _colons_in(self, low: bytes) -> Iterator[bytes]:
        for word in set(_COLONS.findall(low)):
            try:
                address = ipaddress.IPv6Address(word.decode().rstrip(":."))
            except ValueError:
                continue
            if str(address).encode() in self.addresses or any(address in n for n in self._wide):
                yield word


def _fanged(found: re.Match[str]) -> str:
    return found[0].strip("[](){}\\").replace("dot", ".")


def _words_of(data: bytes) -> set[bytes]:
    words = {one.strip(b".-") for one in set(data.translate(_WORDS).split())}
    for word in [one for one in words if b"\\" in one or b"%" in one]:
        # `\\new.test` may be a line's end and `ew.test`, or what follows a backslash: both count
        for piece in (*_ESCAPE.split(word), *re.split(rb"[\\%]", word)):
            words.add(piece.strip(b".-"))
    return words


def _names(word: bytes) -> Iterator[bytes]:
    """Yield a name and those above it, down to two labels; none is longer than a name may be."""
    if len(word) > _LONGEST_NAME:
        word = word[-_LONGEST_NAME:].partition(b".")[2]
    yield word
    while word.count(b".") > 1:
        word = word.partition(b".")[2]
        yield word


def begins_word(low: bytes, at: int) -> bool:
    """Tell whether a word may begin here: behind what is no part of one, or behind an escape."""
    before = low[max(0, at - 6) : at]
    last = before[-1:]
    return not (last.isalnum() or last == b"-") or _ESCAPE_BEFORE.search(before) is not None
