"""Lists of indicators as they are published -> `tavo.logs.intel.Indicators`.

Rules this module keeps:
- a list is data, and hostile: bounded in size, and never in memory as a whole where it has lines;
- a line that is not understood is counted, and the first of them are shown; only blank lines,
  comments and a row of column names are none;
- of a table only its columns of indicators are read: a link to a report is no indicator;
- of an address list that sends names nowhere, the names are the indicators.

Shapes: one on each line, hosts files, filters of AdGuard and uBlock, dnsmasq and unbound, ranges,
CSV with and without a header (abuse.ch, feodo), STIX 2.1, MISP events, JSON.

Sources: STIX 2.1, section 9 (patterns with one comparison); the core format of MISP.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import msgspec

from tavo.errors import ConfigError
from tavo.logs.folded import csv_cells, csv_column
from tavo.logs.intel import Indicators
from tavo.printable import one_line

__all__ = ["ListReport", "load_indicators"]

_LARGEST = 256 << 20
_SHOWN = 3
_LONGEST_SHOWN = 60
_STIX = re.compile(
    r"\b(ipv4-addr|ipv6-addr|domain-name|url|file)\s*:\s*"
    r"(?:value|hashes\.'?[A-Za-z0-9-]+'?)\s*=\s*'([^']{1,4000})'"
)
_MISP = {
    "ip-src", "ip-dst", "domain", "hostname", "url", "uri", "link", "md5", "sha1", "sha256",
    "sha512", "ip-src|port", "ip-dst|port", "domain|ip", "filename|md5", "filename|sha1",
    "filename|sha256",
}  # fmt: skip
_COLUMNS = {
    "ip", "ip_address", "ipaddress", "ipv4", "ipv6", "address", "dst_ip", "src_ip", "dest_ip",
    "destination_ip", "source_ip", "ip_range", "cidr", "network", "netblock", "subnet", "range",
    "domain", "domain_name", "hostname", "host", "fqdn", "url", "uri", "ioc", "ioc_value",
    "indicator", "indicator_value", "observable", "value", "md5", "sha1", "sha256", "sha512",
    "md5_hash", "sha1_hash", "sha256_hash", "sha512_hash", "hash", "file_hash",
}  # fmt: skip
_UNSURE = {"value", "host", "range", "hash", "address", "network"}
"""Names of columns that say nothing as keys of JSON, where anything may have them."""

_ODD = re.compile(r"[\s,;|\"'=^!@(){}<#*]")
"""What a line has that is not just one indicator."""

_COMMENT = ("#", "!", ";", "//", "[adblock")
_NOWHERE = {
    "0.0.0.0", "127.0.0.1", "127.0.1.1", "255.255.255.255", "::", "::1", "0", "fe80::1%lo0",  # noqa: S104
    "ff02::1", "ff02::2", "ff00::0",
}  # fmt: skip
_HERE = {"localhost", "localhost.localdomain", "local", "broadcasthost", "ip6-localhost",
         "ip6-loopback", "ip6-localnet", "ip6-mcastprefix", "ip6-allnodes", "ip6-allrouters",
         "ip6-allhosts"} | _NOWHERE  # fmt: skip
_FILTER = re.compile(r"\|\|(?:\*\.)?([^\s/^*|$]{1,255})(?:\^|\^\|)?(?:\$[\w,~=.|-]{0,200})?\Z")
_RESOLVER = re.compile(
    r"(?:address|server|local)=/([^/\s]{1,255})/\S{0,60}\Z"
    r"|(?:local-zone|zone):?\s+\"([^\"\s]{1,255})\"\s?.{0,100}\Z"
)
_RANGE = re.compile(r"([0-9a-f.:]{3,45})\s*-\s*([0-9a-f.:]{3,45})\Z", re.I)
_NETMASK = re.compile(r"(\d[\d.]{6,14})\s+(\d[\d.]{6,14})\s+\d{1,2}(?:\s.*)?\Z")
_IS_VALUE = re.compile(r"[.:/]|.{31}", re.S)
_FENCE = re.compile(r"\s[#;].*\Z", re.S)


class ListReport(msgspec.Struct, kw_only=True):
    """What a list held: indicators that are new, and lines that were not understood."""

    name: str
    indicators: int = 0
    unread: int = 0
    shown: list[str] = []

    def __str__(self) -> str:
        noun = "indicator" if self.indicators == 1 else "indicators"
        said = f"{self.name}: {self.indicators:,} {noun}"
        return f"{said}; {self.problem}" if self.unread else said

    @property
    def problem(self) -> str:
        """Return what was not understood, empty where all was."""
        if not self.unread:
            return ""
        lines = "1 line was" if self.unread == 1 else f"{self.unread:,} lines were"
        more = ", …" if self.unread > len(self.shown) else ""
        return f"{lines} not understood: {', '.join(self.shown)}{more}"

    def note(self, number: int, line: str) -> None:
        """Count a line that was not understood."""
        self.unread += 1
        if len(self.shown) < _SHOWN:
            text = one_line(line.strip())
            cut = text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}…"
            self.shown.append(f"line {number} {cut!r}" if number else repr(cut))


def load_indicators(paths: Sequence[Path]) -> tuple[Indicators, list[ListReport]]:
    """Read lists; say what each held. Raises ConfigError for one without an indicator."""
    out = Indicators()
    reports = []
    for path in paths:
        before = len(out)
        report = ListReport(name=str(path), shown=[])
        try:
            if path.stat().st_size > _LARGEST:
                raise ConfigError(f"{path}: is larger than 256 MB")
            with path.open(encoding=_encoding(path), errors="replace") as file:
                _read(file, path, out, report)
        except OSError as error:
            raise ConfigError(f"{path}: the list cannot be read: {error.strerror}") from error
        report.indicators = len(out) - before
        if not report.indicators:
            unread = f" ({report.problem})" if report.unread else ""
            raise ConfigError(
                f"{path}: holds no new indicator{unread}",
                hint="A list has one on each line, is a hosts file, a filter list, CSV with a"
                " header, a STIX 2.1 bundle, or MISP events in JSON.",
            )
        reports.append(report)
        if report.unread:
            out.notes.append((report.name, report.problem))
    out.close()
    return out, reports


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(2)
    return "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _read(file: TextIO, path: Path, out: Indicators, report: ListReport) -> None:
    """Read one list. Raises ConfigError for JSON that is none."""
    first = next((line for line in file if line.strip()), "")
    if first.lstrip()[:1] != "{" and (first.lstrip()[:1] != "[" or _is_filter(first)):
        _read_lines(chain([first], file), out, report)
        return
    _read_json(first + file.read(), path, out, report)


def _is_filter(line: str) -> bool:
    return line.lstrip().lower().startswith("[adblock")


# -- lines


def _read_lines(lines: Iterable[str], out: Indicators, report: ListReport) -> None:
    table = _Table()
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text:
            continue
        if not table.columns and _ODD.search(text) is None:
            if not out.add(text) and not _add_line(text, out):
                report.note(number, line)
            continue
        if text.lower().startswith(_COMMENT):
            table.comment(text)
            continue
        cells = table.row(text)
        if cells is not None:
            understood = bool(cells) and sum([out.add(one) for one in cells]) > 0
        else:
            understood = _add_line(text, out)
        if not understood and not table.was_header:
            report.note(number, line)


class _Table:
    """Finds out whether a list is a table, and which of its columns hold indicators."""

    def __init__(self) -> None:
        self.columns: list[int] = []
        self.was_header = False
        self._separator = ","
        self._begun = False
        self._comment: list[str] = []

    def comment(self, text: str) -> None:
        """Take a comment: the last one before the rows may name the columns."""
        if not self._begun:
            self._comment = [text.lstrip("#!;/ ")]

    def row(self, text: str) -> list[str] | None:
        """Return the cells of a row that may be indicators, None where this is no table."""
        self.was_header = False
        if not self._begun:
            self._begun = True
            for header in (*self._comment, text):
                if self._takes(header):
                    self.was_header = header is text
                    break
        if not self.columns:
            return None
        if self.was_header:
            return []
        cells = csv_cells(text, self._separator)
        return [cells[at].strip() for at in self.columns if at < len(cells) and cells[at].strip()]

    def _takes(self, header: str) -> bool:
        """Take the names of columns, if that is what a line is."""
        for separator in (",", ";", "\t", "|"):
            cells = csv_cells(header, separator)
            names = [csv_column(cell.strip()).lower().strip("_") for cell in cells]
            columns = [at for at, name in enumerate(names) if name in _COLUMNS]
            if len(cells) > 1 and columns and not any(map(_IS_VALUE.search, cells)):
                self.columns, self._separator = columns, separator
                return True
        return False


def _add_line(text: str, out: Indicators) -> bool:
    """Take what a line of a plain list, a hosts file or a filter list says; tell whether it did."""
    text = _FENCE.sub("", text).strip()
    if (found := _FILTER.match(text)) is not None:
        return out.add(found[1])
    if (resolved := _RESOLVER.match(text)) is not None:
        return out.add(resolved[1] or resolved[2])
    ranged = _RANGE.match(text) or _NETMASK.match(text)
    if ranged is not None and out.add_range(ranged[1], ranged[2]):
        return True
    if text.startswith(("@@", "||", "/")) or "##" in text or "#@#" in text:
        return False  # an exception, a rule about a page, an expression
    words = text.split()
    if len(words) > 1 and words[0].lower() in _NOWHERE:
        names = [one for one in words[1:] if one.lower() not in _HERE]
        return not names or sum([out.add(one) for one in names]) == len(names)
    pieces = [one.strip("\"' ") for one in re.split(r"[,;|\t]", text)]
    candidates = [piece.split()[0] for piece in pieces if piece]
    return any(out.add(one.removeprefix("*.")) for one in candidates)


# -- JSON


def _read_json(text: str, path: Path, out: Indicators, report: ListReport) -> None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        value = _json_lines(text, report)
        if not value:
            raise ConfigError(f"{path}: is not JSON: {error}") from error
    found = False
    for one in _published(value):
        found = True
        if not out.add(one):
            report.note(0, one)
    for one in () if found else _by_keys(value):
        if not out.add(one):
            report.note(0, one)


def _json_lines(text: str, report: ListReport) -> list[Any]:
    values = []
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                values.append(json.loads(line))
            except (ValueError, RecursionError):
                report.note(number, line)
    return values


def _published(value: Any) -> Iterator[str]:
    """Yield the indicators of a STIX bundle, or of MISP events."""
    for one in _maps(value):
        if one.get("type") == "indicator" and isinstance(one.get("pattern"), str):
            found = _STIX.findall(one["pattern"])
            yield from (match[1] for match in found) if found else (one["pattern"],)
        elif one.get("type") in _MISP and isinstance(one.get("value"), str):
            yield from (part for part in one["value"].split("|") if not part.isdigit())


def _by_keys(value: Any) -> Iterator[str]:
    """Yield what stands below keys that are named as indicators, and texts in a list."""
    for one in value if isinstance(value, list) else ():
        if isinstance(one, str):
            yield one
    for one in _maps(value):
        for key, inner in one.items():
            if csv_column(key).lower() in _COLUMNS - _UNSURE:
                yield from (text for text in (inner if isinstance(inner, list) else [inner])
                            if isinstance(text, str))  # fmt: skip


def _maps(value: Any) -> Iterator[dict[str, Any]]:
    stack = [value]
    while stack:
        one = stack.pop()
        if isinstance(one, list):
            stack.extend(one)
        elif isinstance(one, dict):
            yield one
            if not (one.get("type") in _MISP and isinstance(one.get("value"), str)):
                stack.extend(one.values())
