"""Agreement of tavo and semgrep on the annotated samples that stand beside rules, rule by rule.

`agreement.py --fixtures RULES` runs it. Rules this module keeps:
- a rule is compared on the samples of its own file, in each language that it and a sample have;
- semgrep runs once over copies of all samples with all rules; its answer is kept in .build/ for as
  long as rules and samples stay the same;
- what a rule says of paths is left out for both: the samples lie where they lie;
- nothing is dropped: a rule that either tool refuses, or that has no sample, is counted.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from measure import WORK, run
from msgspec.structs import replace

from tavo.errors import ConfigError
from tavo.scan.engine import scan_source
from tavo.scan.files import decode
from tavo.scan.rule import RuleSet
from tavo.scan.rule_files import read_rule_file
from tavo.scan.rules import load_rules

ENDINGS = {
    "python": (".py",),
    "javascript": (".js", ".jsx", ".mjs", ".cjs"),
    "typescript": (".ts", ".tsx", ".mts", ".cts"),
}
_NAMES = {
    "py": "python", "python2": "python", "python3": "python", "js": "javascript",
    "jsx": "javascript", "ts": "typescript", "tsx": "typescript",
}  # fmt: skip
_LOOK_AROUND = re.compile(r"\(\?<?[=!]")
_REGEX_KEYS = frozenset({"regex", "pattern-regex", "pattern-not-regex"})
Place = tuple[int, int]  # a sample by its number, and a line of it


@dataclass(slots=True, kw_only=True)
class Case:
    """A rule, its samples by number, and what each tool said of them; None: refused."""

    rule_id: str
    file: Path
    entry: Mapping[str, Any]
    samples: list[int]
    mine: set[Place] | None = None
    peers: set[Place] | None = None
    reason: str = ""

    @property
    def looks_around(self) -> bool:
        return any(_LOOK_AROUND.search(text) for text in _regexes(self.entry))

    @property
    def languages(self) -> set[str]:
        names = (str(name).lower() for name in self.entry.get("languages") or ())
        return {_NAMES.get(name, name) for name in names}


@dataclass(slots=True)
class Corpus:
    """All rules of a folder for some languages, and their samples by number."""

    cases: list[Case] = field(default_factory=list)
    bare: list[Case] = field(default_factory=list)  # no sample
    samples: list[Path] = field(default_factory=list)


def corpus(folder: Path, languages: frozenset[str]) -> Corpus:
    """Read the rules of a folder that are for one of the languages, and find their samples."""
    found = Corpus()
    endings = {end for language in languages for end in ENDINGS[language]}
    for file in sorted(p for p in folder.rglob("*.y*ml") if ".test." not in p.name):
        try:
            entries = read_rule_file(file)
        except (ConfigError, ValueError):
            continue  # not a rule file
        own = [
            path
            for path in sorted(file.parent.iterdir())
            if path.name.startswith(f"{file.stem}.") and path.suffix in endings
            if path.is_file() and ".fixed." not in path.name
        ]
        numbers = {path: len(found.samples) + n for n, path in enumerate(own)}
        used = False
        for entry in entries:
            case = Case(rule_id=str(entry.get("id")), file=file, entry=entry, samples=[])
            ends = {end for name in case.languages & languages for end in ENDINGS[name]}
            case.samples = [number for path, number in numbers.items() if path.suffix in ends]
            if case.samples:
                found.cases.append(case)
                used = True
            elif ends:
                found.bare.append(case)
        if used:
            found.samples += own
    return found


def ours(found: Corpus) -> None:
    """Let tavo look at the samples of each rule."""
    loaded: dict[Path, RuleSet] = {}
    texts: dict[int, bytes] = {}
    for case in found.cases:
        if case.file not in loaded:
            loaded[case.file] = load_rules([case.file])
        rules = loaded[case.file]
        if case.rule_id not in rules.rules:
            reasons = [p.reason for p in rules.problems if p.rule_id in {case.rule_id, ""}]
            case.reason = reasons[0] if reasons else "not loaded"
            continue
        first = rules.rules[case.rule_id]
        bare = [replace(one, include=None, exclude=None) for one in (first, *first.others)]
        rule = replace(bare[0], others=tuple(bare[1:]))
        alone = RuleSet(rules={case.rule_id: rule})
        case.mine = set()
        for number in case.samples:
            path = found.samples[number]
            if number not in texts:
                texts[number] = decode(path.read_bytes(), lossy=True).data
            result = scan_source(texts[number], PurePosixPath(path.name), alone)
            if stopped := [p for p in result.problems if "was stopped" in p]:
                case.reason = stopped[0]
            for hit in result.hits:
                if (region := hit.finding.location.region) is not None:
                    case.mine.add((number, region.start_line))


def theirs(tool: Path, found: Corpus) -> bool:
    """Let semgrep look at copies of all samples at once; return whether it ran."""
    rules = [
        {**{k: v for k, v in case.entry.items() if k != "paths"}, "id": f"r{number}"}
        for number, case in enumerate(found.cases)
    ]
    text = json.dumps(rules, sort_keys=True, default=str).encode()
    state = hashlib.sha256(text)
    for sample in found.samples:
        state.update(f"{sample.name}\0".encode() + sample.read_bytes())
    folder = WORK / "fixtures" / state.hexdigest()[:16]
    out = folder / "semgrep.json"
    if not out.is_file():
        targets = folder / "samples"
        for number, sample in enumerate(found.samples):
            copy = targets / str(number) / sample.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(sample.read_bytes())
        (folder / "rules.yaml").write_text(yaml.safe_dump({"rules": rules}, sort_keys=False))
        partial = folder / "partial.json"
        run(
            [str(tool), "scan", "--config", str(folder / "rules.yaml"), "--metrics", "off",
             "--disable-version-check", "--no-git-ignore", "--x-ignore-semgrepignore-files",
             "--disable-nosem", "--timeout", "60", "-j", "2", "--max-target-bytes", "0",
             "--json", "-o", str(partial), "--quiet", str(targets)],
            env={"PATH": f"{tool.parent}:/usr/bin:/bin"},
        )  # fmt: skip
        if not partial.is_file():
            return False
        partial.rename(out)
    answer = json.loads(out.read_text())
    refused = {
        str(error.get("rule_id", "")).split(".")[-1]
        for error in answer["errors"]
        if error.get("rule_id") and not error.get("path") and error.get("level") == "error"
    }
    for number, case in enumerate(found.cases):
        case.peers = None if f"r{number}" in refused else set()
    for result in answer["results"]:
        case = found.cases[int(result["check_id"].split(".")[-1][1:])]
        place = int(Path(result["path"]).parent.name), int(result["start"]["line"])
        if case.peers is not None and place[0] in case.samples:
            case.peers.add(place)
    return True


def compare(folder: Path, tool: Path | None, languages: frozenset[str], rows: int) -> None:
    """Print how many rules of a folder say the same in both tools, and name the others."""
    found = corpus(folder, languages)
    if tool is None or not theirs(tool, found):
        for language in sorted(languages):
            print(f"{language}: not measured")
        return
    ours(found)
    print(
        "| language | rules with samples | identical | share | of these both silent | refused |"
        " different | no samples |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for language in sorted(languages):
        cases = [case for case in found.cases if language in _spoken(case, found)]
        same = [case for case in cases if case.mine is not None and _same(case, language, found)]
        refused = [case for case in cases if case.mine is None]
        bare = sum(language in case.languages for case in found.bare)
        silent = sum(not case.mine for case in same)
        share = f"{len(same) / len(cases):.1%}" if cases else ""
        print(
            f"| {language} | {len(cases)} | {len(same)} | {share} | {silent} | {len(refused)} |"
            f" {len(cases) - len(same) - len(refused)} | {bare} |"
        )
    for reason, count in Counter(
        _bare_reason(case.reason) for case in found.cases if case.mine is None
    ).most_common():
        print(f"refused {count}: {reason}")
    for case in found.cases:
        if case.mine is None:
            print(f"  refused: {case.rule_id} ({case.file.relative_to(folder)})")
    for case in found.cases:
        if case.looks_around:
            print(f"look-around: {case.rule_id}: {_verdict(case)}")
    different = [c for c in found.cases if c.mine is not None and c.mine != c.peers]
    for case in different[:rows]:
        print(f"different: {case.file.relative_to(folder)} {case.rule_id}: {_shown(case, found)}")
    if len(different) > rows:
        print(f"different: {len(different) - rows} more; name more with --rows", file=sys.stderr)


# -- inside


def _regexes(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key in _REGEX_KEYS and isinstance(item, str):
                yield item
            else:
                yield from _regexes(item)
    elif isinstance(value, list):
        for item in value:
            yield from _regexes(item)
    elif isinstance(value, str) and "=~/" in value:
        yield value


def _spoken(case: Case, found: Corpus) -> set[str]:
    """Return the languages in which a rule is compared: its own, and those of its samples."""
    ends = {found.samples[number].suffix for number in case.samples}
    return {name for name in case.languages if ends & set(ENDINGS.get(name, ()))}


def _same(case: Case, language: str, found: Corpus) -> bool:
    """Tell whether both tools say the same of the samples in one language."""

    def of(places: set[Place] | None) -> set[Place] | None:
        if places is None:
            return None
        return {p for p in places if found.samples[p[0]].suffix in ENDINGS[language]}

    return of(case.mine) == of(case.peers)


def _verdict(case: Case) -> str:
    if case.mine is None:
        return "refused"
    return "identical" if case.mine == case.peers else "different"


def _shown(case: Case, found: Corpus) -> str:
    if case.peers is None:
        return "semgrep refuses the rule"
    mine = case.mine or set()

    def lines(places: set[Place]) -> str:
        return " ".join(f"{found.samples[n].name}:{line}" for n, line in sorted(places))

    parts = [
        f"only tavo {lines(mine - case.peers)}" if mine - case.peers else "",
        f"only semgrep {lines(case.peers - mine)}" if case.peers - mine else "",
        case.reason,
    ]
    return "; ".join(filter(None, parts))


def _bare_reason(reason: str) -> str:
    """Return why a rule was refused without the place in it."""
    return re.sub(r"^(?:rule|pattern)[\w$.\[\]-]*: (?:[\w$.\[\]-]+: )*", "", reason)[:90]
