"""The documentation names everything that exists, and its links lead somewhere."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from tavo.cli.app import app_of
from tavo.cli.commands import COMMANDS, OPTIONS, PLANNED, root_help
from tavo.errors import ExitCode

ROOT = Path(__file__).parents[2]
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]


ROOT_COMMAND = typer.main.get_command(app_of(*COMMANDS))


def commands(group: typer._click.Command, prefix: str = "tavo") -> list[str]:
    children = getattr(group, "commands", {})
    if not children:
        return [prefix]
    return [name for key, child in children.items() for name in commands(child, f"{prefix} {key}")]


def guides() -> str:
    """The texts for users and for operators."""
    names = ("user-guide.md", "operator-guide.md", "attack.md")
    return "\n".join((ROOT / "docs" / name).read_text() for name in names)


def test_the_guides_name_every_command() -> None:
    guide = guides()
    missing = [name for name in commands(ROOT_COMMAND) if name not in guide]
    assert missing == []


def test_the_table_of_commands_is_what_the_modules_register() -> None:
    registered = {
        name: command.get_short_help_str(200)
        for name, command in getattr(ROOT_COMMAND, "commands", {}).items()
    }
    assert {name: text for name, (_, text) in COMMANDS.items()} == registered
    assert not PLANNED & set(COMMANDS)


def test_the_table_of_options_is_that_of_the_root_command() -> None:
    own = {"--help"} | {o for p in ROOT_COMMAND.params for o in p.opts if o.startswith("--")}
    assert {name.split(", ")[-1].split()[0] for name in OPTIONS} == own
    helps = {getattr(p, "help", "") for p in ROOT_COMMAND.params}
    assert {text for name, text in OPTIONS.items() if "help" not in name} == helps


@pytest.mark.parametrize("width", [20, 40, 61, 80, 300])
def test_the_drawn_help_fits_the_terminal_and_says_everything(width: int) -> None:
    drawn = root_help(width)
    assert max(map(len, drawn.splitlines())) <= max(width, 40)
    words = " ".join(drawn.split())
    for text in (*OPTIONS.values(), *(text for _, text in COMMANDS.values())):
        assert text in words


def test_the_guides_name_every_option() -> None:
    guide = guides()

    def options(group: typer._click.Command) -> set[str]:
        own = {o for p in group.params for o in p.opts if o.startswith("--")}
        for child in getattr(group, "commands", {}).values():
            own |= options(child)
        return own

    assert sorted(o for o in options(ROOT_COMMAND) if f"`{o}" not in guide) == []


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
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"
