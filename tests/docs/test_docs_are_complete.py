"""The documentation names everything that exists, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from tavo.cli.app import app
from tavo.errors import ExitCode

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]


def commands(group: typer._click.Command, prefix: str = "tavo") -> list[str]:
    children = getattr(group, "commands", {})
    if not children:
        return [prefix]
    return [name for key, child in children.items() for name in commands(child, f"{prefix} {key}")]


def test_the_user_guide_names_every_command() -> None:
    guide = (ROOT / "docs" / "user-guide.md").read_text()
    missing = [name for name in commands(typer.main.get_command(app)) if name not in guide]
    assert missing == []


def test_the_user_guide_names_every_option() -> None:
    guide = (ROOT / "docs" / "user-guide.md").read_text()

    def options(group: typer._click.Command) -> set[str]:
        own = {o for p in group.params for o in p.opts if o.startswith("--")}
        for child in getattr(group, "commands", {}).values():
            own |= options(child)
        return own

    assert sorted(o for o in options(typer.main.get_command(app)) if f"`{o}" not in guide) == []


def test_the_user_guide_names_every_exit_code() -> None:
    guide = (ROOT / "docs" / "user-guide.md").read_text()
    assert [int(c) for c in ExitCode if not re.search(rf"^\| *{int(c)} *\|", guide, re.M)] == []


def test_every_locked_package_is_explained() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text()
    lock = (ROOT / "requirements-dev.lock").read_text()
    names = re.findall(r"^([a-z0-9][a-z0-9._-]*)==", lock, re.M)
    assert len(names) > 50
    assert [n for n in names if not re.search(rf"(?<![\w-]){re.escape(n)}(?![\w-])", page)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
