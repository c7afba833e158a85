"""`tavo lsp` used wrongly: one sentence, a next step, the documented code, nothing started."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--rules", "nope.yaml"], "no such rule file or folder"),
        (["--min-severity", "loud"], "expected info, low, medium, high or critical"),
        (["--no-default-rules"], "there is nothing to look with"),
        (["--max-files", "0"], "Invalid value for '--max-files'"),
        (["--exclude", "[" * 600], "it has more than 500 characters"),
        (["--tcp"], "No such option: --tcp"),
    ],
)
def test_wrong_use(tavo: Run, words: list[str], said: str) -> None:
    done = tavo("lsp", *words)
    assert done.code == 2
    assert said in done.err
    assert done.out == ""
