"""What the server answers about open documents: diagnostics, hover, code actions.

Rules this module keeps:
- an edit is made for the text that is there now, and says its version where the client can tell;
- what a client hands back of a diagnostic is a hint which finding it was, never an edit by itself.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import Any

import msgspec

from tavo.lsp.checking import Checking
from tavo.lsp.documents import Document, Documents, Spot, Subject
from tavo.lsp.editor import Editor
from tavo.lsp.exchange import Insertion
from tavo.lsp.findings import Known, Shown, span_of
from tavo.lsp.lines import Position, Range, Span
from tavo.lsp.options import Noise
from tavo.lsp.places import Folder
from tavo.lsp.protocol import CodeActionParams
from tavo.lsp.surveying import Surveying
from tavo.lsp.telling import (
    comment_line,
    diagnostic,
    edit_of,
    help_text,
    problem_diagnostic,
    range_in,
)
from tavo.plugins import Location, Severity
from tavo.scan.results import Hit

__all__ = ["Answers", "result_id"]

_QUICK_FIX = "quickfix"
_RULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_MOST_ACTIONS = 40
_MOST_DIAGNOSTICS = 1_000
_LINE_END = 1 << 30


class _IgnoreData(msgspec.Struct, frozen=True):
    """What a code action carries until it is chosen."""

    uri: str
    rule: str
    line: int


class Answers:
    """Reads what is known; changes nothing."""

    def __init__(
        self, editor: Editor, documents: Documents, checking: Checking, surveying: Surveying,
        noise_of: Callable[[Folder | None], Noise],
    ) -> None:  # fmt: skip
        self._editor = editor
        self._documents = documents
        self._checking = checking
        self._surveying = surveying
        self._noise_of = noise_of

    # -- diagnostics

    def diagnostics(self, subject: Subject) -> dict[str, list[dict[str, Any]]]:
        """Return the diagnostics of each document that a subject consists of."""
        found: dict[str, list[dict[str, Any]]] = {one.uri: [] for one in subject.members}
        for one in self._shown(subject):
            wanted = found.get(one.spot.uri)
            if wanted is not None and len(wanted) < _MOST_DIAGNOSTICS:
                wanted.append(diagnostic(one, self._editor.client, self._locator(subject)))
        problems = self._known(subject).problems if found else ()
        if problems and self._noise_of(subject.name.folder).min_severity <= Severity.LOW:
            for problem in problems:
                line = comment_line(problem)
                spot = None if line is None else subject.spot(Span(line, 1, line, _LINE_END))
                if spot is None or spot.uri not in found:
                    found[next(iter(found))].append(problem_diagnostic(problem))
                else:
                    found[spot.uri].append(problem_diagnostic(problem, spot.range))
        return found

    def diagnostics_of_file(self, folder: Folder, relative: PurePosixPath) -> list[dict[str, Any]]:
        """Return the diagnostics of a file that is not open, as the last round saw it."""
        own = self._surveying.own.get(folder, {}).get(relative)
        hits: list[Hit] = [] if own is None else list(own.hits)
        hits += self._surveying.far.get(folder, {}).get(relative, [])
        noise = self._noise_of(folder)
        found = []
        seen = set()
        for hit in hits[:_MOST_DIAGNOSTICS]:
            rule = self._surveying.rules.get(hit.finding.rule_id)
            if hit.ignore is not None or rule is None or hit.key in seen:
                continue
            if hit.finding.severity < noise.min_severity:
                continue
            seen.add(hit.key)
            where = range_in(hit.finding.location, self._documents.encoding)
            spot = Spot(folder.uri_of(relative), where)
            shown = Shown(":".join(map(str, hit.key)), hit.finding, rule, spot)
            found.append(diagnostic(shown, self._editor.client, self._locator_in(folder)))
        if own is not None and noise.min_severity <= Severity.LOW:
            found += [problem_diagnostic(problem) for problem in own.problems]
        return found

    def files(self) -> list[tuple[Folder, PurePosixPath]]:
        """Return the files of which the last round has something to say."""
        found: dict[tuple[Folder, PurePosixPath], None] = {}
        for folder, own in self._surveying.own.items():
            found.update(((folder, path), None) for path in own)
        for folder, far in self._surveying.far.items():
            found.update(((folder, path), None) for path in far)
        return sorted(found, key=lambda one: (one[0].uri, str(one[1])))

    # -- hover

    def hover(self, document: Document, position: Position) -> dict[str, Any] | None:
        """Return the help for the findings at a position."""
        subject = self._documents.subject(document.uri)
        if subject is None:
            return None
        at = Range(position, position)
        here = [
            one for one in self._shown(subject)
            if one.spot.uri == document.uri and one.spot.range.touches(at)
        ]  # fmt: skip
        return help_text(here, self._editor.client)

    # -- code actions

    def actions(self, params: CodeActionParams, then: Callable[[Any], None]) -> None:
        """Call `then` with the code actions for a range."""
        document = self._documents.document(params.text_document.uri)
        subject = self._documents.subject(params.text_document.uri)
        only = params.context.only
        if document is None or subject is None or not _is_wanted(only):
            then([])
            return
        chosen = self._chosen(subject, document, params)
        if not self._editor.client.literals:
            then([])
            return
        fixable = (one for one in chosen if one.finding.fix is not None)
        actions = [self._fix(one, document, subject) for one in fixable]
        ignoring = [(self._ignore(one, subject), one) for one in chosen]
        if self._editor.client.resolves:
            then([*actions, *(action for action, _ in ignoring)])
            return
        self._with_edits(document, subject, ignoring, actions, then)

    def resolve(
        self, action: dict[str, Any], then: Callable[[dict[str, Any] | None], None]
    ) -> None:
        """Call `then` with an action and its edit; with None if that cannot be done any more."""
        try:
            data = msgspec.convert(action.get("data"), _IgnoreData)
        except msgspec.ValidationError:
            then(None)
            return
        document = self._documents.document(data.uri)
        if document is None or not _is_rule(data.rule):
            then(None)
            return

        def placed(edit: dict[str, Any] | None) -> None:
            if edit is None:
                disabled = {"reason": "no comment can stand here that would count"}
                then({**action, "disabled": disabled})
            else:
                then({**action, "edit": edit})

        self._place(document, data.rule, data.line, placed)

    def _with_edits(
        self, document: Document, subject: Subject,
        ignoring: list[tuple[dict[str, Any], Shown]], actions: list[dict[str, Any]],
        then: Callable[[Any], None],
    ) -> None:  # fmt: skip
        """Fill in the edits of actions one after the other, for a client that asks only once."""
        if not ignoring:
            then(actions)
            return
        (action, one), rest = ignoring[0], ignoring[1:]
        del action["data"]

        def placed(edit: dict[str, Any] | None) -> None:
            more = [] if edit is None else [{**action, "edit": edit}]
            self._with_edits(document, subject, rest, [*actions, *more], then)

        self._place(document, one.rule.id, one.spot.range.start.line, placed)

    def _chosen(
        self, subject: Subject, document: Document, params: CodeActionParams
    ) -> list[Shown]:
        """Return the findings that are meant: those handed back, else those in the range."""
        here = [one for one in self._shown(subject) if one.spot.uri == document.uri]
        keys = {
            item.data["finding"]
            for item in params.context.diagnostics
            if isinstance(item.data, dict) and isinstance(item.data.get("finding"), str)
        }
        meant = [one for one in here if one.key in keys]
        if not meant:
            meant = [one for one in here if one.spot.range.touches(params.range)]
        return meant[:_MOST_ACTIONS]

    def _fix(self, one: Shown, document: Document, subject: Subject) -> dict[str, Any]:
        edit = {"range": one.spot.range, "newText": one.finding.fix}
        return {
            "title": f"tavo: fix {one.rule.id}",
            "kind": _QUICK_FIX,
            "isPreferred": True,
            "diagnostics": [diagnostic(one, self._editor.client, self._locator(subject))],
            "edit": edit_of(document.uri, document.version, [edit], self._editor.client),
        }

    def _ignore(self, one: Shown, subject: Subject) -> dict[str, Any]:
        data = _IgnoreData(one.spot.uri, one.rule.id, one.spot.range.start.line)
        return {
            "title": f"tavo: ignore {one.rule.id} here, with a reason",
            "kind": _QUICK_FIX,
            "diagnostics": [diagnostic(one, self._editor.client, self._locator(subject))],
            "data": msgspec.to_builtins(data),
        }

    def _place(
        self, document: Document, rule: str, line: int,
        then: Callable[[dict[str, Any] | None], None],
    ) -> None:  # fmt: skip
        """Find out where the comment goes; the line is from 0."""
        path = document.name.relative
        if self._documents.subject(document.uri) is not document:
            path = PurePosixPath("cell.py")
        version, pieces = document.version, document.pieces

        def placed(found: Insertion | None) -> None:
            if found is None or document.pieces != pieces:
                then(None)
                return
            at = found.line - 1
            end = pieces[at][len(pieces[at].rstrip("\r\n")) :] if at < len(pieces) else "\n"
            start = document.lines.end_of(at) if found.at_end else Position(at, 0)
            text = found.text.replace("\n", end or "\n")
            edit = {"range": Range(start, start), "newText": text}
            then(edit_of(document.uri, version, [edit], self._editor.client))

        self._checking.ask(path, document.content(), rule, line + 1, placed)

    # -- inside

    def _known(self, subject: Subject) -> Known:
        return self._checking.of(subject)

    def _shown(self, subject: Subject) -> list[Shown]:
        noise = self._noise_of(subject.name.folder)
        rules = {**self._surveying.rules, **self._checking.rules}
        return self._known(subject).shown(subject, rules, least=noise.min_severity)

    def _locator(self, subject: Subject) -> Callable[[Location], tuple[str, Range] | None]:
        folder = subject.name.folder

        def locate(location: Location) -> tuple[str, Range] | None:
            if location.path == subject.name.relative:
                spot = subject.spot(span_of(location))
                return None if spot is None else (spot.uri, spot.range)
            return None if folder is None else self._elsewhere(folder, location)

        return locate

    def _locator_in(self, folder: Folder) -> Callable[[Location], tuple[str, Range] | None]:
        return lambda location: self._elsewhere(folder, location)

    def _elsewhere(self, folder: Folder, location: Location) -> tuple[str, Range]:
        subject = self._documents.at(folder, location.path)
        uri = subject.uri if isinstance(subject, Document) else folder.uri_of(location.path)
        return uri, range_in(location, self._documents.encoding)


def result_id(items: Iterable[dict[str, Any]]) -> str:
    """Return what stands for diagnostics: the same for the same ones."""
    return hashlib.sha256(msgspec.json.encode(list(items))).hexdigest()[:24]


def _is_wanted(only: list[str] | None) -> bool:
    """Tell whether quick fixes are among the kinds of actions that are asked for."""
    return only is None or any(one in (_QUICK_FIX, "") for one in only)


def _is_rule(name: str) -> bool:
    """Tell whether a text that a client handed back can be the id of a rule."""
    return _RULE.fullmatch(name) is not None
