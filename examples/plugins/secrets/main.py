"""Secrets in text files: keys, tokens, passwords, private keys.

Detectors and filters are those of detect-secrets (Apache-2.0), as they are, without verification.
This plugin hands files to it from memory, gives each kind of secret a rule, makes one finding of
what several detectors see in one place, and never shows a secret whole.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

import stand_ins

from tavo.plugins import (
    Confidence,
    ConfigError,
    Context,
    Finding,
    Location,
    Region,
    Rule,
    Severity,
    StaticAnalysisPlugin,
)

stand_ins.put_in_place()

from detect_secrets import settings as detector_settings  # noqa: E402
from detect_secrets.core import scan  # noqa: E402
from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class  # noqa: E402

# An address is no secret, and a file here is in memory, not on a disk.
_NOT_SECRET = frozenset({"Public IP (ipv4)"})
_NO_FILE = "detect_secrets.filters.common.is_invalid_file"
_FIRST = 4
_LONGEST_LINE, _OVERLAP = 2_000, 300
# The rest of a key in PEM that stands in one line, as in JSON: its line ends are written out.
_PEM = re.compile(r"[A-Za-z0-9+/=\\ \t:,.-]*")
_GUESSES = {  # the surest first; all other kinds know whose key it is
    "Basic Auth Credentials": (Severity.HIGH, Confidence.MEDIUM),
    "JSON Web Token": (Severity.MEDIUM, Confidence.MEDIUM),
    "Secret Keyword": (Severity.MEDIUM, Confidence.LOW),
    "Base64 High Entropy String": (Severity.MEDIUM, Confidence.LOW),
    "Hex High Entropy String": (Severity.LOW, Confidence.LOW),
}
_HELP = (
    "Whoever reads the file, its history or its image has this secret: take it back where it was"
    " issued, then out of the file. Read it at run time from the environment or a store of secrets."
    " A value that is no secret gets `# pragma: allowlist secret` at the end of its line."
)


def _rule_id(kind: str) -> str:
    kept = "".join(c if c.isalnum() else "-" for c in kind.lower())
    return "-".join(filter(None, kept.split("-")))


def _rule(kind: str) -> Rule:
    severity, confidence = _GUESSES.get(kind, (Severity.HIGH, Confidence.HIGH))
    return Rule(
        id=_rule_id(kind),
        title=f"{kind} in a file",
        severity=severity,
        confidence=confidence,
        description=f"The detector “{kind}” of detect-secrets matches here.",
        help=_HELP,
        cwe=("CWE-798", "CWE-312"),
        owasp=("LLM02:2025",),
        tags=("credential", "secrets"),
    )


_KINDS = {
    kind: detector
    for kind, detector in sorted(get_mapping_from_secret_type_to_class().items())
    if kind not in _NOT_SECRET
}
_RULES = {kind: _rule(kind) for kind in _KINDS}


class Secrets(StaticAnalysisPlugin):
    """Reports what detect-secrets takes for a secret."""

    rules = tuple(_RULES.values())

    def start(self, context: Context) -> None:
        """Choose the detectors; nothing else can be chosen, verification least of all."""
        config = context.config
        without = set(config.get("without", ()))
        if unknown := without - {rule.id for rule in self.rules}:
            raise ConfigError(
                f"without: there is no rule {min(unknown)!r}; there are"
                f" {', '.join(rule.id for rule in self.rules)}"
            )
        limits = {
            "Base64HighEntropyString": config.get("base64_limit", 4.5),
            "HexHighEntropyString": config.get("hex_limit", 3.0),
        }
        chosen = []
        for kind, detector in _KINDS.items():
            if _rule_id(kind) not in without:
                name = detector.__name__
                chosen.append({"name": name, **({"limit": limits[name]} if name in limits else {})})
        detector_settings.cache_bust()
        detector_settings.get_settings().configure_plugins(chosen).disable_filters(_NO_FILE)

    def analyze_file(self, file_path: PurePosixPath, content: str) -> Iterable[Finding]:
        """Yield one finding for each secret and line."""
        lines = content.split("\n")
        pieces = list(_pieces(lines))
        text = "\n".join(piece for _, _, piece in pieces)
        scan.open = lambda name: _Named(text, name)  # where detect-secrets reads its files
        places: dict[int, list[tuple[int, int, str]]] = {}
        for found in scan.scan_file(str(file_path)):
            if found.secret_value and found.type in _RULES:
                number, offset, piece = pieces[min(found.line_number, len(pieces)) - 1]
                for start, end in _spans(piece, found.secret_value, found.type):
                    end += offset
                    if found.type == "Private Key" and (rest := _PEM.match(lines[number - 1], end)):
                        end = rest.end()
                    places.setdefault(number, []).append((offset + start, end, found.type))
        for number, spans in sorted(places.items()):
            for start, end, kinds in _merged(spans):
                yield _finding(file_path, number, lines, (start, end), kinds)


class _Named(io.StringIO):
    """A text with the name of a file, as detect-secrets asks for one."""

    def __init__(self, content: str, name: str) -> None:
        super().__init__(content)
        self.name = name


def _pieces(lines: list[str]) -> Iterator[tuple[int, int, str]]:
    """Yield each line with its number; long ones in overlapping pieces with their offsets.

    Some expressions of detect-secrets take the square of a line's length.
    """
    for number, line in enumerate(lines, start=1):
        yield number, 0, line[:_LONGEST_LINE]
        for offset in range(
            _LONGEST_LINE - _OVERLAP, len(line) - _OVERLAP, _LONGEST_LINE - _OVERLAP
        ):
            yield number, offset, line[offset : offset + _LONGEST_LINE]


def _spans(line: str, value: str, kind: str) -> list[tuple[int, int]]:
    """Return where a value stands in its line, the whole line where it is written otherwise.

    Some detectors give the beginning of a token alone, such as `ghp`: then each whole token counts.
    """
    whole = [
        found.span()
        for expression in getattr(_KINDS[kind], "denylist", ())
        for found in expression.finditer(line)
        for group in range(1, expression.groups + 1)
        if found[group] == value
        and found.start(group) == found.start()
        and found.end(group) < found.end()
    ]
    if whole:
        return whole
    at = line.find(value)
    return [(at, at + len(value)) if at >= 0 else (0, len(line))]


def _merged(spans: list[tuple[int, int, str]]) -> list[tuple[int, int, set[str]]]:
    """Put together what overlaps: detectors that see one secret, some only its first characters."""
    merged: list[tuple[int, int, set[str]]] = []
    for start, end, kind in sorted(spans):
        if merged and start < merged[-1][1]:
            first, last, kinds = merged[-1]
            merged[-1] = first, max(last, end), kinds | {kind}
        else:
            merged.append((start, end, {kind}))
    return merged


def _finding(
    path: PurePosixPath, number: int, lines: list[str], span: tuple[int, int], kinds: set[str]
) -> Finding:
    """Make a finding of the surest kind."""
    kind, *others = sorted(kinds, key=_by_worth)
    rule = _RULES[kind]
    start, end = span
    length = end - start
    line = lines[number - 1] if number <= len(lines) else ""
    evidence = {"begins": line[start:][: min(_FIRST, length // 4)], "characters": str(length)}
    if others:
        evidence["also"] = ", ".join(others)
    return Finding(
        rule_id=rule.id,
        message=f"{kind}: a value of {length} characters is written here.",
        location=Location(
            path=path,
            region=Region(
                start_line=number, start_column=start + 1, end_line=number, end_column=end + 1
            ),
        ),
        severity=rule.severity,
        confidence=rule.confidence,
        evidence=evidence,
    )


def _by_worth(kind: str) -> tuple[int, str]:
    return (1 + list(_GUESSES).index(kind) if kind in _GUESSES else 0), kind
