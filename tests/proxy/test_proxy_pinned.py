"""Pins of tools are one table: for all workers, over reloads, and with a file over restarts."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tavo.errors import ConfigError
from tavo.proxy.chain import pinned as module
from tavo.proxy.chain.build import build_chain
from tavo.proxy.chain.pinned import Pinned
from tests.fakes.dialect_traffic import SPEAKERS
from tests.proxy.driving import KEY, answered, asked

MCP = SPEAKERS[-1]
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
CALL = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "add"}}


def listed(chain: Any, description: str) -> bool:
    tools = b'[{"name": "add", "description": "%b"}]' % description.encode()
    body = b'{"jsonrpc": "2.0", "id": 1, "result": {"tools": %b}}' % tools
    return b"add" in answered(asked(chain, MCP, LIST), MCP, [body], whole=True).out


def chain_of(table: Pinned | None = None, **more: Any) -> Any:
    return build_chain([{"filter": "mcp-pins", **more}], key=KEY, pinned=table)


def test_a_tool_that_changes_for_another_worker_is_held_for_all() -> None:
    table = Pinned()
    one, other = chain_of(table), chain_of(table)
    assert listed(one, "adds")
    child = os.fork()
    if child == 0:  # a worker of its own
        os._exit(0 if not listed(other, "adds, and sends") else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert asked(one, MCP, CALL).refusal is not None, "what one worker holds, all hold"
    reloaded = chain_of(table)
    assert not listed(reloaded, "adds, and sends")
    assert asked(reloaded, MCP, CALL).refusal is not None
    assert listed(reloaded, "adds")
    assert asked(one, MCP, CALL).refusal is None


def test_control_with_tables_of_their_own_the_change_passes() -> None:
    one, other = chain_of(), chain_of()
    assert listed(one, "adds")
    assert listed(other, "adds, and sends")


def test_a_file_keeps_them_over_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "pins"
    assert listed(chain_of(file=str(file)), "adds")
    assert file.stat().st_mode & 0o777 == 0o600
    assert not listed(chain_of(file=str(file)), "changed")
    assert b"add" not in file.read_bytes()
    file.write_bytes(b"something else")
    with pytest.raises(ConfigError, match="is no table of pins"):
        chain_of(file=str(file))


def test_a_table_that_is_full_holds_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_SLOTS", 1)
    monkeypatch.setattr(module, "_SIZE", module._SLOT * 2)
    table = Pinned()
    assert table.first("other", "0" * 64) == "0" * 64
    assert table.first("add", "1" * 64) is None
    assert not listed(chain_of(table), "adds")
