"""The same session against the single file, on an account that never ran it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from lsprotocol import types as lsp

from tests.fakes.editor import editor
from tests.fakes.single_file import PYZ
from tests.lsp.test_lsp_session import RUNS

pytestmark = pytest.mark.skipif(
    not PYZ.exists(), reason="run the tests with `python3 build.py test`, which builds the file"
)


def test_a_session_with_the_single_file(tmp_path: Path) -> None:
    place = tmp_path / "project"
    place.mkdir()
    (place / "other.py").write_text(RUNS)
    # what a workspace brings along is not what the server is made of
    for name in ("tavo", "msgspec"):
        (place / name).mkdir()
        (place / name / "__init__.py").write_text("raise SystemExit('planted code runs')\n")

    async def session() -> None:
        command = (sys.executable, str(PYZ), "lsp", "--stdio")
        async with editor(place, tmp_path / "home", command=command) as it:
            uri = (place / "a.py").as_uri()
            (one,) = await it.open(uri, RUNS)
            assert one.code == "llm-output-to-exec"
            assert await it.hover(uri, 6, 18) is not None
            (action,) = await it.actions(uri, one)
            assert action.edit is not None
            scan = lsp.ExecuteCommandParams("tavo.scanWorkspace")
            done = await it.client.workspace_execute_command_async(scan)
            assert done["files"] == 4
            assert done["complete"]
            assert await it.leave() == 0

    asyncio.run(session())
