"""A hostile workspace opened in the editor: what it may not do, each with its control."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import signal
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from lsprotocol import types as lsp

from tests.fakes.editor import capabilities, editor
from tests.lsp.test_lsp_session import RUNS, children

EVERYTHING = (
    "rules:\n- id: chosen-by-workspace\n  languages: [python]\n  severity: ERROR\n"
    "  message: m\n  pattern: $X = 1\n"
)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(test)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


async def codes(it: Any, uri: str, text: str = "x = 1\n") -> list[Any]:
    return [d.code for d in await it.open(uri, text)]


def test_settings_of_a_workspace_do_not_choose_rules(place: Path, tmp_path: Path) -> None:
    (place / "rules.yaml").write_text(EVERYTHING)
    (place / "tavo.toml").write_text('[scan]\nrules = ["rules.yaml"]\n')
    options = {"tavo": {"rules": [str(place / "rules.yaml")], "plugins": ["./evil"],
                        "path": "/bin/sh", "policy": "p.rego"}}  # fmt: skip
    able = capabilities()
    assert able.workspace is not None
    able.workspace.configuration = True

    async def session() -> None:
        async with editor(
            place, tmp_path / "home", options=options, settings=options["tavo"], able=able
        ) as it:
            assert await codes(it, (place / "a.py").as_uri()) == []
            await it.until(lambda: len(it.shown) >= 4)
            assert all("does not count" in one for one in it.shown)
            assert any("scan.rules does not count in an editor" in one for one in it.said)

    run(session())


def test_control_the_user_chooses_rules(place: Path, tmp_path: Path) -> None:
    (place / "rules.yaml").write_text(EVERYTHING)

    async def session() -> None:
        words = ("--rules", str(place / "rules.yaml"))
        async with editor(place, tmp_path / "home", *words) as it:
            assert await codes(it, (place / "a.py").as_uri()) == ["chosen-by-workspace"]

    run(session())


def test_rules_of_the_user_s_file_count(place: Path, tmp_path: Path) -> None:
    own = tmp_path / "home" / ".config" / "tavo"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text(EVERYTHING)
    (own / "tavo.toml").write_text('[scan]\nrules = ["mine.yaml"]\n')

    async def session() -> None:
        async with editor(place, tmp_path / "home") as it:
            assert await codes(it, (place / "a.py").as_uri()) == ["chosen-by-workspace"]

    run(session())


@pytest.mark.parametrize("way", ["tavo.toml", "options", "settings"])
def test_a_workspace_may_lower_the_noise(place: Path, tmp_path: Path, way: str) -> None:
    options, settings = None, None
    if way == "tavo.toml":
        (place / "tavo.toml").write_text(
            '[scan]\nexclude = ["gen/"]\n[lsp]\nmin_severity = "critical"\n'
        )
    else:
        options = {"minSeverity": "critical", "exclude": ["gen/"]}
        settings = options if way == "settings" else None
        options = None if way == "settings" else options
    able = capabilities()
    assert able.workspace is not None
    able.workspace.configuration = way == "settings"

    async def session() -> None:
        async with editor(
            place, tmp_path / "home", options=options, settings=settings, able=able
        ) as it:
            text = "def f(x):\n    return eval(x)\n"  # medium
            uri = (place / "a.py").as_uri()
            await it.open(uri, text)
            await it.until(lambda: list(it.published[uri][-1].diagnostics) == [])
            hidden = (place / "gen" / "a.py").as_uri()
            await it.open(hidden, RUNS)  # critical, but left out
            await it.until(lambda: list(it.published[hidden][-1].diagnostics) == [])
            shown = await it.open((place / "b.py").as_uri(), RUNS)
            assert [d.code for d in shown] == ["llm-output-to-exec"]

    run(session())


def test_a_workspace_cannot_raise_what_the_user_lowered(place: Path, tmp_path: Path) -> None:
    async def session() -> None:
        words, options = ("--min-severity", "critical"), {"minSeverity": "info", "exclude": []}
        async with editor(place, tmp_path / "home", *words, options=options) as it:
            text = "def f(x):\n    return eval(x)\n"
            assert await it.open((place / "a.py").as_uri(), text) == []

    run(session())


def test_links_do_not_lead_out_of_the_workspace(place: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.py").write_text(RUNS)
    (place / "link").symlink_to(outside)
    (place / "file.py").symlink_to(outside / "secret.py")
    (place / "loop").symlink_to(place)
    (place / "pipe.py").touch()
    (place / "pipe.py").unlink()
    os.mkfifo(place / "pipe.py")

    async def session() -> None:
        async with editor(place, tmp_path / "home") as it:
            command = lsp.ExecuteCommandParams("tavo.scanWorkspace")
            done: Any = await it.client.workspace_execute_command_async(command)
            assert done["findings"] == 0
            # the control: the same files inside of it are found
            (place / "inside.py").write_text(RUNS)
            done = await it.client.workspace_execute_command_async(command)
            assert done["findings"] == 1

    run(session())


def test_nothing_is_written_into_the_workspace(place: Path, tmp_path: Path) -> None:
    for number in range(3):
        (place / f"m{number}.py").write_text(RUNS)
    before = files(place)

    async def session() -> None:
        async with editor(place, tmp_path / "home") as it:
            await it.open((place / "m1.py").as_uri(), RUNS + "# changed\n")
            it.save((place / "m1.py").as_uri())
            command = lsp.ExecuteCommandParams("tavo.scanWorkspace")
            await it.client.workspace_execute_command_async(command)
            assert await it.leave() == 0

    run(session())
    assert files(place) == before
    assert files(tmp_path / "home")  # the control: what is kept lies with the user


def test_a_folder_with_too_many_files_is_named_and_the_rest_works(
    place: Path, tmp_path: Path
) -> None:
    for number in range(30):
        (place / f"m{number}.py").write_text("x = 1\n")

    async def session(most: str) -> tuple[Any, list[str]]:
        async with editor(place, tmp_path / "home", "--max-files", most) as it:
            command = lsp.ExecuteCommandParams("tavo.scanWorkspace")
            done: Any = await it.client.workspace_execute_command_async(command)
            assert len(await it.open((place / "a.py").as_uri(), RUNS)) == 1
            await it.until(lambda: done["complete"] or it.shown)
            return done, list(it.said)

    done, said = asyncio.run(session("20"))
    assert not done["complete"]
    assert any("more than 20 files" in one for one in said)
    done, said = asyncio.run(session("31"))  # the control
    assert done["complete"]
    assert said == []


def test_a_huge_text_is_named_and_nothing_waits_for_it(place: Path, tmp_path: Path) -> None:
    async def session() -> None:
        async with editor(place, tmp_path / "home") as it:
            (one,) = await it.open((place / "big.py").as_uri(), "x = 1\n" * 4_000_000)
            assert one.code == "not-in-full"
            assert "too large" in one.message
            (fits,) = await it.open((place / "fits.py").as_uri(), RUNS)  # the control
            assert fits.code == "llm-output-to-exec"

    run(session())


def test_a_text_that_takes_long_is_given_up_when_it_changes(place: Path, tmp_path: Path) -> None:
    slow = "import openai\nc = openai.OpenAI()\n" + "".join(
        f"def f{n}(q):\n    r = c.responses.create(input=q)\n    return eval(r.output_text)\n"
        for n in range(6_000)
    )

    async def session() -> None:
        async with editor(place, tmp_path / "home") as it:
            uri, other = (place / "slow.py").as_uri(), (place / "other.py").as_uri()
            it.tell_open(uri, slow)
            await asyncio.sleep(3)
            version = it.change(uri, RUNS)
            assert len(await it.pushed(uri, version)) == 1
            assert len(await it.open(other, RUNS)) == 1

    run(session())


def spent(parent: int) -> float:
    """Return the processor time of a process' children, in seconds."""
    ticks = 0
    for pid in children(parent):
        with contextlib.suppress(OSError):  # one that has ended since
            fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def test_a_process_that_dies_takes_one_text_with_it(place: Path, tmp_path: Path) -> None:
    slow = "import openai\nc = openai.OpenAI()\n" + "".join(
        f"def f{n}(q):\n    r = c.responses.create(input=q)\n    return eval(r.output_text)\n"
        for n in range(4_000)
    )

    async def session() -> None:
        async with editor(place, tmp_path / "home") as it:
            await it.open((place / "warm.py").as_uri(), RUNS)
            server = it.client._server
            assert server is not None
            uri = (place / "victim.py").as_uri()
            before = spent(server.pid)
            it.tell_open(uri, slow)
            await it.until(lambda: spent(server.pid) > before + 0.3)  # it is in the text's middle
            for pid in children(server.pid):
                os.kill(pid, signal.SIGKILL)
            (one,) = await it.pushed(uri)
            assert "the scanner died on this text" in one.message
            version = it.change(uri, RUNS)  # and it is tried again when it has changed
            assert [d.code for d in await it.pushed(uri, version)] == ["llm-output-to-exec"]

    run(session())


def test_text_of_the_project_steers_no_editor(place: Path, tmp_path: Path) -> None:
    rule = tmp_path / "rule.yaml"
    rule.write_text(
        "rules:\n- id: says-it\n  languages: [python]\n  severity: ERROR\n"
        "  message: found $X here\n  pattern: f($X)\n"
    )
    evil = "f('[click](command:evil) <img src=x onerror=y> `\u202e')\n"

    async def session() -> None:
        words = ("--rules", str(rule), "--no-default-rules")
        async with editor(place, tmp_path / "home", *words) as it:
            uri = (place / "a.py").as_uri()
            (one,) = await it.open(uri, evil)
            assert "\u202e" not in str(one.message)
            found = await it.hover(uri, 0, 1)
            assert found is not None
            assert isinstance(found.contents, lsp.MarkupContent)
            assert "\\[click\\]\\(command\\:evil\\) \\<img" in found.contents.value
            assert "[click](" in str(one.message)  # the control: there it is plain text

    run(session())


def test_a_client_s_data_makes_no_edit_by_itself(place: Path, tmp_path: Path) -> None:
    async def session() -> None:
        able = capabilities(resolves=True)
        async with editor(place, tmp_path / "home", able=able) as it:
            uri = (place / "a.py").as_uri()
            await it.open(uri, RUNS)
            for data in (
                None, [], {"uri": "file:///etc/passwd", "rule": "x", "line": 0},
                {"uri": uri, "rule": "x]\nimport os; os.system('id')\n#", "line": 0},
            ):  # fmt: skip
                with pytest.raises(Exception, match="not one of tavo's"):
                    await it.client.code_action_resolve_async(lsp.CodeAction("x", data=data))
            for line in (-1, 10**9):
                data = {"uri": uri, "rule": "llm-output-to-exec", "line": line}
                found = await it.client.code_action_resolve_async(lsp.CodeAction("x", data=data))
                assert found.edit is None
                assert found.disabled is not None
            data = {"uri": uri, "rule": "llm-output-to-exec", "line": 6}  # the control
            found = await it.client.code_action_resolve_async(lsp.CodeAction("x", data=data))
            assert found.edit is not None

    run(session())
