"""docs/integrations.md: its tables are those of action.yml, its blocks parse, its commands run."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from tavo.errors import ExitCode
from tests.docs.test_plugin_guide import BLOCK, ENDS, Author
from tests.fakes.built import has_option
from tests.fakes.single_file import PYZ, SHOP

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "integrations.md").read_text("utf-8")
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
BLOCKS = BLOCK.findall(GUIDE)


def named(table: str) -> list[str]:
    """Return what stands in the first column of the table with this heading."""
    rows = re.search(rf"^\| {table} \|.*\n\|[-|]+\n((?:\|.*\n)+)", GUIDE, re.M)
    assert rows is not None
    cells = [row.split("|")[1] for row in rows[1].splitlines()]
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def test_every_input_and_output_is_explained() -> None:
    assert sorted(named("input")) == sorted(ACTION["inputs"])
    assert sorted(named("output")) == sorted(ACTION["outputs"])


def test_every_hook_and_every_exit_code_is_explained() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert sorted(named("hook")) == sorted(hook["id"] for hook in hooks)
    assert [int(c) for c in ExitCode if not re.search(rf"^\| {int(c)} \|", GUIDE, re.M)] == []


def test_the_pinned_version_is_the_one_of_the_action() -> None:
    found = re.search(r"upload-sarif@[0-9a-f]{40} # (v[\d.]+)", (ROOT / "action.yml").read_text())
    assert found is not None
    assert f"by the commit of {found[1]}." in GUIDE


def test_what_is_yaml_parses_and_names_inputs_that_exist() -> None:
    blocks = [block for language, block in BLOCKS if language == "yaml"]
    assert len(blocks) == 5
    for block in blocks:
        document = yaml.safe_load(block)
        for job in document.get("jobs", {}).values():
            for step in job["steps"]:
                if "/tavo@" in step["uses"]:
                    assert set(step["with"]) <= set(ACTION["inputs"])
                    required = {k for k, v in ACTION["inputs"].items() if v["required"]}
                    assert required <= set(step["with"])


@pytest.mark.skipif(not PYZ.exists(), reason="the guide's commands need the built file")
def test_every_command_runs(tmp_path: Path) -> None:
    author = Author(tmp_path)
    shutil.copytree(SHOP, author.folder / "shop")
    author.folder = author.folder / "shop"
    shutil.copy(PYZ, author.folder / "tavo.pyz")
    (author.folder / ".gitignore").write_text("tavo.pyz*\n")
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "base"]):
        subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@t", *words], cwd=author.folder,
            check=True,
        )  # fmt: skip
    ran = 0
    for block in (block for language, block in BLOCKS if language == "sh"):
        options = re.findall(r"(?<= )--[a-z-]+(?= )", ENDS.sub("", block))
        if all(has_option(option) for option in options if "tavo scan" in block):
            author.sh(block)
            ran += 1
    assert ran >= 4
