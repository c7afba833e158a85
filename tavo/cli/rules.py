"""`tavo rules`: which rules there are, and whether they hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli import rules_packs
from tavo.cli.context import Session, session_of
from tavo.cli.render import table
from tavo.errors import ExitCode, UsageError
from tavo.printable import counted, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from tavo.logs.sigma.samples import Tried
    from tavo.plugins import Rule
    from tavo.scan.rule import RuleSet
    from tavo.scan.rule_source import RuleProblem
    from tavo.scan.rule_tests import RuleTest

__all__ = ["register"]

Rules = Annotated[
    list[Path] | None,
    typer.Option("--rules", metavar="PATH", help="Rule file or folder besides the built-in pack."),
]


def register(app: typer.Typer) -> None:
    """Add the group to the root command."""
    group = typer.Typer(help="The rules of a scan.", no_args_is_help=True)
    group.command("list")(list_rules)
    group.command("show")(show)
    group.command("test")(try_rules)
    group.command("validate")(validate)
    rules_packs.register(group)
    app.add_typer(group, name="rules")


def list_rules(
    context: typer.Context,
    rules: Rules = None,
    owasp: Annotated[
        list[str] | None,
        typer.Option("--owasp", metavar="ID", help="Only for this risk, such as LLM05 or ASI02."),
    ] = None,
    cwe: Annotated[
        list[str] | None,
        typer.Option("--cwe", metavar="ID", help="Only for this weakness, such as CWE-78."),
    ] = None,
    atlas: Annotated[
        list[str] | None,
        typer.Option("--atlas", metavar="ID", help="Only for this technique of MITRE ATLAS."),
    ] = None,
    language: Annotated[
        list[str] | None,
        typer.Option("--language", metavar="NAME", help="Only for this language, such as python."),
    ] = None,
    logs: Annotated[bool, typer.Option("--logs", help="The rules for logs instead.")] = False,
) -> None:
    """List the rules by id, with severity and title; each option may stand several times."""
    session = session_of(context)
    languages = _languages(language or [])
    entries: Iterable[Any]
    if logs:
        from tavo.cli.rules_logs import known

        entries = known(rules or []).values()
        about = [one.about for one in entries]
    else:
        entries = [
            entry
            for entry in _load(session, rules).values()
            if not languages or any(e.language in languages for e in (entry, *entry.others))
        ]
        about = [entry.rule for entry in entries]
    found = [
        rule
        for rule in about
        if _names_one(rule.owasp, owasp)
        and _names_one(rule.cwe, [f"CWE-{one.upper().removeprefix('CWE-')}" for one in cwe or []])
        and _names_one(_atlas(rule), atlas)
    ]
    if not found and not session.json:
        session.say("No rule is about all of that; `tavo rules list` names all rules.")
        return
    if session.json:
        from tavo.results.export.explanation import rule_value

        session.print_json([rule_value(rule) for rule in found])
        return
    table(
        ("rule", "severity", "confidence", "title"),
        [(r.id, r.severity.value, r.confidence.value, r.title) for r in found],
        color=session.color,
    )


def show(
    context: typer.Context,
    rule_id: Annotated[str, typer.Argument(metavar="RULE", help="The rule's id.")],
    rules: Rules = None,
) -> None:
    """Show a rule's text as it stands in its file."""
    session = session_of(context)
    known = _load(session, rules)
    rule = known.get(rule_id)
    if rule is None:
        from tavo.cli.rules_logs import known as for_logs

        rule = for_logs().get(rule_id)
    if rule is None:
        raise _unknown(rule_id, list(known))
    session.say(f"{rule.file}")
    print(rule.file.read_text("utf-8"), end="")


def validate(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Rule files or folders.")],
) -> None:
    """Check rule files; name every rule that cannot be used, and why."""
    from tavo.cli.rules_logs import apart, validated
    from tavo.errors import ConfigError
    from tavo.scan.rules import load_rules

    paths, sigma = apart(paths)
    loaded = load_rules(paths)
    problems = [*loaded.problems, *_names_nobody_knows(loaded)]
    wrong = {problem.rule_id for problem in problems[len(loaded.problems) :]}
    usable, for_logs = validated(sigma) if sigma else (0, [])
    said = [*map(str, problems), *for_logs]
    for problem in said:
        print(printable(problem))
    count = counted(len(said), "problem")
    usable += len(loaded.rules) - len(wrong)
    session_of(context).say(f"{counted(usable, 'rule')} can be used; {count}.")
    if said:
        raise ConfigError(f"rules validate: {count}, named above")


def _names_nobody_knows(loaded: RuleSet) -> Iterator[RuleProblem]:
    """Yield what is wrong with rules that yield to ones that are neither there nor ours."""
    from tavo.scan.precedence import YIELDS_TO
    from tavo.scan.rule_source import RuleProblem
    from tavo.scan.rules import PACK, load_rules

    known = {*loaded.rules, *(problem.rule_id for problem in loaded.problems)}
    if any(not known.issuperset(named) for named in loaded.yields.values()):
        known |= load_rules([PACK]).rules.keys()
    for rule_id, named in loaded.yields.items():
        for name in named:
            if name not in known and ":" not in name:  # a plugin's rule, which is not here
                yield RuleProblem(
                    file=loaded.rules[rule_id].file, rule_id=rule_id,
                    reason=f"{YIELDS_TO}: there is no rule {name!r} here or in our own pack",
                )  # fmt: skip


def try_rules(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Rule files or folders.")],
    samples: Annotated[
        Path | None,
        typer.Option("--samples", metavar="DIR", help="Where the samples are, if not beside."),
    ] = None,
) -> None:
    """Try rules on samples that say where they find something; exit 1 when that differs."""
    from tavo.cli.rules_logs import apart, tried, tried_lines, tried_value
    from tavo.errors import ConfigError
    from tavo.scan.rule_tests import run_tests
    from tavo.scan.rules import load_rules

    session = session_of(context)
    paths, sigma = apart(paths)
    loaded = load_rules(paths)
    tests = list(run_tests(loaded, samples))
    for_logs, refused = tried(sigma) if sigma else ([], [])
    problems = [*map(str, loaded.problems), *refused]
    every: list[RuleTest | Tried] = [*tests, *for_logs]
    if session.json:
        session.print_json({
            "rules": [*map(_test_value, tests), *map(tried_value, for_logs)], "problems": problems,
        })  # fmt: skip
    else:
        for line in (*_test_lines(tests), *tried_lines(for_logs)):
            print(printable(line))
        for problem in problems:
            print(printable(f"cannot be used: {problem}"))
        session.say(_test_summary(every, len(problems)))
    if any(one.differences for one in every):
        raise typer.Exit(int(ExitCode.FINDINGS))
    if problems:
        raise ConfigError(f"{counted(len(problems), 'rule')} cannot be used, named above")
    if not any(one.samples for one in every):
        raise UsageError(
            "rules test: no rule has a sample",
            hint="Put a.py with `# ruleid: NAME` beside a.yaml, or name a folder with --samples.",
        )


def _test_lines(tests: list[RuleTest]) -> Iterator[str]:
    for one in tests:
        if not one.samples:
            yield f"no samples  {one.rule_id}"
        elif one.passed:
            todo = f", {one.todo} to do" if one.todo else ""
            yield f"ok          {one.rule_id}: {counted(one.right, 'line')}{todo}"
        else:
            yield f"differs     {one.rule_id}"
        for difference in one.differences:
            for word, lines in (
                ("missing", difference.missing), ("unexpected", difference.unexpected),
            ):  # fmt: skip
                for line in lines:
                    yield f"            {difference.sample}:{line}: {word}"
            for problem in difference.problems:
                yield f"            {difference.sample}: {problem}"


def _test_summary(tests: Sequence[RuleTest | Tried], refused: int) -> str:
    passed = sum(bool(one.samples) and not one.differences for one in tests)
    differing = sum(bool(one.differences) for one in tests)
    parts = [f"{passed} as expected", f"{differing} different",
             f"{sum(not one.samples for one in tests)} without samples",
             f"{refused} that cannot be used"]  # fmt: skip
    return f"Rules: {', '.join(parts)}."


def _test_value(one: RuleTest) -> dict[str, Any]:
    return {
        "id": one.rule_id, "file": str(one.file), "samples": one.samples, "right": one.right,
        "todo": one.todo, "passed": one.passed,
        "differences": [
            {"sample": str(d.sample), "missing": list(d.missing),
             "unexpected": list(d.unexpected), "problems": list(d.problems)}
            for d in one.differences
        ],
    }  # fmt: skip


def _names_one(names: Sequence[str], wanted: Sequence[str] | None) -> bool:
    """Tell whether one of the names is wanted, or a part of what is: LLM05 is LLM05:2025."""
    return not wanted or any(
        name == one.upper() or name.startswith((f"{one.upper()}:", f"{one.upper()}."))
        for name in names
        for one in wanted
    )


def _languages(names: Sequence[str]) -> set[str]:
    """Return the languages as rules call them. Raises UsageError for one that is not known."""
    from tavo.scan.languages import LANGUAGES

    for name in names:
        if name.lower() not in LANGUAGES:
            raise UsageError(
                f"rules list: there are no rules for {name!r}",
                hint=f"Languages: {', '.join(dict.fromkeys(LANGUAGES.values()))}.",
            )
    return {LANGUAGES[name.lower()] for name in names}


def _load(session: Session, paths: list[Path] | None) -> dict[str, Any]:
    """Return the rules by id; say how many cannot be used."""
    from tavo.scan.rules import PACK, load_rules

    loaded = load_rules([PACK, *(paths or [])])
    if loaded.problems:
        session.say(
            f"{counted(len(loaded.problems), 'rule')} cannot be used: see `tavo rules validate`."
        )
    return loaded.rules


def _unknown(rule_id: str, known: list[str]) -> UsageError:
    import difflib

    near = difflib.get_close_matches(rule_id, known, n=1)
    return UsageError(
        f"there is no built-in rule {rule_id!r}",
        hint=(f"Did you mean {near[0]}? " if near else "`tavo rules list` names all of them. ")
        + "What a plugin's rule means stands below the findings of a scan, and in its JSON.",
    )


def _atlas(rule: Rule) -> list[str]:
    """Return the techniques of MITRE ATLAS that a rule is about; they are among its tags."""
    return [tag for tag in rule.tags if tag.startswith("AML.")]
