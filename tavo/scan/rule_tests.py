"""Rules against their samples: comments in the samples say where each rule has to find something.

Rules this module keeps:
- `ruleid:` in a comment says that the next line is found, `ok:` that it is not; `todoruleid:` and
  `todook:` say what should be so one day, and judge nothing;
- what a rule finds on any other line of its samples is not expected;
- `samplepath:` in the first comment says where the file would stand in a project: then
  its language is the one of that name, and the rule's `paths` count;
- a rule without samples, and a sample that was not looked at in full, is named.

Source of the annotations: Semgrep's documentation, "Testing rules".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import msgspec
from msgspec.structs import replace

from tavo.errors import InputError
from tavo.scan.engine import LARGEST_FILE, scan_source
from tavo.scan.files import SourceFile, UnreadableError, decode, read
from tavo.scan.rule import RuleSet, ScanRule

__all__ = ["Difference", "RuleTest", "annotated_lines", "place_of", "run_tests"]

# JSON has no comments: there a key "//" holds what a comment would say.
_COMMENT = r"(?:\"//\d*\"\s*:\s*\"|#|//|/\*|<!--|--|;|%|\{\{!)[-\s*]*\b"
_ANNOTATION = re.compile(
    _COMMENT + r"(?P<kind>ruleid|ok|todoruleid|todook|samplepath)\s*:\s*(?P<ids>.+)"
)
_PLACE = re.compile(r"[{\s]*" + _COMMENT + r"samplepath\s*:\s*(?P<path>[^\s\"]+)")
_ID = re.compile(r"[\w.\-]+")
_RULE_SUFFIXES = frozenset({".yaml", ".yml"})


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Lines of a sample, from 1, on which a rule found nothing, or something, against its word."""

    sample: Path
    missing: tuple[int, ...] = ()
    unexpected: tuple[int, ...] = ()
    problems: tuple[str, ...] = ()


class RuleTest(msgspec.Struct, frozen=True, kw_only=True):
    """What a test of one rule said: how many lines were as expected, and what differs."""

    rule_id: str
    file: Path
    samples: int
    right: int
    todo: int
    differences: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        """Tell whether the rule has samples and all of them are as they say."""
        return self.samples > 0 and not self.differences


def run_tests(rules: RuleSet, samples: Path | None = None) -> Iterator[RuleTest]:
    """Try each rule on its samples; its `paths` count only for those that say their own path.

    They stand beside the rule's file under its name with another ending, such as `a.yaml`, `a.py`
    and `a.test.js`; with `samples`, in that folder, or there in one with the rule's id. Raises
    InputError for a folder that is none.
    """
    if samples is not None and not samples.is_dir():
        raise InputError(
            f"{samples}: no such folder", hint="Name the folder that holds the samples."
        )
    for rule_id, rule in rules.rules.items():
        found = [_tried(rule_id, rule, path) for path in _samples_of(rule, samples)]
        yield RuleTest(
            rule_id=rule_id,
            file=rule.file,
            samples=len(found),
            right=sum(right for right, _, _ in found),
            todo=sum(todo for _, todo, _ in found),
            differences=tuple(
                one
                for _, _, one in found
                if one.missing or one.unexpected or one.problems
            ),
        )  # fmt: skip


def _without_paths(rule: ScanRule) -> ScanRule:
    others = tuple(replace(one, include=None, exclude=None) for one in rule.others)
    return replace(rule, include=None, exclude=None, others=others)


def _samples_of(rule: ScanRule, samples: Path | None) -> Sequence[Path]:
    stem = rule.file.stem
    folders = [rule.file.parent] if samples is None else [samples, samples / rule.rule.id]
    found: list[Path] = []
    for folder in folders:
        whole = samples is not None and folder.name == rule.rule.id
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            own = path.name.startswith(f"{stem}.") or whole
            rules = path.suffix in _RULE_SUFFIXES and ".test." not in path.name and not whole
            if own and path.is_file() and not rules and ".fixed." not in path.name:
                found.append(path)
    return found


def _tried(rule_id: str, rule: ScanRule, path: Path) -> tuple[int, int, Difference]:
    """Return how many lines are right, how many are still to do, and what differs."""
    try:
        data = decode(read(SourceFile(path, PurePosixPath(path.name)), largest=LARGEST_FILE)).data
    except UnreadableError as error:
        return 0, 0, Difference(sample=path, problems=(str(error),))
    text = data.decode("utf-8", "replace")
    place = place_of(text)
    tried = rule if place is not None else _without_paths(rule)
    one = RuleSet(rules={rule_id: tried})
    result = scan_source(data, place or PurePosixPath(path.name), one)
    regions = [hit.finding.location.region for hit in result.hits]
    found = {region.start_line for region in regions if region is not None}
    words = annotated_lines(text, rule.rule.id)
    todo = words["todoruleid"] | words["todook"]
    missing = words["ruleid"] - found
    unexpected = found - words["ruleid"] - todo
    right = len(words["ruleid"] & found) + len(words["ok"] - found)
    stopped = tuple(p for p in result.problems if not p.startswith("parsed in part"))
    difference = Difference(
        sample=path,
        missing=tuple(sorted(missing)),
        unexpected=tuple(sorted(unexpected)),
        problems=stopped,
    )
    return right, len(todo), difference


def place_of(text: str) -> PurePosixPath | None:
    """Return the path that a sample says it would have in a project, None for none."""
    found = _PLACE.match(text)
    return PurePosixPath(found["path"]) if found is not None else None


def annotated_lines(text: str, rule_id: str) -> dict[str, set[int]]:
    """Return the lines that the comments of a sample speak of, by kind of comment."""
    lines = text.split("\n")
    words: dict[str, set[int]] = {
        "ruleid": set(),
        "ok": set(),
        "todoruleid": set(),
        "todook": set(),
    }
    waiting: list[str] = []
    for number, line in enumerate(lines, start=1):
        found = _ANNOTATION.search(line)
        if found is not None:
            ids = {name.split(".")[-1] for name in _ID.findall(found["ids"])}
            if found["kind"] in words and rule_id.split(".")[-1] in ids:
                waiting.append(found["kind"])
            continue
        for kind in waiting:
            words[kind].add(number)
        waiting = []
    return words
