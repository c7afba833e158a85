"""The table of docs/security.md is that of the list in the program, and says what the page says."""

from __future__ import annotations

import re
from pathlib import Path

from tavo.host.escapes.listing import NAMES, PARTS, attacks

PAGE = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.count("|") == 12 and not line.startswith(("|---", "| attack |"))
]


def test_the_table_is_that_of_the_list() -> None:
    assert [(row[0], row[1], row[2]) for row in ROWS] == [
        (attack.name, attack.title.rstrip("."), attack.stopped_by) for attack in attacks()
    ]
    assert f"{len(NAMES)} attacks" in PAGE
    assert all(f"| {part} |" in PAGE for part in PARTS)


def test_the_bars_of_the_page() -> None:
    for first in (3, 7):  # root, an unprivileged user
        columns = list(zip(*(row[first : first + 4] for row in ROWS), strict=True))
        assert set(columns[0]) <= {"open", "-"}  # each works without a sandbox
        names = [[row[0] for row, cell in zip(ROWS, column, strict=True) if cell == "open"]
                 for column in columns]  # fmt: skip
        assert names[2:] == [["stat_ssh"], []]
    found = re.search(r"^as root: .*L2: (\d+) of \d+ worked; L3: (\d+) of", PAGE, re.M)
    assert found is not None
    assert found.groups() == ("1", "0")


def test_other_pages_name_the_same_number() -> None:
    folder = Path(__file__).parents[2]
    for name in ("README.md", "docs/user-guide.md", "docs/security-model.md", "CHANGELOG.md"):
        assert f"{len(NAMES)} attacks" in (folder / name).read_text(), name


def test_every_drill_of_the_page_is_a_test_and_every_drill_is_on_the_page() -> None:
    code = (Path(__file__).parents[1] / "operator" / "test_operator_drills.py").read_text()
    drills = set(re.findall(r"^def test_(\w+)\(", code, re.M)) - {
        "a_state_of_an_earlier_tavo_learns_what_is_withdrawn"
    }
    rows = [line for line in PAGE.splitlines() if line.count("|") == 6 and line.endswith("` |")]
    named = [line.split("`")[-2] for line in rows]
    assert set(named) == drills
    assert len(named) == len(set(named))


def test_every_attack_of_the_page_has_its_test() -> None:
    named = re.findall(r"`(\w+/\w+\.py)::(\w+)`", PAGE)
    assert len(named) >= 28
    for file, test in named:
        code = (Path(__file__).parents[1] / file).read_text()
        assert f"def {test}(" in code, (file, test)
