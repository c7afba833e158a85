"""Ignore comments: which hold, for which line and rule, and what is said of the others."""

import pytest

from tavo.scan.languages.python import parse
from tavo.scan.suppress import find_ignores


def holds(code: str, rule: str, line: int) -> bool:
    return find_ignores(parse(code.encode())).of(rule, line) is not None


@pytest.mark.parametrize(
    ("code", "rule", "line", "wanted"),
    [
        ("run()  # nosemgrep", "any", 1, True),
        ("# nosemgrep\nrun()", "any", 2, True),
        ("x()  # nosemgrep\nrun()", "any", 2, False),
        ("run()  # nosemgrep: a, b", "b", 1, True),
        ("run()  # nosemgrep: a, b", "c", 1, False),
        ("run()  # nosemgrep: pack.group.a", "a", 1, True),
        ("run()  # nosem", "a", 1, True),
        ("run()  # tavo: ignore[a] checked by the gateway", "a", 1, True),
        ("run()  # tavo: ignore[a] checked by the gateway", "b", 1, False),
        ("# tavo: ignore[a, b] checked by the gateway\nrun()", "b", 2, True),
        ("run()  # tavo: ignore[a]", "a", 1, False),
        ("run()  # tavo: ignore[] because", "a", 1, False),
        ("run('# nosemgrep')", "a", 1, False),
        ("run('''\n# nosemgrep\n''')", "a", 3, False),
        ("run()  # an ordinary comment", "a", 1, False),
    ],
)
def test_an_ignore_comment_covers(code: str, rule: str, line: int, wanted: bool) -> None:
    assert holds(code, rule, line) is wanted


def test_a_comment_without_a_reason_does_not_hold_and_says_so() -> None:
    found = find_ignores(parse(b"a()\nb()  # tavo: ignore[x]\nc()  # tavo: ignore[] why"))
    assert found.problems == (
        "line 2: `tavo: ignore` has no reason and does not hold",
        "line 3: `tavo: ignore[]` names no rule and does not hold",
    )


def test_the_reason_is_kept() -> None:
    ignore = find_ignores(parse(b"a()  # tavo: ignore[x] reviewed 2026-11")).of("x", 1)
    assert ignore is not None
    assert ignore.reason == "reviewed 2026-11"
