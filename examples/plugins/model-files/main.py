"""Model files that run code when they are loaded: pickle, PyTorch, NumPy, joblib, Keras.

`containers` finds the pickles in a file, `machine` reads what they import, `judging` says what that
can do, with the lists of picklescan (MIT). Nothing is ever loaded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import PurePosixPath
from typing import BinaryIO

from containers import Called, Note, Piece, pieces
from judging import DANGEROUS, HARMLESS, SUSPICIOUS, grade
from machine import Read, is_name, read_pickles

from tavo.plugins import Confidence, Finding, Location, Rule, Severity, StaticAnalysisPlugin

_MOST_NOTES = 20
_DEEPEST = 4
_ALTERNATIVE = (
    "Fetch the model from its publisher as safetensors, or load it with"
    " `torch.load(..., weights_only=True)`, which refuses such imports."
)


def _rule(
    name: str, title: str, severity: Severity, confidence: Confidence, description: str, advice: str
) -> Rule:
    return Rule(
        id=f"model-file-{name}",
        title=title,
        severity=severity,
        confidence=confidence,
        description=description,
        help=advice,
        cwe=("CWE-502",),
        owasp=("LLM03:2025", "LLM04:2025") if name == "runs-code" else ("LLM03:2025",),
        tags=("supply-chain", "deserialization"),
    )


_DANGEROUS = _rule(
    "runs-code",
    "Model file runs code when it is loaded",
    Severity.CRITICAL,
    Confidence.HIGH,
    "The pickle data in this file imports a function that runs commands, code or I/O.",
    f"Do not load this file. Delete it, and find out where it came from. {_ALTERNATIVE}",
)
_UNUSUAL = _rule(
    "unusual-import",
    "Model file imports a function that models have no use for",
    Severity.MEDIUM,
    Confidence.MEDIUM,
    "Pickle data may call whatever it imports; this is of the standard library, and on no list.",
    f"Find out why the model needs it before you load it. {_ALTERNATIVE}",
)
_UNKNOWN = _rule(
    "unknown-import",
    "Model file imports a function that is not known to be harmless",
    Severity.LOW,
    Confidence.LOW,
    "Pickle data may call whatever it imports; this import is on no list.",
    "Look up what the imported function does when it is called with data of a stranger's"
    " choice. Prefer safetensors, which cannot import anything.",
)
_UNREADABLE = _rule(
    "unreadable",
    "Model file cannot be read to its end",
    Severity.MEDIUM,
    Confidence.MEDIUM,
    "The file is named like a model, but its data cannot be followed to the end.",
    "A loader runs pickle data as far as it gets, so a broken file can still run code. Fetch"
    " the file again, or delete it if nothing needs it.",
)
_LAMBDA = _rule(
    "lambda-layer",
    "Keras model holds code of its own",
    Severity.HIGH,
    Confidence.HIGH,
    "A Lambda layer is a Python function in the model file; loading or calling the model runs it.",
    "Load it only with `safe_mode=True`, which refuses it, and ask its publisher for a model"
    " without Lambda layers.",
)
_NOT_READ = _rule(
    "not-read",
    "Model file of a format that is not looked into",
    Severity.INFO,
    Confidence.HIGH,
    "This says what was not looked at; it says nothing about the file.",
    "Look at the file with a tool for its format, or load it only where nothing can be harmed.",
)
_RULES = {DANGEROUS: _DANGEROUS, SUSPICIOUS: _UNUSUAL}
_NOTES = {"unreadable": _UNREADABLE, "not-read": _NOT_READ, "lambda": _LAMBDA}
_VERDICTS = {DANGEROUS: "can run code", SUSPICIOUS: "models have no use for"}


class ModelFiles(StaticAnalysisPlugin):
    """Reports what loading a model file would import."""

    rules = (_DANGEROUS, _UNUSUAL, _UNKNOWN, _UNREADABLE, _LAMBDA, _NOT_READ)

    def analyze_binary(self, file_path: PurePosixPath, content: BinaryIO) -> Iterable[Finding]:
        """Yield one finding per import that loading the file would make, and what was not read."""
        said: set[tuple[str, str]] = set()
        notes = 0
        for rule, where, what, message in _claims(file_path.name, content, "", 0):
            is_note = rule in _NOTES.values()
            notes += is_note
            if (rule.id, what) in said or (is_note and notes > _MOST_NOTES):
                continue
            said.add((rule.id, what))
            evidence = {} if is_note else {"import": what}
            if where:
                evidence["inside"] = where
            yield Finding(
                rule_id=rule.id,
                message=message,
                location=Location(path=file_path),
                severity=rule.severity,
                confidence=rule.confidence,
                evidence=evidence,
            )


_Claim = tuple[Rule, str, str, str]


def _claims(name: str, content: BinaryIO, where: str, depth: int) -> Iterator[_Claim]:
    for one in pieces(name, content, where, depth):
        if isinstance(one, Note):
            at = f" ({one.where})" if one.where else ""
            yield _NOTES[one.kind], one.where, f"{one.text}{at}", f"{one.text}{at}"
        elif isinstance(one, Called):
            yield from _judged(one.where, one.module, one.name)
        else:
            for number, read in enumerate(read_pickles(one.stream)):
                yield from _of_pickle(one, number, read, depth)


def _of_pickle(piece: Piece, number: int, read: Read, depth: int) -> Iterator[_Claim]:
    # Data that is not named a pickle, and cannot be read to its end as one, is likely none; and
    # what stands behind a pickle is often numbers. There, only what is clearly bad is believed.
    is_sure = not read.fault or (number == 0 and (piece.is_named or read.has_start))
    for found in read.imports:
        if found.name is None:
            if is_sure:
                text = "Loading this file imports something whose name it puts together itself."
                yield _DANGEROUS, piece.where, f"{found.module}.?".lstrip("."), text
        elif found.patched:
            what = f"{found.module}.{found.name}"
            if is_sure:
                yield _DANGEROUS, piece.where, what, f"Loading this file changes {what} itself."
        elif is_sure or (is_name(*found[:2]) and grade(*found[:2]) == DANGEROUS):
            yield from _judged(piece.where, found.module, found.name)
    if read.fault and number == 0 and (piece.is_named or (read.has_start and not piece.where)):
        text = f"The pickle data cannot be followed to its end: {read.fault}."
        yield _UNREADABLE, piece.where, text, text
    if depth < _DEEPEST:
        for data in read.nested:
            yield from _claims("nested.pkl", BytesIO(data), piece.where, depth + 1)
        for data in read.carried if is_sure else ():
            yield from _carried(data, piece.where, depth + 1)


def _carried(data: bytes, where: str, depth: int) -> Iterator[_Claim]:
    """Yield what a pickle that lies in another one as bytes would do to who unpacks it."""
    for rule, inside, what, _ in _claims("nested", BytesIO(data), where, depth):
        if rule in (_DANGEROUS, _UNUSUAL):
            text = f"This file carries a second pickle as bytes, which imports {what}."
            yield _UNUSUAL, inside, what, text


def _judged(where: str, module: str, name: str) -> Iterator[_Claim]:
    level = grade(module, name)
    if level == HARMLESS:
        return
    what = f"{module}.{name}"
    verdict = _VERDICTS.get(level, "is not known to be harmless")
    yield (
        _RULES.get(level, _UNKNOWN),
        where,
        what,
        f"Loading this file imports {what}, which {verdict}.",
    )
