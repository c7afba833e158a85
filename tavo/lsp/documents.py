"""What is open in the editor: documents, and notebooks made of them, each as one text to look at.

Rules this module keeps:
- the client's word counts, never the disk, for everything that is open;
- what is open is bounded in number and size; what is beyond is not looked at, and named;
- a notebook is looked at as one, from its first cell to its last, because a name of one cell means
  the same in those below; what is found is said at its cell.

Units: sizes in characters.
"""

from __future__ import annotations

import codecs
import json
from pathlib import PurePosixPath

import msgspec

from tavo.lsp.lines import Encoding, Lines, Range, Span
from tavo.lsp.places import Folder, Name, name_of
from tavo.lsp.protocol import Cell, CellChanges, Change, TextItem

__all__ = ["Document", "Documents", "Notebook", "Spot", "Subject"]

_MOST_OPEN = 4_000
_MOST_TEXT = 256 << 20


class Spot(msgspec.Struct, frozen=True):
    """A place in a document: its URI, and the range."""

    uri: str
    range: Range


class Document:
    """An open document."""

    def __init__(self, item: TextItem, encoding: Encoding, name: Name) -> None:
        self.uri = item.uri
        self.language = item.language_id
        self.version: int = item.version
        self.name = name
        self.lines = Lines(item.text, encoding)
        self.size = len(item.text)
        self._encoding = encoding

    def change(self, version: int | None, changes: list[Change]) -> None:
        """Apply changes one after the other."""
        for one in changes:
            if one.range is None:
                self.lines = Lines(one.text, self._encoding)
                self.size = len(one.text)
            else:
                self.lines.change(one.range, one.text)
                self.size += len(one.text)  # at most
        self.version = self.version + 1 if version is None else version

    @property
    def members(self) -> tuple[Document, ...]:
        """Return the documents whose diagnostics are made of this."""
        return (self,)

    @property
    def pieces(self) -> tuple[str, ...]:
        """Return the lines that spans are about."""
        return self.lines.pieces

    def content(self) -> bytes:
        """Return the text as a file would hold it; the mark says that it is UTF-8."""
        text = self.lines.text
        self.size, text = len(text), text.removeprefix("\ufeff")
        return codecs.BOM_UTF8 + text.encode("utf-8", "replace")

    def spot(self, span: Span) -> Spot | None:
        """Return where a finding's span is."""
        return Spot(self.uri, self.lines.range_of(span))


class Notebook:
    """An open notebook: its cells, each a document."""

    def __init__(self, uri: str, version: int, name: Name) -> None:
        self.uri = uri
        self.version = version
        self.name = Name(name.relative.with_suffix(".ipynb"), name.folder)
        self.cells: list[Cell] = []
        self.documents: dict[str, Document] = {}

    @property
    def members(self) -> tuple[Document, ...]:
        """Return the documents whose diagnostics are made of this."""
        return tuple(self.documents[c.document] for c in self.cells if c.document in self.documents)

    @property
    def pieces(self) -> tuple[str, ...]:
        """Return the lines that spans are about: those of the notebook as a file."""
        return tuple(self._written()[0])

    def content(self) -> bytes:
        """Return the notebook as a file in the notebook format, a line of code on each line."""
        return "".join(self._written()[0]).encode("utf-8", "replace")

    def spot(self, span: Span) -> Spot | None:
        """Return the place in a cell that a span of the file is about, None for none."""
        written, origin = self._written()
        first, last = (origin.get(line) for line in (span.start_line, span.end_line))
        if first is None:
            return None
        document, line = first
        start = _column(written[span.start_line - 1], span.start_column)
        if last is not None and last[0] is document:
            end_line, end = last[1], _column(written[span.end_line - 1], span.end_column)
        else:
            end_line, end = line, start
        where = document.lines.range_of(Span(line, start, end_line, end))
        return Spot(document.uri, where)

    def _written(self) -> tuple[list[str], dict[int, tuple[Document, int]]]:
        """Return the file's lines, and the cell and its line, from 1, that some of them hold."""
        lines = ['{"cells": [\n']
        origin: dict[int, tuple[Document, int]] = {}
        known = [cell for cell in self.cells if cell.document in self.documents]
        for number, cell in enumerate(known):
            document = self.documents[cell.document]
            is_code = cell.kind == 2 and document.language.lower() in ("python", "")
            kind = "code" if is_code else "markdown"
            lines.append(f'{{"cell_type": "{kind}", "source": [\n')
            pieces = document.pieces
            for at, piece in enumerate(pieces, start=1):
                text = f"{piece.rstrip(chr(13) + chr(10))}\n" if at < len(pieces) else piece
                comma = "," if at < len(pieces) else ""
                lines.append(f"{json.dumps(text, ensure_ascii=False)}{comma}\n")
                origin[len(lines)] = document, at
            lines.append(f"]}}{',' if number < len(known) - 1 else ''}\n")
        lines.append('], "metadata": {"language_info": {"name": "python"}}, "nbformat": 4,\n')
        lines.append('"nbformat_minor": 5}\n')
        return lines, origin


def _column(written: str, column: int) -> int:
    """Return the column in a cell of a column in a line of JSON that is one string."""
    before = written[1 : max(column - 1, 1)]
    try:
        return len(json.loads(f'"{before}"', strict=False)) + 1
    except ValueError:
        return len(before) + 1


Subject = Document | Notebook
"""What is looked at as one text."""


class Documents:
    """All that is open, by its URI."""

    def __init__(self, encoding: Encoding = "utf-16") -> None:
        self.encoding: Encoding = encoding
        self.folders: list[Folder] = []
        self._documents: dict[str, Document] = {}
        self._notebooks: dict[str, Notebook] = {}
        self._notebook_of: dict[str, Notebook] = {}

    @property
    def subjects(self) -> list[Subject]:
        """Return what can be looked at."""
        alone = (d for uri, d in self._documents.items() if uri not in self._notebook_of)
        return [*alone, *self._notebooks.values()]

    def document(self, uri: str) -> Document | None:
        """Return an open document or cell."""
        return self._documents.get(uri)

    def subject(self, uri: str) -> Subject | None:
        """Return what a document, cell or notebook is looked at as."""
        return self._notebooks.get(uri) or self._notebook_of.get(uri) or self._documents.get(uri)

    def at(self, folder: Folder, relative: PurePosixPath) -> Subject | None:
        """Return what is open of a file."""
        for subject in self.subjects:
            if subject.name.folder == folder and subject.name.relative == relative:
                return subject
        return None

    def open(self, item: TextItem) -> Document | None:
        """Take over a document; None where there is no room for another one."""
        size = sum(one.size for one in self._documents.values()) + len(item.text)
        if size > _MOST_TEXT or len(self._documents) >= _MOST_OPEN:
            return None
        name = name_of(item.uri, item.language_id, self.folders)
        document = self._documents[item.uri] = Document(item, self.encoding, name)
        return document

    def close(self, uri: str) -> Document | None:
        """Forget a document."""
        return self._documents.pop(uri, None)

    def rename(self) -> None:
        """Name everything again, when the folders of the workspace have changed."""
        for document in self._documents.values():
            document.name = name_of(document.uri, document.language, self.folders)
        for notebook in self._notebooks.values():
            name = name_of(notebook.uri, "", self.folders)
            notebook.name = Name(name.relative.with_suffix(".ipynb"), name.folder)

    def open_notebook(self, uri: str, version: int, cells: list[Cell]) -> Notebook:
        """Take over a notebook, whose cells are opened then."""
        notebook = Notebook(uri, version, name_of(uri, "", self.folders))
        notebook.cells = list(cells)
        self._notebooks[uri] = notebook
        return notebook

    def add_cell(self, notebook: Notebook, item: TextItem) -> bool:
        """Open the text of a cell; false where there is no room."""
        document = self.open(item)
        if document is None:
            return False
        notebook.documents[item.uri] = document
        self._notebook_of[item.uri] = notebook
        return True

    def change_cells(self, notebook: Notebook, changes: CellChanges) -> list[str]:
        """Change cells; return the URIs of those that are gone."""
        gone: list[str] = []
        if changes.structure is not None:
            array = changes.structure.array
            start = max(array.start, 0)
            notebook.cells[start : start + max(array.delete_count, 0)] = array.cells
            for item in changes.structure.did_open:
                self.add_cell(notebook, item)
            for closed in changes.structure.did_close:
                self._forget_cell(notebook, closed.uri)
                gone.append(closed.uri)
        for text in changes.text_content:
            document = notebook.documents.get(text.document.uri)
            if document is not None:
                document.change(text.document.version, text.changes)
        return gone

    def close_notebook(self, uri: str) -> list[str]:
        """Forget a notebook; return the URIs of its cells."""
        notebook = self._notebooks.pop(uri, None)
        if notebook is None:
            return []
        gone = list(notebook.documents)
        for cell in gone:
            self._forget_cell(notebook, cell)
        return gone

    def _forget_cell(self, notebook: Notebook, uri: str) -> None:
        notebook.documents.pop(uri, None)
        self._notebook_of.pop(uri, None)
        self._documents.pop(uri, None)
