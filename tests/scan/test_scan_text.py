"""Rules on any text: which files they see, what their groups are, and that nothing is left out."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from tavo.detect import backtracking
from tavo.scan.engine import FileResult, scan, scan_source
from tavo.scan.files import SourceFile, walk
from tavo.scan.languages import is_source
from tavo.scan.rule import RuleSet
from tavo.scan.rule_source import RuleSource
from tavo.scan.rules import load_rules
from tavo.scan.suppress import ignores_in


def rules_of(tmp_path: Path, *rules: dict[str, Any]) -> RuleSet:
    file = tmp_path / "rules.yaml"
    usual = {"message": "found $1", "severity": "WARNING", "languages": ["regex"]}
    file.write_text(json.dumps({"rules": [
        {"id": f"r{number}", **usual, **rule} for number, rule in enumerate(rules)
    ]}))  # fmt: skip
    loaded = load_rules([file])
    assert loaded.problems == []
    return loaded


def texts(result: FileResult, source: str) -> list[str]:
    lines = source.split("\n")
    out = []
    for hit in result.hits:
        region = hit.finding.location.region
        assert region is not None
        first = sum(len(line) + 1 for line in lines[: region.start_line - 1]) + region.start_column
        last = sum(len(line) + 1 for line in lines[: region.end_line - 1]) + region.end_column
        out.append(source[first - 1 : last - 1])
    return out


@pytest.mark.parametrize(
    ("rule", "source", "wanted"),
    [
        ({"pattern-regex": "a+"}, "xaab a", ["aa", "a"]),
        ({"pattern": "a+"}, "xaab", ["aa"]),
        ({"pattern-regex": "^b$"}, "é\nb\nbb", ["b"]),
        ({"patterns": [{"pattern-regex": "a.*"}, {"pattern-not-regex": "=b"}]},
         "a=b\na=c", ["a=c"]),
        ({"patterns": [{"pattern-regex": "(a+)=(b+)"}, {"focus-metavariable": "$2"}]},
         "éaa=bb", ["bb"]),
        ({"patterns": [{"pattern-regex": "(?P<KEY>\\w+)=(?P<V>\\w+)"},
                       {"metavariable-regex": {"metavariable": "$V", "regex": "b"}}]},
         "a=c x=bb", ["x=bb"]),
        ({"patterns": [{"pattern-regex": "k=(\\d+)"},
                       {"metavariable-comparison": {"comparison": "$1 > 5"}}]}, "k=3 k=9", ["k=9"]),
        ({"patterns": [{"pattern-regex": "(a)b"}, {"pattern-regex": "(.*)"}]},
         "abab", ["ab", "ab"]),
        ({"patterns": [{"pattern-inside": {"pattern-regex": "<[^>]*>"}}, {"pattern-regex": "b+"}]},
         "<abb> b", ["bb"]),
        ({"pattern-either": [{"pattern-regex": "a"}, {"pattern-regex": "b(?!c)"}]},
         "a bc b", ["a", "b"]),
    ],
)  # fmt: skip
def test_what_a_regular_expression_finds(
    tmp_path: Path, rule: dict[str, Any], source: str, wanted: list[str]
) -> None:
    result = scan_source(source.encode(), PurePosixPath("any.txt"), rules_of(tmp_path, rule))
    assert texts(result, source) == wanted
    assert result.problems == ()


def test_groups_are_in_the_message_and_the_evidence(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, {"pattern-regex": "key=(\\w+)"})
    (hit,) = scan_source(b"key=abc", PurePosixPath("Dockerfile"), rules).hits
    assert hit.finding.message == "found abc"
    assert hit.finding.evidence == {"$1": "abc"}


def test_a_rule_sees_the_files_of_its_paths_and_others_are_not_read(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, {"pattern-regex": "a", "paths": {"include": ["Dockerfile*"]}})
    assert rules.wants(PurePosixPath("x/Dockerfile.dev"))
    assert not rules.wants(PurePosixPath("notes.md"))
    assert not RuleSet().wants(PurePosixPath("notes.md"))
    none = RuleSource([tmp_path / "rules.yaml"])
    assert none.wants(PurePosixPath("a.py"))  # source is looked at in any case
    assert not none.wants(PurePosixPath("notes.md"))


def test_source_is_text_too_and_its_strings_hold_no_ignore_comments(tmp_path: Path) -> None:
    rules = rules_of(
        tmp_path, {"pattern-regex": "run"}, {"pattern": "run(...)", "languages": ["python", "js"]}
    )
    source = 'run("# nosemgrep")\nrun(1)  # tavo: ignore[r0] a test\n'
    result = scan_source(source.encode(), PurePosixPath("a.py"), rules)
    found = [(hit.finding.rule_id, hit.ignore is not None) for hit in result.hits]
    assert found == [("r0", False), ("r1", False), ("r0", True), ("r1", False)]


@pytest.mark.parametrize(
    "comment",
    ["# nosemgrep: r0", "<!-- nosemgrep -->", "// nosem", "/* tavo: ignore[r0] known */",
     "-- nosemgrep", "; nosemgrep: r0", "<!-- tavo: ignore[r0] known -->"],
)  # fmt: skip
def test_ignore_comments_in_any_text(tmp_path: Path, comment: str) -> None:
    rules = rules_of(tmp_path, {"pattern-regex": "bad"})
    (hit,) = scan_source(f"bad {comment}\n".encode(), PurePosixPath("a.md"), rules).hits
    assert hit.ignore is not None
    assert hit.ignore.reason in {"nosemgrep", "known"}


def test_ignore_comments_in_json_are_the_value_of_a_key(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, {"pattern-regex": "bad|worse"})
    source = (
        '{\n  "//": "tavo: ignore[r0] known",\n  "a": "bad",\n'
        '  "//2": "tavo: ignore[r0]", "b": "worse"\n}\n'
    )
    result = scan_source(source.encode(), PurePosixPath("a.json"), rules)
    assert [hit.ignore and hit.ignore.reason for hit in result.hits] == ["known", None]
    assert result.problems == ("line 4: `tavo: ignore` has no reason and does not hold",)
    kept = ignores_in(PurePosixPath("a.json"), source.encode())
    assert [(n, one[0].reason) for n, one in kept.by_line.items()] == [(2, "known"), (3, "known")]


def scanned(folder: Path, rules: RuleSet, *, largest: int = 1 << 20) -> dict[str, FileResult]:
    files = [
        file
        for file in walk([folder], folder)
        if is_source(file.relative) or rules.wants(file.relative)
    ]
    results = scan(files, rules, rule_paths=[], largest=largest)
    return {str(result.path): result for result in results}


def test_bad_input_is_scanned_or_named(tmp_path: Path) -> None:
    rules = rules_of(
        tmp_path,
        {"pattern-regex": "sec(ret)"},
        {"pattern": "se ... cret", "languages": ["generic"]},
    )
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "mixed.txt").write_bytes("é secret ".encode() + b"\xe9\xff secret\n")
    (folder / "binary.bin").write_bytes(b"\0\1secret" * 9)
    (folder / "huge.bin").write_bytes(b"\0" * (2 << 20))
    (folder / "huge.log").write_bytes(b"secret " * 1_300_000)
    (folder / "line.txt").write_bytes(b"x" * 900_000 + b" secret")
    (folder / "utf16.txt").write_bytes("a secret".encode("utf-16"))
    (folder / "loop").symlink_to(folder)
    (folder / "gone.txt").symlink_to(folder / "nothing")
    (folder / "out.txt").symlink_to("/etc/passwd")
    results = scanned(folder, rules)
    assert len(results["mixed.txt"].hits) == 2
    region = results["mixed.txt"].hits[1].finding.location.region
    assert region is not None
    assert region.start_column == 13
    assert results["binary.bin"] == FileResult(PurePosixPath("binary.bin"), scanned=False)
    assert results["huge.bin"].problems == ()
    assert "too large" in results["huge.log"].problems[0]
    assert len(results["line.txt"].hits) == 1
    assert len(results["utf16.txt"].hits) == 1
    assert "out.txt" not in results
    assert not any(name.startswith("loop") for name in results)


def test_a_file_that_changes_or_goes_between_walk_and_scan_is_named(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, {"pattern-regex": "a"})
    file = SourceFile(tmp_path / "gone.txt", PurePosixPath("gone.txt"))
    (result,) = scan([file], rules, rule_paths=[])
    assert result.problems[0].startswith("cannot be read")


def test_more_matches_than_the_limit_are_named(tmp_path: Path) -> None:
    rules = rules_of(tmp_path, {"pattern-regex": "a"}, {"pattern-regex": "b"})
    result = scan_source(b"a" * 30_000 + b"b", PurePosixPath("a.txt"), rules)
    assert [hit.finding.rule_id for hit in result.hits] == ["r1"]
    assert result.problems == (
        "rule r0 was stopped: more than 20,000 matches of one expression",
    )  # fmt: skip


def test_a_regex_bomb_stops_its_rule_only_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backtracking, "DEADLINE_S", 0.3)
    rules = rules_of(tmp_path, {"pattern-regex": r"(x+x+)+(?!q)y\1"}, {"pattern-regex": "(x+x+)+y"})
    results = [
        scan_source(b"x" * 60 + b"y", PurePosixPath(f"{number}.txt"), rules) for number in range(5)
    ]
    for result in results:
        assert [hit.finding.rule_id for hit in result.hits] == ["r1"]
    assert "took longer" in results[0].problems[0]
    assert "was given up: it was late 3 times" in results[4].problems[0]


def test_a_rule_file_full_of_what_is_not_supported_keeps_the_rest(tmp_path: Path) -> None:
    usual = {"message": "m", "severity": "LOW", "languages": ["regex"]}
    rules = [{"id": f"bad{n}", **usual, "pattern-regex": bad} for n, bad in enumerate(
        ["(?R)", "(?<=a*)b", "(", "(*FAIL)(?=a)", r"\K(?=a)"])]  # fmt: skip
    rules += [
        {"id": "bad-language", **usual, "languages": ["ruby"], "pattern": "a($X)"},
        {"id": "bad-key", **usual, "pattern-regex": "a", "pattern-where": "x"},
        {"id": "good", **usual, "pattern-regex": "a"},
    ]
    (tmp_path / "rules.yaml").write_text(json.dumps({"rules": rules}))
    loaded = load_rules([tmp_path / "rules.yaml"])
    assert set(loaded.rules) == {"good"}
    assert {problem.rule_id for problem in loaded.problems} == {
        rule["id"] for rule in rules if rule["id"] != "good"
    }
