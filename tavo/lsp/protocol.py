"""The parts of the Language Server Protocol that are read here, as types.

Rules this module keeps:
- what a client sends is checked against these types before anything is done with it; what they do
  not name is ignored, as the protocol asks.

Source: LSP 3.17.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from tavo.lsp.lines import Position, Range

__all__ = [
    "CancelParams", "Client", "CodeActionParams", "CommandParams", "ConfigurationParams",
    "DidChange", "DidChangeFolders", "DidChangeNotebook", "DidChangeWatched", "DidClose",
    "DidCloseNotebook", "DidOpen", "DidOpenNotebook", "DidSave", "DocumentDiagnosticParams",
    "Empty", "InitializeParams", "PositionParams", "ProgressCancelParams", "TextItem", "Token",
    "WorkspaceDiagnosticParams", "client_of",
]  # fmt: skip

Token = int | str


class _Part(msgspec.Struct, frozen=True, rename="camel"):
    pass


class Empty(_Part, frozen=True):
    """Parameters that say nothing."""


class FolderItem(_Part, frozen=True):
    uri: str


class InitializeParams(_Part, frozen=True):
    """What a client says first; its capabilities are read one by one."""

    capabilities: dict[str, Any] = {}
    root_uri: str | None = None
    workspace_folders: list[FolderItem] | None = None
    initialization_options: Any = None


class TextItem(_Part, frozen=True):
    """A document with its text."""

    uri: str
    text: str
    version: int = 0
    language_id: str = ""


class Identifier(_Part, frozen=True):
    uri: str


class Versioned(_Part, frozen=True):
    uri: str
    version: int | None = None


class Change(_Part, frozen=True):
    """A text in the place of a range, or of everything."""

    text: str
    range: Range | None = None


class DidOpen(_Part, frozen=True):
    text_document: TextItem


class DidChange(_Part, frozen=True):
    text_document: Versioned
    content_changes: list[Change]


class DidClose(_Part, frozen=True):
    text_document: Identifier


class DidSave(_Part, frozen=True):
    text_document: Identifier


class Cell(_Part, frozen=True):
    """A cell of a notebook: kind 2 is code."""

    kind: int
    document: str


class NotebookItem(_Part, frozen=True):
    uri: str
    version: int = 0
    cells: list[Cell] = []


class DidOpenNotebook(_Part, frozen=True):
    notebook_document: NotebookItem
    cell_text_documents: list[TextItem] = []


class CellArray(_Part, frozen=True):
    start: int
    delete_count: int
    cells: list[Cell] = []


class CellStructure(_Part, frozen=True):
    array: CellArray
    did_open: list[TextItem] = []
    did_close: list[Identifier] = []


class CellText(_Part, frozen=True):
    document: Versioned
    changes: list[Change]


class CellChanges(_Part, frozen=True):
    structure: CellStructure | None = None
    text_content: list[CellText] = []


class NotebookChange(_Part, frozen=True):
    cells: CellChanges | None = None


class DidChangeNotebook(_Part, frozen=True):
    notebook_document: Versioned
    change: NotebookChange


class DidCloseNotebook(_Part, frozen=True):
    notebook_document: Identifier
    cell_text_documents: list[Identifier] = []


class FileEvent(_Part, frozen=True):
    uri: str
    type: int = 2


class DidChangeWatched(_Part, frozen=True):
    changes: list[FileEvent]


class FoldersEvent(_Part, frozen=True):
    added: list[FolderItem] = []
    removed: list[FolderItem] = []


class DidChangeFolders(_Part, frozen=True):
    event: FoldersEvent


class ConfigurationParams(_Part, frozen=True):
    settings: Any = None


class PositionParams(_Part, frozen=True):
    text_document: Identifier
    position: Position


class DiagnosticItem(_Part, frozen=True):
    """A diagnostic as the client gives it back."""

    range: Range
    source: str = ""
    code: Any = None
    data: Any = None


class ActionContext(_Part, frozen=True):
    diagnostics: list[DiagnosticItem] = []
    only: list[str] | None = None


class CodeActionParams(_Part, frozen=True):
    text_document: Identifier
    range: Range
    context: ActionContext = ActionContext()


class DocumentDiagnosticParams(_Part, frozen=True):
    text_document: Identifier
    previous_result_id: str | None = None


class PreviousResult(_Part, frozen=True):
    uri: str
    value: str


class WorkspaceDiagnosticParams(_Part, frozen=True):
    previous_result_ids: list[PreviousResult] = []
    work_done_token: Token | None = None
    partial_result_token: Token | None = None


class CommandParams(_Part, frozen=True):
    command: str
    arguments: list[Any] = []
    work_done_token: Token | None = None


class CancelParams(_Part, frozen=True):
    id: int | str


class ProgressCancelParams(_Part, frozen=True):
    token: Token


class Client(msgspec.Struct, frozen=True):
    """What a client can do."""

    encodings: tuple[str, ...] = ()
    pulls: bool = False
    refreshes: bool = False
    related: bool = False
    described: bool = False
    versions: bool = False
    literals: bool = False
    resolves: bool = False
    edits_versions: bool = False
    progress: bool = False
    configuration: bool = False
    watches: bool = False
    markup: Literal["markdown", "plaintext"] = "plaintext"


def client_of(capabilities: dict[str, Any]) -> Client:
    """Return what the capabilities of a client mean here; odd ones count as missing."""

    def at(path: str) -> Any:
        value: Any = capabilities
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def names(path: str) -> tuple[str, ...]:
        value = at(path)
        return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()

    push, action = "textDocument.publishDiagnostics", "textDocument.codeAction"
    formats = names("textDocument.hover.contentFormat")
    return Client(
        encodings=names("general.positionEncodings"),
        pulls=isinstance(at("textDocument.diagnostic"), dict),
        refreshes=at("workspace.diagnostics.refreshSupport") is True,
        related=at(f"{push}.relatedInformation") is True
        or at("textDocument.diagnostic.relatedInformation") is True,
        described=at(f"{push}.codeDescriptionSupport") is True
        or at("textDocument.diagnostic.codeDescriptionSupport") is True,
        versions=at(f"{push}.versionSupport") is True,
        literals=isinstance(at(f"{action}.codeActionLiteralSupport"), dict),
        resolves=at(f"{action}.dataSupport") is True
        and "edit" in names(f"{action}.resolveSupport.properties"),
        edits_versions=at("workspace.workspaceEdit.documentChanges") is True,
        progress=at("window.workDoneProgress") is True,
        configuration=at("workspace.configuration") is True,
        watches=at("workspace.didChangeWatchedFiles.dynamicRegistration") is True,
        markup="markdown" if "markdown" in formats else "plaintext",
    )
