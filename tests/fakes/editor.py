"""An editor: pygls' client, which knows nothing of our code, and `tavo lsp` in a real process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient

ROOT = Path(__file__).parents[2]
CHECKOUT = (
    sys.executable, "-c",
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tavo.cli import main; sys.exit(main())",
    "lsp",
)  # fmt: skip
WAIT_S = 180  # it only bounds a hang


class Editor:
    """One session: what the server said, and short names for what tests do."""

    def __init__(self, client: LanguageClient) -> None:
        self.client = client
        self.published: dict[str, list[lsp.PublishDiagnosticsParams]] = {}
        self.said: list[str] = []
        self.shown: list[str] = []
        self.progress: list[Any] = []
        self.tokens: list[Any] = []
        self.refreshed = 0
        self.settings: Any = None
        self.registered: list[lsp.Registration] = []
        self.result: Any = None
        self._news = asyncio.Event()
        self._versions: dict[str, int] = {}

        @client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)
        def published(params: lsp.PublishDiagnosticsParams) -> None:
            self.published.setdefault(params.uri, []).append(params)
            self._news.set()

        @client.feature(lsp.WINDOW_LOG_MESSAGE)
        def logged(params: lsp.LogMessageParams) -> None:
            self.said.append(params.message)
            self._news.set()

        @client.feature(lsp.WINDOW_SHOW_MESSAGE)
        def shown(params: lsp.ShowMessageParams) -> None:
            self.shown.append(params.message)
            self._news.set()

        @client.feature(lsp.PROGRESS)
        def progressed(params: lsp.ProgressParams) -> None:
            self.progress.append((params.token, params.value))
            self._news.set()

        @client.feature(lsp.WINDOW_WORK_DONE_PROGRESS_CREATE)
        def created(params: lsp.WorkDoneProgressCreateParams) -> None:
            self.tokens.append(params.token)

        @client.feature(lsp.WORKSPACE_DIAGNOSTIC_REFRESH)
        def refresh(*_: Any) -> None:
            self.refreshed += 1
            self._news.set()

        @client.feature(lsp.WORKSPACE_CONFIGURATION)
        def configuration(_: lsp.ConfigurationParams) -> list[Any]:
            return [self.settings]

        @client.feature(lsp.CLIENT_REGISTER_CAPABILITY)
        def register(params: lsp.RegistrationParams) -> None:
            self.registered += params.registrations

    async def until(self, holds: Callable[[], Any], *, seconds: float = WAIT_S) -> Any:
        """Wait until something holds, which is looked at whenever the server says something."""
        async with asyncio.timeout(seconds):
            while not (found := holds()):
                self._news.clear()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._news.wait(), 0.2)
        return found

    async def open(self, uri: str, text: str, language: str = "python") -> list[lsp.Diagnostic]:
        """Open a document; return its first diagnostics."""
        self.tell_open(uri, text, language)
        return await self.pushed(uri)

    def tell_open(self, uri: str, text: str, language: str = "python") -> None:
        self._versions[uri] = 1
        self.published.pop(uri, None)
        item = lsp.TextDocumentItem(uri, language, 1, text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))

    def change(self, uri: str, text: str, at: tuple[int, int, int, int] | None = None) -> int:
        """Change a document, all of it or a range; return its version."""
        version = self._versions[uri] = self._versions[uri] + 1
        document = lsp.VersionedTextDocumentIdentifier(uri=uri, version=version)
        one: Any = lsp.TextDocumentContentChangeWholeDocument(text=text)
        if at is not None:
            where = lsp.Range(lsp.Position(at[0], at[1]), lsp.Position(at[2], at[3]))
            one = lsp.TextDocumentContentChangePartial(range=where, text=text)
        self.client.text_document_did_change(lsp.DidChangeTextDocumentParams(document, [one]))
        return version

    def save(self, uri: str) -> None:
        params = lsp.DidSaveTextDocumentParams(lsp.TextDocumentIdentifier(uri))
        self.client.text_document_did_save(params)

    def close(self, uri: str) -> None:
        params = lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(uri))
        self.client.text_document_did_close(params)

    async def pushed(self, uri: str, version: int | None = None) -> list[lsp.Diagnostic]:
        """Wait for diagnostics of a document, of a version if the client can know that."""

        def there() -> lsp.PublishDiagnosticsParams | None:
            known = self.published.get(uri, [])
            return next((one for one in known if version is None or one.version == version), None)

        found: lsp.PublishDiagnosticsParams = await self.until(there)
        return list(found.diagnostics)

    async def pull(self, uri: str, previous: str | None = None) -> Any:
        params = lsp.DocumentDiagnosticParams(
            lsp.TextDocumentIdentifier(uri), previous_result_id=previous
        )
        async with asyncio.timeout(WAIT_S):
            return await self.client.text_document_diagnostic_async(params)

    async def hover(self, uri: str, line: int, character: int) -> lsp.Hover | None:
        params = lsp.HoverParams(lsp.TextDocumentIdentifier(uri), lsp.Position(line, character))
        return await self.client.text_document_hover_async(params)

    async def actions(self, uri: str, one: lsp.Diagnostic, **context: Any) -> list[lsp.CodeAction]:
        params = lsp.CodeActionParams(
            lsp.TextDocumentIdentifier(uri), one.range, lsp.CodeActionContext([one], **context)
        )
        async with asyncio.timeout(WAIT_S):
            found: Any = await self.client.text_document_code_action_async(params)
        return list(found)

    async def leave(self) -> int:
        """End the session as the protocol says; return the exit code."""
        await self.client.shutdown_async(None)
        self.client.exit(None)
        process = self.client._server
        assert process is not None
        async with asyncio.timeout(WAIT_S):
            return await process.wait()


def capabilities(*, pulls: bool = False, resolves: bool = False, versions: bool = True,
                 encodings: list[str] | None = None, progress: bool = False,
                 markdown: bool = True) -> lsp.ClientCapabilities:  # fmt: skip
    """Return what an editor of some kind can do."""
    return lsp.ClientCapabilities(
        general=lsp.GeneralClientCapabilities(position_encodings=encodings),
        window=lsp.WindowClientCapabilities(work_done_progress=progress),
        workspace=lsp.WorkspaceClientCapabilities(
            workspace_edit=lsp.WorkspaceEditClientCapabilities(document_changes=versions),
            diagnostics=lsp.DiagnosticWorkspaceClientCapabilities(refresh_support=pulls),
        ),
        text_document=lsp.TextDocumentClientCapabilities(
            publish_diagnostics=lsp.PublishDiagnosticsClientCapabilities(
                related_information=True, code_description_support=True, version_support=True,
                data_support=True,
            ),
            diagnostic=lsp.DiagnosticClientCapabilities() if pulls else None,
            hover=lsp.HoverClientCapabilities(
                content_format=[lsp.MarkupKind.Markdown] if markdown else [lsp.MarkupKind.PlainText]
            ),
            code_action=lsp.CodeActionClientCapabilities(
                data_support=resolves,
                resolve_support=lsp.ClientCodeActionResolveOptions(["edit"]) if resolves else None,
                code_action_literal_support=lsp.ClientCodeActionLiteralOptions(
                    lsp.ClientCodeActionKindOptions(["quickfix"])
                ),
            ),
        ),
    )  # fmt: skip


@contextlib.asynccontextmanager
async def editor(
    folder: Path | None, home: Path, *words: str, command: tuple[str, ...] = CHECKOUT,
    able: lsp.ClientCapabilities | None = None, options: Any = None, settings: Any = None,
) -> AsyncIterator[Editor]:  # fmt: skip
    """Start the server for a folder of a user, and greet it."""
    home.mkdir(exist_ok=True)
    client = LanguageClient("tests", "1")
    session = Editor(client)
    session.settings = settings
    await client.start_io(
        *command, *words, cwd=folder or home,
        env={"HOME": str(home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
    )  # fmt: skip
    try:
        async with asyncio.timeout(WAIT_S):
            session.result = await client.initialize_async(
                lsp.InitializeParams(
                    capabilities=able or capabilities(),
                    root_uri=None if folder is None else folder.as_uri(),
                    initialization_options=options,
                )
            )
        client.initialized(lsp.InitializedParams())
        yield session
    finally:
        process = client._server
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()
        await client.stop()
