"""Fingerprints: the same finding keeps its own, two findings never share one."""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tavo.plugins import Finding, Location, Region, Severity
from tavo.results.fingerprint import Fingerprints, line_hashes, with_line_hashes
from tavo.results.values import Reported
from tests.fakes.results import EVAL_RULE

CODE = st.text(st.characters(codec="utf-8"), min_size=1, max_size=60)
LINE = st.integers(min_value=1, max_value=10_000)


def finding(
    code: str, *, line: int = 1, path: str = "a.py", rule: str = "r", column: int = 1
) -> Finding:
    return Finding(
        rule_id=rule,
        message="m",
        severity=Severity.LOW,
        location=Location(
            path=PurePosixPath(path),
            region=Region(start_line=line, start_column=column, end_line=line, end_column=999),
            snippet=code,
        ),
    )


def of_all(*findings: Finding, tool: str = "tavo") -> list[str]:
    fingerprints = Fingerprints()
    return [fingerprints.of(tool, one) for one in findings]


@given(CODE, LINE, LINE, st.integers(min_value=1, max_value=99))
def test_code_that_moves_keeps_its_fingerprint(code: str, one: int, two: int, column: int) -> None:
    assert of_all(finding(code, line=one)) == of_all(finding(code, line=two, column=column))


@given(CODE)
def test_white_space_does_not_matter(code: str) -> None:
    assert of_all(finding(code)) == of_all(finding(f"    {code}\t \n"))


@given(st.lists(CODE, min_size=1, max_size=12))
def test_all_findings_of_a_file_have_their_own(codes: list[str]) -> None:
    found = of_all(*(finding(code, line=n + 1) for n, code in enumerate(codes)))
    assert len(set(found)) == len(codes)


@given(st.lists(CODE, min_size=1, max_size=8), CODE)
def test_other_code_before_a_finding_does_not_change_it(codes: list[str], code: str) -> None:
    plain = {"".join(c.split()) for c in codes}
    if "".join(code.split()) in plain:
        return
    assert of_all(*(finding(c) for c in codes), finding(code))[-1] == of_all(finding(code))[0]


def test_rule_path_tool_and_code_matter() -> None:
    found = [
        *of_all(finding("x()")),
        *of_all(finding("x()", rule="other")),
        *of_all(finding("x()", path="b.py")),
        *of_all(finding("x()"), tool="acme/x"),
        *of_all(finding("y()")),
    ]
    assert len(set(found)) == 5
    assert all(len(one) == 32 for one in found)


def test_a_boundary_between_the_parts_cannot_be_forged() -> None:
    assert of_all(finding("b", path="a")) != of_all(finding("a", path="b"))
    assert of_all(finding("x", rule="ab")) != of_all(finding("bx", rule="a"))


def test_whole_files_are_told_apart_by_their_evidence() -> None:
    def binary(name: str) -> Finding:
        return Finding(
            rule_id="r", message="m", severity=Severity.LOW, evidence={"import": name},
            location=Location(path=PurePosixPath("m.pkl")),
        )  # fmt: skip

    assert of_all(binary("os.system"))[0] in of_all(binary("builtins.eval"), binary("os.system"))
    assert of_all(binary("a")) != of_all(binary("b"))


def test_a_name_that_is_not_text_has_a_fingerprint() -> None:
    assert of_all(finding("x\udce4", path="a\udce4.py")) != of_all(finding("x", path="a.py"))


# Values that GitHub's own code computes, from the tests of github/codeql-action.
NEWLINES = [
    "e9496ae3ebfced30:1", "fb7c023a8b9ccb3f:1", "ce8ba1a563dcdaca:1", "e20e36e16fcb0cc8:1",
    "b3edc88f2938467e:1", "c8e28b0b4002a3a0:1", "c129715d7a2bc9a3:1",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["c129715d7a2bc9a3:1"]),
        (
            " a\nb\n  \t\tc\n d",
            ["271789c17abda88f:1", "54703d4cd895b18:1", "180aee12dab6264:1", "a23a3dc5e078b07b:1"],
        ),
        (" hello; \t\nworld!!!\n\n\n  \t\tGreetings\n End\n", NEWLINES),
        (" hello; \t\nworld!!!\r\r\r  \t\tGreetings\r End\r", NEWLINES),
        (" hello; \t\r\nworld!!!\r\n\r\n\r\n  \t\tGreetings\r\n End\r\n", NEWLINES),
        (" hello; \t\nworld!!!\r\n\n\r  \t\tGreetings\r End\r\n", NEWLINES),
        (
            "Lorem ipsum dolor sit amet.\n" * 10,
            [
                *(f"a7f2ff13bc495cf2:{n}" for n in range(1, 7)),
                "a7f2ff1481e87703:1", "a9cf91f7bbf1862b:1", "55ec222b86bcae53:1",
                "cc97dc7b1d7d8f7b:1", "c129715d7a2bc9a3:1",
            ],
        ),
    ],
)  # fmt: skip
def test_line_hashes_are_those_of_github(text: str, expected: list[str]) -> None:
    count = len(expected)
    assert line_hashes(text.encode(), range(1, count + 5)) == dict(
        zip(range(1, count + 1), expected, strict=True)
    )


def rolling(text: str) -> dict[int, str]:
    """The same hash, computed character by character with a sliding sum: an oracle."""
    units = text.encode("utf-16-le")
    stream = [int.from_bytes(units[at : at + 2], "little") for at in range(0, len(units), 2)]
    kept: list[tuple[int, bool]] = []
    start, after_cr = True, False
    for unit in [*stream, 0xFFFF]:
        if unit in (0x20, 0x09) or (after_cr and unit == 0x0A):
            after_cr = False
            continue
        after_cr = unit == 0x0D
        unit = 0x0A if after_cr else unit
        kept.append((unit, start))
        start = unit == 0x0A
    out: dict[int, str] = {}
    seen: dict[int, int] = {}
    line = 0
    for at, (_, starts) in enumerate(kept):
        if starts:
            line += 1
            value = 0
            for k in range(100):
                value = (value * 37 + (kept[at + k][0] if at + k < len(kept) else 0)) % 2**64
            seen[value] = seen.get(value, 0) + 1
            out[line] = f"{value:x}:{seen[value]}"
    return out


@given(st.text(st.sampled_from("ab \t\r\n\u00e4\U0001f600"), max_size=260))
def test_line_hashes_equal_a_sliding_sum(text: str) -> None:
    expected = rolling(text)
    assert line_hashes(text.encode(), range(1, 300)) == expected


def test_findings_get_the_hash_of_their_line() -> None:
    files = {"a.py": b"x = 1\neval(y)\n", "gone.py": None}
    reported = [
        Reported(rule=EVAL_RULE, finding=finding("eval(y)", line=2)),
        Reported(rule=EVAL_RULE, finding=finding("eval(y)", line=77)),
        Reported(rule=EVAL_RULE, finding=finding("eval(y)", path="gone.py")),
        Reported(
            rule=EVAL_RULE,
            finding=Finding(
                rule_id="r", message="m", severity=Severity.LOW,
                location=Location(path=PurePosixPath("a.py")),
            ),
        ),
    ]  # fmt: skip
    hashed = list(with_line_hashes(reported, lambda path: files[str(path)]))
    assert [one.line_hash for one in hashed] == [
        line_hashes(files["a.py"] or b"", [2])[2], "", "", "",
    ]  # fmt: skip
    assert [one.finding for one in hashed] == [one.finding for one in reported]
