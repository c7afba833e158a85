"""A session as an editor has it, with a client library that is not ours, on a real process."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types as lsp

from tests.fakes.editor import capabilities, editor

TAINTED = "import openai\nc = openai.OpenAI()\n\n\ndef f(q):\n    r = c.responses.create(input=q)\n"
RUNS = TAINTED + "    return eval(r.output_text)\n"
WORKFLOW = Path(__file__).parents[1] / "scan/samples/workflow-agent-without-guards"


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def test_an_ordinary_session(place: Path, tmp_path: Path) -> None:
    async def session() -> None:
        async with editor(place, tmp_path / "home") as it:
            assert it.result.server_info.name == "tavo"
            assert it.result.capabilities.position_encoding == "utf-16"
            uri = (place / "a.py").as_uri()
            (one,) = await it.open(uri, RUNS)
            assert (one.code, one.source, one.severity) == ("llm-output-to-exec", "tavo", 1)
            assert (one.range.start.line, one.range.start.character) == (6, 16)
            assert one.code_description is not None
            assert one.code_description.href.startswith("https://")
            steps = one.related_information or ()
            assert next(iter(steps)).message.startswith("tainted here")
            assert {step.location.uri for step in steps} == {uri}

            version = it.change(uri, "    return r\n", (6, 0, 7, 0))
            assert await it.pushed(uri, version) == []
            version = it.change(uri, RUNS)
            assert len(await it.pushed(uri, version)) == 1

            it.close(uri)
            await it.until(lambda: it.published[uri][-1].diagnostics in ((), []))
            assert await it.leave() == 0
            assert [path.name for path in place.iterdir()] == []

    run(session())


def test_hover_says_why_and_what_to_do(place: Path, tmp_path: Path) -> None:
    async def session() -> None:
        async with editor(place, tmp_path / "home") as it:
            uri = (place / "a.py").as_uri()
            await it.open(uri, RUNS)
            found = await it.hover(uri, 6, 18)
            assert found is not None
            assert isinstance(found.contents, lsp.MarkupContent)
            text = found.contents.value
            assert "**Model output is run as code**" in text
            assert "critical severity" in text
            assert "[CWE-94](https://cwe.mitre.org/data/definitions/94.html)" in text
            assert "`tavo: ignore[llm-output-to-exec] why this is safe here`" in text
            assert "```python" in text
            assert await it.hover(uri, 1, 0) is None
            assert await it.hover("file:///nowhere.py", 1, 0) is None

    run(session())


def test_hover_for_an_editor_without_markdown(place: Path, tmp_path: Path) -> None:
    async def session() -> None:
        able = capabilities(markdown=False)
        async with editor(place, tmp_path / "home", able=able) as it:
            uri = (place / "a.py").as_uri()
            await it.open(uri, RUNS)
            found = await it.hover(uri, 6, 18)
            assert found is not None
            assert isinstance(found.contents, lsp.MarkupContent)
            assert found.contents.kind == "plaintext"
            assert "CWE-94 https://cwe.mitre.org/data/definitions/94.html" in found.contents.value

    run(session())


@pytest.mark.parametrize("resolves", [False, True])
def test_a_finding_is_ignored_where_it_stands_and_only_with_a_reason(
    place: Path, tmp_path: Path, *, resolves: bool
) -> None:
    async def session() -> None:
        able = capabilities(resolves=resolves)
        async with editor(place, tmp_path / "home", able=able) as it:
            uri = (place / "a.py").as_uri()
            (one,) = await it.open(uri, RUNS)
            assert one.data is not None
            (action,) = await it.actions(uri, one)
            assert action.title == "tavo: ignore llm-output-to-exec here, with a reason"
            if resolves:
                assert action.edit is None
                action = await it.client.code_action_resolve_async(action)
            assert action.edit is not None
            (change,) = action.edit.document_changes or ()
            assert isinstance(change, lsp.TextDocumentEdit)
            assert change.text_document.version == 1
            (edit,) = change.edits
            assert isinstance(edit, lsp.TextEdit)
            comment = "    # tavo: ignore[llm-output-to-exec] <why this is safe here>\n"
            assert (edit.range.start.line, edit.new_text) == (6, comment)

            version = it.change(uri, comment, (6, 0, 6, 0))
            found = await it.pushed(uri, version)
            assert [d.code for d in found] == ["llm-output-to-exec", "comment"]
            assert found[1].message == (
                "`tavo: ignore` does not hold before <why this is safe here> is a reason"
            )
            assert (found[1].range.start.line, found[1].range.end.character) == (6, 62)
            done = comment.replace("<why this is safe here>", "only numbers, checked above")
            version = it.change(uri, done, (6, 0, 7, 0))
            assert await it.pushed(uri, version) == []

    run(session())


def test_a_fix_is_offered_and_is_right(place: Path, tmp_path: Path) -> None:
    rule = tmp_path / "rule.yaml"
    rule.write_text(
        "rules:\n- id: no-md5\n  languages: [python]\n  severity: WARNING\n  message: md5\n"
        "  pattern: hashlib.md5($X)\n  fix: hashlib.sha256($X)\n"
    )

    async def session() -> None:
        words = ("--rules", str(rule), "--no-default-rules")
        async with editor(place, tmp_path / "home", *words) as it:
            uri = (place / "a.py").as_uri()
            text = "import hashlib\nx = '😀😀'; y = hashlib.md5('😀')\n"
            (one,) = await it.open(uri, text)
            fix = (await it.actions(uri, one))[0]
            assert (fix.title, fix.kind, fix.is_preferred) == ("tavo: fix no-md5", "quickfix", True)
            (change,) = (fix.edit and fix.edit.document_changes) or ()
            assert isinstance(change, lsp.TextDocumentEdit)
            (edit,) = change.edits
            assert isinstance(edit, lsp.TextEdit)
            line = text.split("\n")[1].encode("utf-16-le")
            start, end = edit.range.start.character * 2, edit.range.end.character * 2
            assert line[start:end].decode("utf-16-le") == "hashlib.md5('😀')"
            assert edit.new_text == "hashlib.sha256('😀')"
            assert await it.actions(uri, one, only=["refactor"]) == []

    run(session())


@pytest.mark.parametrize(
    ("offered", "chosen", "units"),
    [
        (None, "utf-16", 2),
        (["utf-16", "utf-8"], "utf-8", 4),
        (["utf-16", "utf-32", "utf-8"], "utf-32", 1),
        (["klingon"], "utf-16", 2),
    ],
)
def test_columns_are_counted_as_agreed(
    place: Path, tmp_path: Path, offered: list[str] | None, chosen: str, units: int
) -> None:
    async def session() -> None:
        able = capabilities(encodings=offered)
        async with editor(place, tmp_path / "home", able=able) as it:
            assert it.result.capabilities.position_encoding == chosen
            uri = (place / "a.py").as_uri()
            text = TAINTED + "    z = '😀😀'; eval(r.output_text)\n"
            (one,) = await it.open(uri, text)
            assert one.range.start.character == 4 + 5 + 2 * units + 1 + 2 + 5
            # and the other way round: the name behind the faces is replaced
            at = one.range.start.character
            version = it.change(uri, "'1+1'", (6, at, 6, at + len("r.output_text")))
            assert await it.pushed(uri, version) == []

    run(session())


def test_a_client_that_pulls_is_not_pushed(place: Path, tmp_path: Path) -> None:
    async def session() -> None:
        able = capabilities(pulls=True)
        async with editor(place, tmp_path / "home", able=able) as it:
            uri = (place / "a.py").as_uri()
            it.tell_open(uri, RUNS)
            first = await it.pull(uri)
            assert [d.code for d in first.items] == ["llm-output-to-exec"]
            again = await it.pull(uri, first.result_id)
            assert (again.kind, again.result_id) == ("unchanged", first.result_id)
            it.change(uri, "    return r\n", (6, 0, 7, 0))
            assert (await it.pull(uri, first.result_id)).items == ()
            assert it.published == {}
            assert (await it.pull("file:///elsewhere.py")).items == ()

    run(session())


def test_data_that_goes_from_file_to_file(place: Path, tmp_path: Path) -> None:
    (place / "tools.py").write_text("def work(text):\n    return eval(text)\n")
    caller = TAINTED.replace("import openai", "import openai\nimport tools") + (
        "    return tools.work(r.output_text)\n"
    )

    async def session() -> None:
        async with editor(place, tmp_path / "home") as it:
            tools, main = (place / "tools.py").as_uri(), (place / "main.py").as_uri()
            # main.py is on no disk, tools.py in no editor
            assert await it.open(main, caller) == []
            it.tell_open(tools, (place / "tools.py").read_text())
            (one,) = await it.until(
                lambda: [
                    d for p in it.published.get(tools, []) for d in p.diagnostics
                    if d.code == "llm-output-to-exec"
                ][:1]
            )  # fmt: skip
            assert {s.location.uri for s in one.related_information or ()} <= {main, tools}
            # two lines above: the finding goes with its line, at once
            version = it.change(tools, "\n\n", (0, 0, 0, 0))
            moved = [d for d in await it.pushed(tools, version) if d.code == one.code]
            assert [d.range.start.line for d in moved] == [one.range.start.line + 2]
            # the line itself is changed: what was said about it holds no more
            line = one.range.start.line + 2
            version = it.change(tools, "    return text  #", (line, 0, line, 0))
            assert not [d for d in await it.pushed(tools, version) if d.code == one.code]

    run(session())


def test_half_a_line_does_not_take_the_others_away(place: Path, tmp_path: Path) -> None:
    text = "import json\n\n\ndef g(x):\n    pass\n\n\n" + RUNS

    async def session() -> None:
        async with editor(place, tmp_path / "home") as it:
            uri = (place / "a.py").as_uri()
            before = [d.code for d in await it.open(uri, text)]
            version = it.change(uri, "    y = '''(", (4, 0, 4, 8))
            during = [d.code for d in await it.pushed(uri, version)]
            assert before == ["llm-output-to-exec"]
            assert during[0] == "llm-output-to-exec" or "llm-output-to-exec" in during

    run(session())


def test_the_whole_workspace_with_progress(place: Path, tmp_path: Path) -> None:
    for number in range(5):
        (place / f"m{number}.py").write_text(RUNS if number % 2 else "x = 1\n")

    async def session() -> None:
        able = capabilities(progress=True)
        async with editor(place, tmp_path / "home", able=able) as it:
            command = lsp.ExecuteCommandParams("tavo.scanWorkspace")
            done = await it.client.workspace_execute_command_async(command)
            assert done == {"files": 5, "findings": 2, "complete": True, "problems": []}
            await it.until(lambda: len(it.published) == 2)
            assert sorted(Path(uri).name for uri in it.published) == ["m1.py", "m3.py"]
            kinds = [value["kind"] for _, value in it.progress]
            assert (kinds[0], kinds[-1]) == ("begin", "end")
            assert {token for token, _ in it.progress} == set(it.tokens)
            # what is mended on the disk goes away with the next look
            (place / "m1.py").write_text("x = 1\n")
            uri = (place / "m1.py").as_uri()
            it.client.workspace_did_change_watched_files(
                lsp.DidChangeWatchedFilesParams([lsp.FileEvent(uri, lsp.FileChangeType.Changed)])
            )
            await it.until(lambda: list(it.published[uri][-1].diagnostics) == [])
            unknown = lsp.ExecuteCommandParams("tavo.runAnything", ["rm"])
            with pytest.raises(Exception, match="is not known"):
                await it.client.workspace_execute_command_async(unknown)

    run(session())


def test_a_client_that_pulls_the_workspace(place: Path, tmp_path: Path) -> None:
    (place / "m.py").write_text(RUNS)

    async def session() -> None:
        able = capabilities(pulls=True)
        async with editor(place, tmp_path / "home", able=able) as it:
            params = lsp.WorkspaceDiagnosticParams(previous_result_ids=[], work_done_token="w")
            first = await it.client.workspace_diagnostic_async(params)
            (one,) = first.items
            assert (one.uri, len(one.items)) == ((place / "m.py").as_uri(), 1)
            assert [value["kind"] for _, value in it.progress][-1] == "end"
            # nothing is new: the request stays open until there is something
            known = lsp.WorkspaceDiagnosticParams([lsp.PreviousResultId(one.uri, one.result_id)])
            waiting = asyncio.ensure_future(it.client.workspace_diagnostic_async(known))
            await asyncio.sleep(1.5)
            assert not waiting.done()
            (place / "m.py").write_text("x = 1\n")
            event = lsp.FileEvent(one.uri, lsp.FileChangeType.Changed)
            it.client.workspace_did_change_watched_files(lsp.DidChangeWatchedFilesParams([event]))
            async with asyncio.timeout(60):
                (gone,) = (await waiting).items
            assert (gone.uri, list(gone.items)) == (one.uri, [])

    run(session())


def test_a_document_without_a_file(tmp_path: Path) -> None:
    async def session() -> None:
        async with editor(None, tmp_path / "home") as it:
            (one,) = await it.open("untitled:Untitled-1", RUNS)
            assert one.code == "llm-output-to-exec"
            js = (
                "import OpenAI from 'openai';\nconst c = new OpenAI();\nasync function f(q) {\n"
                "  const r = await c.responses.create({ input: q });\n  eval(r.output_text);\n}\n"
            )
            found = await it.open("untitled:Untitled-2", js, "typescript")
            assert [d.code for d in found] == ["llm-output-to-exec-js"]

    run(session())


def test_notebooks_cell_by_cell(place: Path, tmp_path: Path) -> None:
    async def session() -> None:
        async with editor(place, tmp_path / "home") as it:
            book = (place / "n.ipynb").as_uri()
            cells = [f"vscode-notebook-cell:/n.ipynb#{n}" for n in range(3)]
            texts = [
                "%pip install openai\nimport openai\nc = openai.OpenAI()",
                "# Title",
                'r = c.responses.create(input="\\"q\\"")\nx = "\\t"; eval(r.output_text)',
            ]
            items = [
                lsp.TextDocumentItem(uri, "markdown" if n == 1 else "python", 1, texts[n])
                for n, uri in enumerate(cells)
            ]
            kinds = (lsp.NotebookCellKind.Code, lsp.NotebookCellKind.Markup)
            it.client.notebook_document_did_open(
                lsp.DidOpenNotebookDocumentParams(
                    lsp.NotebookDocument(
                        book, "jupyter-notebook", 1,
                        [lsp.NotebookCell(kinds[n == 1], uri) for n, uri in enumerate(cells)],
                    ),
                    items,
                )
            )  # fmt: skip
            (one,) = await it.pushed(cells[2])
            assert one.code == "llm-output-to-exec"
            assert (one.range.start.line, one.range.start.character) == (1, 15)
            assert list(it.published[cells[0]][-1].diagnostics) == []
            (action,) = await it.actions(cells[2], one)
            (change,) = (action.edit and action.edit.document_changes) or ()
            assert isinstance(change, lsp.TextDocumentEdit)
            assert change.text_document.uri == cells[2]
            # the cell is emptied
            it.client.notebook_document_did_change(
                lsp.DidChangeNotebookDocumentParams(
                    lsp.VersionedNotebookDocumentIdentifier(version=2, uri=book),
                    lsp.NotebookDocumentChangeEvent(
                        cells=lsp.NotebookDocumentCellChanges(
                            text_content=[
                                lsp.NotebookDocumentCellContentChanges(
                                    lsp.VersionedTextDocumentIdentifier(uri=cells[2], version=2),
                                    [lsp.TextDocumentContentChangeWholeDocument(text="")],
                                )
                            ]
                        )
                    ),
                )
            )
            await it.until(lambda: list(it.published[cells[2]][-1].diagnostics) == [])
            it.client.notebook_document_did_close(
                lsp.DidCloseNotebookDocumentParams(
                    lsp.NotebookDocumentIdentifier(book),
                    [lsp.TextDocumentIdentifier(uri) for uri in cells],
                )
            )
            assert await it.leave() == 0

    run(session())


def test_a_request_can_be_cancelled(place: Path, tmp_path: Path) -> None:
    for number in range(400):
        (place / f"m{number}.py").write_text(RUNS * 20)

    async def session() -> None:
        async with editor(place, tmp_path / "home", able=capabilities(pulls=True)) as it:
            waiting = it.client.protocol.send_request(
                "workspace/diagnostic", lsp.WorkspaceDiagnosticParams([]), msg_id="long"
            )
            await asyncio.sleep(0.5)
            it.client.cancel_request(lsp.CancelParams("long"))
            with pytest.raises(Exception, match="cancelled"):
                await asyncio.wait_for(asyncio.wrap_future(waiting), 60)
            # and it still answers
            uri = (place / "a.py").as_uri()
            it.tell_open(uri, RUNS)
            assert len((await it.pull(uri)).items) == 1

    run(session())


def test_processes_end_with_the_server(place: Path, tmp_path: Path) -> None:
    async def session() -> int:
        async with editor(place, tmp_path / "home") as it:
            await it.open((place / "a.py").as_uri(), RUNS)
            server = it.client._server
            assert server is not None
            below = children(server.pid)
            assert below
            server.kill()
            await server.wait()
            for _ in range(600):
                if not any(Path(f"/proc/{pid}").exists() for pid in below):
                    return len(below)
                await asyncio.sleep(0.1)
            raise AssertionError("a process is left")

    assert asyncio.run(session()) >= 1


def children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[1]) == pid:
                found.append(int(entry.name))
    return found


if not os.path.exists("/proc"):  # noqa: PTH110
    del test_processes_end_with_the_server
