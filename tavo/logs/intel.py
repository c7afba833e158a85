"""Threat intelligence: lists of addresses, networks, domains, URLs and hashes, looked for in logs.

Rules this module keeps:
- a list is data: plain lines, a STIX 2.1 bundle, or MISP events; what cannot be used is counted;
- an indicator is a whole word of a record: `evil.test` is found in `https://a.evil.test/x`, and not
  in `notevil.test`; what JSON, a URL or a web server writes with an escape ends a word, too, so
  `\\nevil.test` and `%2Fevil.test` are found;
- a million indicators are sets and sorted ranges; the cost is in the words of the log.

Sources: STIX 2.1, section 9 (patterns with one comparison); the core format of MISP.
"""

from __future__ import annotations

import ipaddress
import json
import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import unquote_to_bytes

from tavo.errors import ConfigError
from tavo.plugins import Confidence, Rule, Severity

__all__ = ["RULES", "Indicators", "begins_word", "load_indicators"]

_LARGEST = 256 << 20
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
_STIX = re.compile(
    r"\b(ipv4-addr|ipv6-addr|domain-name|url|file)\s*:\s*"
    r"(?:value|hashes\.'?[A-Za-z0-9-]+'?)\s*=\s*'([^']{1,4000})'"
)
_MISP = {
    "ip-src", "ip-dst", "domain", "hostname", "url", "uri", "link", "md5", "sha1", "sha256",
    "sha512", "ip-src|port", "ip-dst|port", "domain|ip", "filename|md5", "filename|sha1",
    "filename|sha256",
}  # fmt: skip

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
        self.unused = 0
        self._networks: list[tuple[int, int]] = []
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._wide: list[ipaddress.IPv6Network] = []
        self._of_version_6 = False

    def __len__(self) -> int:
        urls = sum(len(one) if isinstance(one, set) else 1 for one in self.urls.values())
        sets = (self.addresses, self.domains, self.hashes, self._networks, self._wide)
        return urls + sum(map(len, sets))

    def add(self, text: str) -> None:
        """Take one indicator, whatever it is; `hxxp` and `[.]` are read as they are meant."""
        value = text.strip().lower().replace("[.]", ".").replace("hxxp", "http")
        if not value.isascii() or not 4 <= len(value) <= 4000:
            self.unused += 1
        elif _HASH.fullmatch(value):
            self.hashes.add(value.encode())
        elif "://" in value:
            host = _END_OF_HOST.split(value.partition("://")[2], maxsplit=1)[0].encode()
            self._add_url(host, value.rstrip("/").encode())
        elif _ADDRESS.fullmatch(value):
            self.addresses.add(value.encode())
        elif _DOMAIN.fullmatch(name := value.strip(".")) and not name[-1].isdigit():
            self.domains.add(name.encode())
        elif not self._add_address(value):
            if _DOMAIN.fullmatch(name):
                self.domains.add(name.encode())
            else:
                self.unused += 1

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


def load_indicators(paths: Sequence[Path]) -> Indicators:
    """Read lists. Raises ConfigError for one that cannot be read or holds no indicator."""
    out = Indicators()
    for path in paths:
        before = len(out)
        try:
            if path.stat().st_size > _LARGEST:
                raise ConfigError(f"{path}: is larger than 256 MB")
            with path.open(encoding="utf-8", errors="replace") as file:
                for one in _values(file, path):
                    out.add(one)
        except OSError as error:
            raise ConfigError(f"{path}: the list cannot be read: {error.strerror}") from error
        if len(out) == before:
            raise ConfigError(
                f"{path}: holds no new indicator",
                hint="A list has one on each line, or is a STIX 2.1 bundle or MISP events in JSON.",
            )
    out.close()
    return out


def _values(file: TextIO, path: Path) -> Iterator[str]:
    """Yield what a list holds; a plain one is never in memory as a whole."""
    first = next((line for line in file if line.strip()), "")
    if first.lstrip()[:1] not in {"{", "["}:
        for line in chain([first], file):
            yield from line.split("#", 1)[0].split(",")[0].split()[:1]
        return
    text = first + file.read()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not JSON: {error}") from error
    stack: list[Any] = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, list):
            stack.extend(one)
        elif isinstance(one, dict):
            if one.get("type") == "indicator" and isinstance(one.get("pattern"), str):
                yield from (match[1] for match in _STIX.findall(one["pattern"]))
            elif one.get("type") in _MISP and isinstance(one.get("value"), str):
                yield from (part for part in one["value"].split("|") if not part.isdigit())
            else:
                stack.extend(one.values())
