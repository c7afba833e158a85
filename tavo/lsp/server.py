"""The editor server: what each message of the protocol does.

Rules this module keeps:
- the order of the protocol is kept: nothing before `initialize`, nothing after `shutdown` but
  `exit`; what is wrong with one message is answered and changes nothing else;
- it does no I/O: messages go in and out as values, and the clock comes in as an argument;
- with a client that asks for diagnostics nothing is pushed for open documents.

Source: LSP 3.17.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from tavo import __version__
from tavo.errors import ExitCode
from tavo.lsp import protocol as p
from tavo.lsp.answers import Answers, result_id
from tavo.lsp.checking import Checking
from tavo.lsp.desk import Desk, News
from tavo.lsp.documents import Document, Documents, Subject
from tavo.lsp.editor import Editor
from tavo.lsp.hiding import Hiding
from tavo.lsp.lines import ENCODINGS
from tavo.lsp.options import UserOptions
from tavo.lsp.places import folder_of
from tavo.lsp.surveying import UNSAVED_S, Surveying
from tavo.lsp.watching import Watching
from tavo.lsp.wire import ErrorCode, Message, MessageError, decode_message

__all__ = ["SCAN_WORKSPACE", "Server"]

SCAN_WORKSPACE = "tavo.scanWorkspace"
_MOST_FOLDERS = 64


class Server:
    """One session with an editor. `exit_code` is set when it is over."""

    def __init__(
        self, options: UserOptions, send: Callable[[Any], None], *, clock: Callable[[], float],
        analyst: Desk, surveyor: Desk,
    ) -> None:  # fmt: skip
        self._hiding = Hiding(options)
        self._analyst, self._surveyor = analyst, surveyor
        self._editor = Editor(send)
        self._documents = Documents()
        self._checking = Checking(
            analyst, self._documents, largest=options.largest, clock=clock, news=self._changed
        )
        self._checking.hides = self._hiding.hides
        self._surveying = Surveying(
            surveyor, self._documents, most=options.most_files, clock=clock,
            noise=self._hiding.of, news=self._changed_far, say=self._editor.log,
        )  # fmt: skip
        self._surveying.largest = options.largest
        self._surveying.take = lambda subject, pieces, hits: self._checking.of(
            subject
        ).look_together(pieces, hits)
        self._answers = Answers(
            self._editor, self._documents, self._checking, self._surveying, self._hiding.of
        )
        self._watching = Watching(self._editor, self._documents, self._surveying, self._answers)
        self._state = "new"
        self.exit_code: int | None = None
        self._requests: dict[str, Callable[[int | str, msgspec.Raw], None]] = {
            "initialize": self._initialize,
            "shutdown": self._shutdown,
            "textDocument/diagnostic": self._diagnostic,
            "textDocument/hover": self._hover,
            "textDocument/codeAction": self._code_action,
            "codeAction/resolve": self._resolve,
            "workspace/diagnostic": self._workspace_diagnostic,
            "workspace/executeCommand": self._command,
        }
        self._notices: dict[str, Callable[[msgspec.Raw], None]] = {
            "initialized": self._initialized,
            "textDocument/didOpen": self._did_open,
            "textDocument/didChange": self._did_change,
            "textDocument/didSave": self._did_save,
            "textDocument/didClose": self._did_close,
            "notebookDocument/didOpen": self._did_open_notebook,
            "notebookDocument/didChange": self._did_change_notebook,
            "notebookDocument/didSave": lambda _: self._surveying.plan(),
            "notebookDocument/didClose": self._did_close_notebook,
            "workspace/didChangeConfiguration": self._did_change_configuration,
            "workspace/didChangeWatchedFiles": self._did_change_watched,
            "workspace/didChangeWorkspaceFolders": self._did_change_folders,
            "window/workDoneProgress/cancel": self._cancel_progress,
        }

    # -- the outside

    @property
    def is_shut_down(self) -> bool:
        """Tell whether the client has said that it will leave."""
        return self._state == "shutdown"

    @property
    def due(self) -> float | None:
        """Return when `tick` has to be called next."""
        times = [one for one in (self._checking.due, self._surveying.due) if one is not None]
        return min(times, default=None)

    def tick(self) -> None:
        """Do what is due."""
        if self._state == "ready":
            self._checking.tick()
            self._surveying.tick()

    def hear(self, news: News) -> None:
        """Take what one of the two processes says."""
        if not news.desk.is_news(news):
            return
        if news.desk is self._analyst:
            self._checking.hear(news)
        else:
            self._surveying.hear(news)

    def receive(self, body: bytes) -> None:
        """Do what a message of the client says."""
        try:
            message = decode_message(body)
        except MessageError as error:
            self._editor.refuse(None, error.code, str(error))
            return
        if message.method is None:
            self._editor.answered(message)
        elif message.id is None:
            self._notice(message.method, message.params)
        else:
            self._request(message, message.id, message.method)

    def _request(self, message: Message, number: int | str, method: str) -> None:
        editor = self._editor
        if not editor.begin(number):
            editor.refuse(None, ErrorCode.INVALID_REQUEST, "the id of the request is in use")
            return
        known = self._requests.get(method)
        if self._state == "new" and method != "initialize":
            editor.refuse(number, ErrorCode.NOT_INITIALIZED, "the first request is initialize")
        elif self._state == "shutdown" or (self._state == "ready" and method == "initialize"):
            editor.refuse(number, ErrorCode.INVALID_REQUEST, f"{method} cannot come now")
        elif known is None:
            editor.refuse(number, ErrorCode.METHOD_NOT_FOUND, f"{method} is not served here")
        else:
            try:
                known(number, message.params)
            except (msgspec.ValidationError, RecursionError, ValueError) as error:
                editor.refuse(number, ErrorCode.INVALID_PARAMS, f"{method}: {error}")

    def _notice(self, method: str, params: msgspec.Raw) -> None:
        if method == "exit":
            self.exit_code = ExitCode.OK if self.is_shut_down else ExitCode.FINDINGS
            return
        try:
            if method == "$/cancelRequest" and self._state != "new":
                self._cancel(params)
            elif self._state == "ready" and method in self._notices:
                self._notices[method](params)
        except (msgspec.ValidationError, RecursionError, ValueError) as error:
            self._editor.log(f"{method}: it was not understood: {error}")

    # -- the beginning and the end

    def _initialize(self, number: int | str, params: msgspec.Raw) -> None:
        said = msgspec.json.decode(params, type=p.InitializeParams)
        client = self._editor.client = p.client_of(said.capabilities)
        named = [one for one in ENCODINGS if one in client.encodings]
        self._documents.encoding = named[0] if named else "utf-16"
        folders = [one.uri for one in said.workspace_folders or ()]
        if not folders and said.root_uri:
            folders = [said.root_uri]
        self._state = "ready"
        self._add_folders(folders)
        notes = self._hiding.take_client(said.initialization_options)
        self._analyst.start()
        self._editor.answer(number, {
            "capabilities": self._capabilities(),
            "serverInfo": {"name": "tavo", "version": __version__},
        })  # fmt: skip
        self._editor.warn(notes)

    def _capabilities(self) -> dict[str, Any]:
        code = [{"language": "python"}]
        return {
            "positionEncoding": self._documents.encoding,
            "textDocumentSync": {
                "openClose": True, "change": 2, "save": {"includeText": False},
            },
            "notebookDocumentSync": {
                "notebookSelector": [{"notebook": {"notebookType": "jupyter-notebook"},
                                      "cells": code}],
                "save": True,
            },
            "hoverProvider": True,
            "codeActionProvider": {"codeActionKinds": ["quickfix"], "resolveProvider": True},
            "diagnosticProvider": {
                "identifier": "tavo", "interFileDependencies": True,
                "workspaceDiagnostics": True, "workDoneProgress": True,
            },
            "executeCommandProvider": {"commands": [SCAN_WORKSPACE], "workDoneProgress": True},
            "workspace": {
                "workspaceFolders": {"supported": True, "changeNotifications": True},
            },
        }  # fmt: skip

    def _initialized(self, _: msgspec.Raw) -> None:
        client = self._editor.client
        if client.watches:
            patterns = ["**/*.{py,pyi,pyw,ipynb,js,jsx,mjs,cjs,ts,tsx,mts,cts}", "**/tavo.toml"]
            self._editor.ask("client/registerCapability", {"registrations": [{
                "id": "tavo-files", "method": "workspace/didChangeWatchedFiles",
                "registerOptions": {"watchers": [{"globPattern": one} for one in patterns]},
            }]})  # fmt: skip
        self._ask_configuration()
        self._surveying.plan()

    def _shutdown(self, number: int | str, _: msgspec.Raw) -> None:
        self._state = "shutdown"
        self._surveying.stop()
        self._editor.answer(number, None)

    # -- documents

    def _did_open(self, params: msgspec.Raw) -> None:
        item = msgspec.json.decode(params, type=p.DidOpen).text_document
        document = self._documents.open(item)
        if document is None:
            self._editor.warn(["too many or too large documents are open: not all are looked at"])
            return
        self._touch(document)
        self._watching.opened(document)
        self._surveying.plan()

    def _did_change(self, params: msgspec.Raw) -> None:
        said = msgspec.json.decode(params, type=p.DidChange)
        document = self._documents.document(said.text_document.uri)
        subject = self._documents.subject(said.text_document.uri)
        if document is None or subject is None:
            return
        document.change(said.text_document.version, said.content_changes)
        self._touch(subject)
        self._surveying.plan(UNSAVED_S)

    def _did_save(self, params: msgspec.Raw) -> None:
        said = msgspec.json.decode(params, type=p.DidSave)
        if said.text_document.uri.endswith("tavo.toml"):
            self._read_projects()
        self._surveying.plan()

    def _did_close(self, params: msgspec.Raw) -> None:
        uri = msgspec.json.decode(params, type=p.DidClose).text_document.uri
        document = self._documents.close(uri)
        if document is not None:
            self._checking.forget(uri)
            self._watching.closed(document)
            self._surveying.plan()

    def _did_open_notebook(self, params: msgspec.Raw) -> None:
        said = msgspec.json.decode(params, type=p.DidOpenNotebook)
        item = said.notebook_document
        notebook = self._documents.open_notebook(item.uri, item.version, item.cells)
        added = [self._documents.add_cell(notebook, one) for one in said.cell_text_documents]
        if not all(added):
            self._editor.warn(["too many or too large documents are open: not all are looked at"])
        self._touch(notebook)
        self._surveying.plan()

    def _did_change_notebook(self, params: msgspec.Raw) -> None:
        said = msgspec.json.decode(params, type=p.DidChangeNotebook)
        notebook = self._documents.subject(said.notebook_document.uri)
        if notebook is None or isinstance(notebook, Document) or said.change.cells is None:
            return
        for uri in self._documents.change_cells(notebook, said.change.cells):
            self._watching.publish(uri, None, [])
        self._touch(notebook)
        self._surveying.plan(UNSAVED_S)

    def _did_close_notebook(self, params: msgspec.Raw) -> None:
        said = msgspec.json.decode(params, type=p.DidCloseNotebook)
        for uri in self._documents.close_notebook(said.notebook_document.uri):
            self._watching.publish(uri, None, [])
        self._checking.forget(said.notebook_document.uri)
        self._surveying.plan()

    def _touch(self, subject: Subject) -> None:
        self._checking.touch(subject, at_once=subject.uri not in self._checking.known)

    # -- requests

    def _diagnostic(self, number: int | str, params: msgspec.Raw) -> None:
        said = msgspec.json.decode(params, type=p.DocumentDiagnosticParams)
        uri = said.text_document.uri
        subject = self._documents.subject(uri)
        if subject is None:
            self._editor.answer(number, {"kind": "full", "items": []})
            return

        def answer() -> None:
            items = self._answers.diagnostics(subject).get(uri, [])
            now = result_id(items)
            if now == said.previous_result_id:
                self._editor.answer(number, {"kind": "unchanged", "resultId": now})
            else:
                self._editor.answer(number, {"kind": "full", "resultId": now, "items": items})

        self._checking.when_current(subject, answer)

    def _hover(self, number: int | str, params: msgspec.Raw) -> None:
        said = msgspec.json.decode(params, type=p.PositionParams)
        document = self._documents.document(said.text_document.uri)
        found = None if document is None else self._answers.hover(document, said.position)
        self._editor.answer(number, found)

    def _code_action(self, number: int | str, params: msgspec.Raw) -> None:
        said = msgspec.json.decode(params, type=p.CodeActionParams)
        subject = self._documents.subject(said.text_document.uri)
        if subject is None:
            self._editor.answer(number, [])
            return
        self._checking.when_current(
            subject,
            lambda: self._answers.actions(said, lambda found: self._editor.answer(number, found)),
        )

    def _resolve(self, number: int | str, params: msgspec.Raw) -> None:
        action = msgspec.json.decode(params, type=dict[str, Any])

        def answer(found: dict[str, Any] | None) -> None:
            if found is None:
                self._editor.refuse(
                    number, ErrorCode.REQUEST_FAILED,
                    "this action is not one of tavo's, or its document is closed",
                )  # fmt: skip
            else:
                self._editor.answer(number, found)

        self._answers.resolve(action, answer)

    def _workspace_diagnostic(self, number: int | str, params: msgspec.Raw) -> None:
        said = msgspec.json.decode(params, type=p.WorkspaceDiagnosticParams)
        self._watching.report(number, said)

    def _command(self, number: int | str, params: msgspec.Raw) -> None:
        said = msgspec.json.decode(params, type=p.CommandParams)
        if said.command != SCAN_WORKSPACE:
            text = f"the command {said.command[:60]!r} is not known; {SCAN_WORKSPACE} is"
            self._editor.refuse(number, ErrorCode.INVALID_PARAMS, text)
            return
        self._watching.scan(number, said.work_done_token)

    def _cancel(self, params: msgspec.Raw) -> None:
        number = msgspec.json.decode(params, type=p.CancelParams).id
        self._editor.cancel(number)
        self._watching.cancelled(number)

    def _cancel_progress(self, params: msgspec.Raw) -> None:
        said = msgspec.json.decode(params, type=p.ProgressCancelParams)
        self._watching.cancel_progress(said.token)

    # -- settings and folders

    def _did_change_configuration(self, params: msgspec.Raw) -> None:
        if self._editor.client.configuration:
            self._ask_configuration()
        else:
            self._take_settings(msgspec.json.decode(params, type=p.ConfigurationParams).settings)

    def _ask_configuration(self) -> None:
        if not self._editor.client.configuration:
            return

        def take(answer: Any) -> None:
            if isinstance(answer, list) and answer and answer[0]:
                self._take_settings(answer[0])

        self._editor.ask("workspace/configuration", {"items": [{"section": "tavo"}]}, take)

    def _take_settings(self, settings: Any) -> None:
        self._editor.warn(self._hiding.take_client(settings))
        self._look_again()

    def _did_change_watched(self, params: msgspec.Raw) -> None:
        said = msgspec.json.decode(params, type=p.DidChangeWatched)
        if any(one.uri.endswith("/tavo.toml") for one in said.changes):
            self._read_projects()
        self._surveying.plan()

    def _did_change_folders(self, params: msgspec.Raw) -> None:
        event = msgspec.json.decode(params, type=p.DidChangeFolders).event
        gone = {one.uri for one in event.removed}
        self._documents.folders[:] = [f for f in self._documents.folders if f.uri not in gone]
        self._add_folders([one.uri for one in event.added])
        self._documents.rename()
        self._look_again()
        self._surveying.plan()

    def _add_folders(self, uris: list[str]) -> None:
        for uri in uris:
            folder = folder_of(uri)
            if folder is None:
                self._editor.log(f"{uri[:200]}: no folder of this machine, so it is not looked at")
            elif len(self._documents.folders) >= _MOST_FOLDERS:
                self._editor.log(f"more than {_MOST_FOLDERS} folders: {uri[:200]} is left out")
            elif folder not in self._documents.folders:
                self._documents.folders.append(folder)
        self._read_projects()

    def _read_projects(self) -> None:
        for note in self._hiding.read_projects(self._documents.folders):
            self._editor.log(note)
        self._look_again()

    def _look_again(self) -> None:
        for subject in self._documents.subjects:
            self._checking.touch(subject, at_once=True)

    # -- news

    def _changed(self, uri: str) -> None:
        subject = self._documents.subject(uri)
        if subject is not None:
            self._watching.show(subject)

    def _changed_far(self, subjects: list[Subject]) -> None:
        self._watching.show_far(subjects)
