"""Secrets that findings point at, covered in what reports show of code.

Rules this module keeps:
- a piece keeps its length, so that columns hold, and of its characters the first few;
- in the line in which it stands it is covered wherever it stands again; elsewhere too, whole or cut
  off at the end of a text, unless it is a word, which other things may be called;
- a piece that is not where it should be covers nothing there: the line is another one.

Pure functions, no I/O. Units: lines and columns from 1, lengths in characters.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath

import msgspec

from tavo.plugins import Finding, Location, Region

__all__ = ["CREDENTIAL", "SECRET", "Cover", "Piece", "covered", "in_texts", "pieces_of", "stars"]

CREDENTIAL = "credential"
"""The tag of rules that point at a secret: no report shows what they point at whole."""

SECRET = "$SECRET"  # noqa: S105
"""The metavariable that is the secret, where a rule with the tag matches more than that."""

_SHOWN = 4
_SHORTEST = 8
_LONGEST_WORDS = 20
_MOST_LINES = 1_000
_WORDS = re.compile(r"[A-Za-z]+(?:[ _-][A-Za-z]+)*\Z")

_Spans = list[tuple[int, int]]


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """What of a secret stands in one line; `line` 0 where only the text is known."""

    line: int
    column: int
    text: str


def stars(secret: str) -> str:
    """Return a secret as it is shown: at most four of its characters, at most a quarter."""
    kept = _kept(secret)
    return secret[:kept] + "*" * (len(secret) - kept)


def pieces_of(region: Region, line_at: Callable[[int], str | None]) -> Iterator[Piece]:
    """Yield what a region points at, line by line; `line_at` gives a line, None beyond the end."""
    for number in range(
        region.start_line, min(region.end_line, region.start_line + _MOST_LINES) + 1
    ):
        line = line_at(number)
        if line is None:
            return
        low = region.start_column - 1 if number == region.start_line else 0
        high = region.end_column - 1 if number == region.end_line else len(line)
        if line[low:high]:
            yield Piece(number, low + 1, line[low:high])


class Cover:
    """What is covered in one file."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        self._at: dict[int, dict[Piece, None]] = {}
        by_start: dict[str, set[str]] = {}
        self._texts: dict[str, None] = {}
        for piece in pieces:
            if piece.line:
                self._at.setdefault(piece.line, {})[piece] = None
            for text in (piece.text.strip(), " ".join(piece.text.split())):
                if text:
                    self._texts[text] = None
                if len(text) >= _SHORTEST and not _is_words(text):
                    by_start.setdefault(text[:_SHORTEST], set()).add(text)
        self._by_start = {start: _Alike(found) for start, found in by_start.items()}

    def line(self, number: int, line: str) -> str:
        """Return a line, which may be cut, without the secrets that findings point at there."""
        spans: _Spans = []
        for piece in self._at.get(number, ()):
            secret, kept = piece.text, _kept(piece.text)
            low = piece.column - 1
            shown = line[low : low + len(secret)]
            if shown and secret.startswith(shown):
                spans.append((low + kept, low + len(shown)))
            if len(secret) >= _SHORTEST:
                at = line.find(secret)
                while at >= 0:
                    spans.append((at + kept, at + len(secret)))
                    at = line.find(secret, at + len(secret))
        return _starred(line, spans)

    def text(self, text: str) -> str:
        """Return a text without the secrets of the file that are in it."""
        spans: _Spans = []
        end = len(text.removesuffix("…"))
        for at in range(end - _SHORTEST + 1):
            alike = self._by_start.get(text[at : at + _SHORTEST])
            secret = alike.at(text, at, end) if alike is not None else ""
            if secret:
                spans.append((at + _kept(secret), min(at + len(secret), end)))
        return _starred(text, spans)

    def location(self, location: Location) -> Location:
        """Return a location in the file with its lines covered."""
        if location.region is None or not location.snippet:
            return location
        first = location.region.start_line
        snippet = "\n".join(
            self.text(self.line(number, line))
            for number, line in enumerate(location.snippet.split("\n"), first)
        )
        return location if snippet == location.snippet else replace(location, snippet=snippet)

    def holds(self, text: str) -> bool:
        """Tell whether a secret is in a text, however short it is."""
        return any(secret in text for secret in self._texts)


class _Alike:
    """Secrets that begin alike: which one a text has at a place costs little, however many."""

    def __init__(self, secrets: set[str]) -> None:
        self._secrets = secrets
        self._sorted = sorted(secrets)
        self._lengths = sorted({len(one) for one in secrets}, reverse=True)

    def at(self, text: str, start: int, end: int) -> str:
        """Return the longest secret there, or one that the end cuts off; empty for none."""
        rest = text[start:end]
        number = bisect_left(self._sorted, rest)
        if number < len(self._sorted) and self._sorted[number].startswith(rest):
            return self._sorted[number]
        for length in self._lengths:
            if text[start : start + length] in self._secrets:
                return text[start : start + length]
        return ""


def covered(finding: Finding, covers: Mapping[PurePosixPath, Cover], *, own: bool) -> Finding:
    """Return a finding as reports show it; `own` if its rule has the tag.

    A fix that would show a secret is left out.
    """
    paths = dict.fromkeys((finding.location.path, *(one.location.path for one in finding.flow)))
    involved = [covers[path] for path in paths if path in covers]
    if not involved:
        return finding

    def shown(location: Location) -> Location:
        cover = covers.get(location.path)
        return location if cover is None else cover.location(location)

    fix = finding.fix
    if fix is not None and (
        _text(fix, involved) != fix or (own and any(one.holds(fix) for one in involved))
    ):
        fix = None
    return replace(
        in_texts(finding, involved),
        location=shown(finding.location),
        flow=tuple(
            replace(step, location=shown(step.location), message=_text(step.message, involved))
            for step in finding.flow
        ),
        fix=fix,
    )


def in_texts(finding: Finding, covers: Iterable[Cover]) -> Finding:
    """Return a finding whose message, evidence and words of its flow show no secret."""
    involved = list(covers)
    return replace(
        finding,
        message=_text(finding.message, involved),
        evidence={name: _text(value, involved) for name, value in finding.evidence.items()},
        flow=tuple(replace(step, message=_text(step.message, involved)) for step in finding.flow),
    )


def _text(text: str, covers: Iterable[Cover]) -> str:
    for cover in covers:
        text = cover.text(text)
    return text


def _starred(text: str, spans: _Spans) -> str:
    if not spans:
        return text
    shown = list(text)
    for low, high in spans:
        if low < high:
            shown[low:high] = "*" * (high - low)
    return "".join(shown)


def _kept(secret: str) -> int:
    return min(_SHOWN, len(secret) // 4)


def _is_words(text: str) -> bool:
    return len(text) < _LONGEST_WORDS and _WORDS.match(text) is not None
