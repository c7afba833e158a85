"""The Plugin Developer Guide: every block runs, in order, and nothing is missing in it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from dataclasses import MISSING
from pathlib import Path

import msgspec
import pytest

import tavo.plugins
import tavo.plugins.testing
from marketplace_db.manifest import Limits, Manifest, Permissions, parse_manifest
from tests.kit import test_kit_contract as contract_tests

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "plugin-guide.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
FILE = re.compile(r"# file: (\S+)\n")
ENDS = re.compile(r"  # ends with (\d+)$")


class Author:
    """A person in a folder with a shell and tavo, who reads the guide from the top."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        programs = folder / "programs"
        programs.mkdir()
        (programs / "tavo").write_text(
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tavo "$@"\n'
        )
        (programs / "python3").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} "$@"\n')
        for program in programs.iterdir():
            program.chmod(0o755)
        self.environment = {
            "HOME": str(folder), "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT), "LANG": "C.UTF-8", "COLUMNS": "200",
        }  # fmt: skip
        self.printed = ""

    def sh(self, block: str) -> None:
        self.printed = ""
        for line in block.splitlines():
            if line.startswith("export "):
                name, _, value = line.removeprefix("export ").partition("=")
                self.environment[name] = value
                continue
            ends = ENDS.search(line)
            done = subprocess.run(
                ["bash", "-c", line], cwd=self.folder, env=self.environment, text=True,
                capture_output=True, check=False, stdin=subprocess.DEVNULL, timeout=600,
            )  # fmt: skip
            self.printed += done.stdout
            expected = int(ends[1]) if ends else 0
            assert done.returncode == expected, f"{line}\n{done.stdout}\n{done.stderr}"

    def text(self, block: str) -> None:
        """What the guide shows was printed, line by line; `…` at an end stands for anything."""
        printed = iter(self.printed.splitlines())
        for line in block.splitlines():
            start = line.removesuffix("…")
            assert any(
                found.startswith(start) if start != line else found == line for found in printed
            ), f"{line!r} is not in:\n{self.printed}"

    def python(self, block: str) -> None:
        if not self.file(block):
            done = subprocess.run(
                [sys.executable, "-c", block], cwd=self.folder, env=self.environment, text=True,
                capture_output=True, check=False, timeout=300,
            )  # fmt: skip
            assert done.returncode == 0, f"{block}\n{done.stderr}"

    def yaml(self, block: str) -> None:
        if not self.file(block):
            whole = (self.folder / "hidden" / "plugin.yaml").read_text() + block
            parse_manifest(whole.encode())

    def json(self, block: str) -> None:
        assert isinstance(msgspec.json.decode(block), dict)

    def file(self, block: str) -> bool:
        found = FILE.match(block)
        if found:
            path = self.folder / found[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block[found.end() :], encoding="utf-8")
        return found is not None


def test_every_block_runs(tmp_path: Path) -> None:
    author = Author(tmp_path)
    blocks = BLOCK.findall(GUIDE)
    assert len(blocks) > 25
    assert GUIDE.count("\n```") == 2 * len(blocks)
    for language, block in blocks:
        assert language in {"sh", "text", "python", "yaml", "json"}, block
        getattr(author, language)(block)


@pytest.mark.parametrize("name", [*tavo.plugins.__all__, *tavo.plugins.testing.__all__])
def test_every_name_of_the_api_is_explained(name: str) -> None:
    assert re.search(rf"`{name}\b", GUIDE), f"{name} is not in the guide"


@pytest.mark.parametrize(
    "name",
    ["BasePlugin", "StaticAnalysisPlugin", "DynamicTestingPlugin", "ProxyFilteringPlugin",
     "LogAnalysisPlugin"],
)  # fmt: skip
def test_every_method_is_explained(name: str) -> None:
    cls = getattr(tavo.plugins, name)
    own = [key for key in vars(cls) if not key.startswith("_")]
    assert [key for key in own if not re.search(rf"`{key}\b", GUIDE)] == []


def test_every_field_of_a_value_is_explained() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", GUIDE, re.M))
    for name in tavo.plugins.__all__:
        fields = getattr(getattr(tavo.plugins, name), "__dataclass_fields__", {})
        missing = [field for field in fields if f"`{field}" not in rows.get(name, "")]
        assert missing == [], f"{name}: {missing}"


def test_every_default_of_a_value_is_named() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", GUIDE, re.M))
    for name in tavo.plugins.__all__:
        fields = getattr(getattr(tavo.plugins, name), "__dataclass_fields__", {}).values()
        with_default = [
            field.name for field in fields
            if field.default is not MISSING or field.default_factory is not MISSING
        ]  # fmt: skip
        unnamed = [field for field in with_default if f"`{field}` = " not in rows.get(name, "")]
        assert unnamed == [], f"{name}: {unnamed}"


@pytest.mark.parametrize("part", [Manifest, Permissions, Limits])
def test_every_key_of_the_manifest_is_explained(part: type) -> None:
    missing = [
        field.name
        for field in msgspec.structs.fields(part)
        if not re.search(rf"^\|[^|]*`{field.name}`[^|]*\|", GUIDE, re.M)
    ]
    assert missing == []


@pytest.mark.parametrize("part", [Permissions, Limits])
def test_the_defaults_are_those_that_hold(part: type) -> None:
    for field in msgspec.structs.fields(part):
        (shown,) = re.findall(rf"^\| `{field.name}` \| ([^|]+) \|", GUIDE, re.M)
        default = msgspec.to_builtins(field.default)
        words = {"none": ("none", [], ()), "false": (False,)}
        plain = shown.strip("` ")
        assert default in words.get(plain, ()) or str(default).removesuffix(".0") == plain


def test_every_check_of_the_suite_is_explained() -> None:
    rows = set(re.findall(r"^\| ([a-z ]+) \|", GUIDE, re.M))
    assert {name for _, _, name, _ in contract_tests.BROKEN.values()} <= rows
