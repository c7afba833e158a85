"""What the client sees without asking, and the requests about whole workspaces.

Rules this module keeps:
- diagnostics are pushed to a client that does not pull them; one that does is told to ask again
  when something has changed that it cannot know of;
- files that are not open are shown when the user asked for the workspace, and taken back when the
  findings are gone;
- a request about the workspace that has nothing new to say stays open until there is something.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tavo.lsp.answers import Answers, result_id
from tavo.lsp.documents import Document, Documents, Subject
from tavo.lsp.editor import Editor
from tavo.lsp.protocol import Token, WorkspaceDiagnosticParams
from tavo.lsp.surveying import Outcome, Surveying

__all__ = ["Watching"]

_TITLE = "tavo: scanning the workspace"


class _Report(msgspec.Struct, frozen=True):
    """A request for the diagnostics of the workspace that waits."""

    number: int | str
    params: WorkspaceDiagnosticParams


class Watching:
    """Pushes, and answers about workspaces."""

    def __init__(
        self, editor: Editor, documents: Documents, surveying: Surveying, answers: Answers
    ) -> None:
        self._editor = editor
        self._documents = documents
        self._surveying = surveying
        self._answers = answers
        self._wants_workspace = False
        self._pushed: set[str] = set()
        self._held: list[_Report] = []
        self._has_reported = False
        self._tokens: dict[int | str, Token] = {}
        self._made = 0

    def publish(self, uri: str, version: int | None, items: list[dict[str, Any]]) -> None:
        """Push the diagnostics of a document."""
        if self._editor.client.pulls and self._documents.document(uri) is not None:
            return
        params: dict[str, Any] = {"uri": uri, "diagnostics": items}
        if version is not None and self._editor.client.versions:
            params["version"] = version
        self._editor.notify("textDocument/publishDiagnostics", params)

    def show(self, subject: Subject) -> None:
        """Push what is known about an open document, unless the client asks for it."""
        if self._editor.client.pulls:
            return
        found = self._answers.diagnostics(subject)
        for document in subject.members:
            self.publish(document.uri, document.version, found.get(document.uri, []))

    def show_far(self, subjects: list[Subject]) -> None:
        """Show what a round over the folders brought for open documents, and for the others."""
        if self._editor.client.pulls:
            if subjects and self._editor.client.refreshes:
                self._editor.ask("workspace/diagnostic/refresh", None)
        else:
            for subject in subjects:
                self.show(subject)
        if self._wants_workspace:
            self._push_files()
        held, self._held = self._held, []
        for one in held:
            self._answer(one)

    def opened(self, document: Document) -> None:
        """Take back what was pushed for a file that is open from now on."""
        folder = document.name.folder
        if folder is None:
            return
        uri = folder.uri_of(document.name.relative)
        if uri in self._pushed:
            self._pushed.discard(uri)
            self._editor.notify("textDocument/publishDiagnostics", {"uri": uri, "diagnostics": []})

    def closed(self, document: Document) -> None:
        """Take back what was pushed for a document that was closed."""
        if not self._editor.client.pulls:
            self.publish(document.uri, None, [])

    # -- the workspace

    def report(self, number: int | str, params: WorkspaceDiagnosticParams) -> None:
        """Answer with the diagnostics of all files, now or when there is something new."""
        one = _Report(number, params)
        if self._surveying.is_settled and self._surveying.rounds:
            self._answer(one)
            return
        token = params.work_done_token
        if token is not None:
            self._begin(number, token)
        self._surveying.ask(lambda outcome: self._end(one, outcome), self._stepper(token))

    def _end(self, one: _Report, outcome: Outcome) -> None:
        self._end_progress(one.number, outcome)
        self._answer(one)

    def _answer(self, one: _Report) -> None:
        """Answer, or go on waiting where nothing is different."""
        if not self._editor.is_open(one.number):
            return
        previous = {item.uri: item.value for item in one.params.previous_result_ids}
        items = []
        for folder, relative in self._answers.files():
            if self._documents.at(folder, relative) is not None:
                continue  # the client asks for those that are open
            uri = folder.uri_of(relative)
            found = self._answers.diagnostics_of_file(folder, relative)
            now = result_id(found)
            if previous.pop(uri, None) == now:
                continue
            items.append({"uri": uri, "version": None, "kind": "full", "resultId": now,
                          "items": found})  # fmt: skip
        for uri, value in previous.items():  # nothing is said of it any more
            if (
                value != result_id([])
                and self._documents.subject(uri) is None
                and (not self._is_shown(uri))
            ):
                items.append({"uri": uri, "version": None, "kind": "full",
                              "resultId": result_id([]), "items": []})  # fmt: skip
        if not items and self._has_reported and self._surveying.is_settled:
            self._held.append(one)
            return
        self._has_reported = True
        self._editor.answer(one.number, {"items": items})

    def _is_shown(self, uri: str) -> bool:
        return any(f.uri_of(path) == uri for f, path in self._answers.files())

    def scan(self, number: int | str, token: Token | None) -> None:
        """Look at the whole workspace and show what was found."""
        self._wants_workspace = True
        if token is None and self._editor.client.progress:
            self._made += 1
            token = made = f"tavo-scan-{self._made}"
            self._editor.ask(
                "window/workDoneProgress/create", {"token": made},
                lambda _: self._begin(number, made),
            )  # fmt: skip
        elif token is not None:
            self._begin(number, token)

        def end(outcome: Outcome) -> None:
            self._end_progress(number, outcome)
            self._push_files()
            self._editor.warn(one for one in outcome.problems if not one.endswith("stopped"))
            self._editor.answer(number, msgspec.to_builtins(outcome))

        self._surveying.ask(end, self._stepper(token))

    def cancelled(self, number: int | str) -> None:
        """Stop the scan that only a cancelled request waited for."""
        self._held = [one for one in self._held if one.number != number]
        if number in self._tokens:
            self._surveying.stop()

    def cancel_progress(self, token: Token) -> None:
        """Stop the scan that the user stopped in the editor's display."""
        if token in self._tokens.values():
            self._surveying.stop()

    def _push_files(self) -> None:
        """Push the diagnostics of files that are not open; a client that pulls asks for them."""
        if self._editor.client.pulls:
            if self._editor.client.refreshes:
                self._editor.ask("workspace/diagnostic/refresh", None)
            return
        now: set[str] = set()
        for folder, relative in self._answers.files():
            if self._documents.at(folder, relative) is not None:
                continue
            found = self._answers.diagnostics_of_file(folder, relative)
            uri = folder.uri_of(relative)
            if found:
                now.add(uri)
                self.publish(uri, None, found)
        for uri in self._pushed - now:
            self.publish(uri, None, [])
        self._pushed = now

    # -- progress

    def _begin(self, number: int | str, token: Token) -> None:
        if not self._editor.is_open(number):
            return
        self._tokens[number] = token
        self._editor.progress(
            token, {"kind": "begin", "title": _TITLE, "cancellable": True, "percentage": 0}
        )

    def _stepper(self, token: Token | None) -> Any:
        if token is None:
            return None

        def step(folder: str, done: int, of: int) -> None:
            if token not in self._tokens.values():
                return
            self._editor.progress(token, {
                "kind": "report", "message": f"{folder}: {done} of {of} files",
                "percentage": 100 * done // max(of, 1),
            })  # fmt: skip

        return step

    def _end_progress(self, number: int | str, outcome: Outcome) -> None:
        token = self._tokens.pop(number, None)
        if token is None:
            return
        state = "" if outcome.complete else ", not complete"
        message = f"{outcome.files} files, {outcome.findings} findings{state}"
        self._editor.progress(token, {"kind": "end", "message": message})
