"""`tavo rules` and `tavo explain`: which rules there are, and what a finding means."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tavo.cli.context import session_of
from tavo.cli.render import table
from tavo.errors import UsageError
from tavo.printable import printable

if TYPE_CHECKING:
    from tavo.plugins import Rule

__all__ = ["register"]

Rules = Annotated[
    list[Path] | None,
    typer.Option("--rules", metavar="PATH", help="Rule file or folder besides the built-in pack."),
]


def register(app: typer.Typer) -> None:
    """Add the commands to the root command."""
    group = typer.Typer(help="The rules of a scan.", no_args_is_help=True)
    group.command("list")(list_rules)
    group.command("show")(show)
    group.command("validate")(validate)
    app.add_typer(group, name="rules")
    app.command("explain")(explain)


def list_rules(context: typer.Context, rules: Rules = None) -> None:
    """List the rules by id, with severity and title."""
    session = session_of(context)
    found = [rule.rule for rule in _load(rules).values()]
    if session.json:
        session.print_json([_value(rule) for rule in found])
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
    known = _load(rules)
    rule = known.get(rule_id)
    if rule is None:
        raise _unknown(rule_id, list(known))
    session_of(context).say(f"{rule.file}")
    print(rule.file.read_text("utf-8"), end="")


def validate(
    context: typer.Context,
    paths: Annotated[list[Path], typer.Argument(metavar="PATH...", help="Rule files or folders.")],
) -> None:
    """Check rule files; name every rule that cannot be used, and why."""
    from tavo.errors import ConfigError
    from tavo.scan.rules import load_rules

    loaded = load_rules(paths)
    for problem in loaded.problems:
        print(printable(str(problem)))
    session_of(context).say(
        f"{len(loaded.rules)} rules can be used, {len(loaded.problems)} cannot."
    )
    if loaded.problems:
        raise ConfigError(f"{len(loaded.problems)} rules cannot be used, named above")


def explain(
    context: typer.Context,
    rule_id: Annotated[str, typer.Argument(metavar="RULE", help="The rule's id.")],
    rules: Rules = None,
) -> None:
    """Say why a rule matters, how to mend what it finds, and how to ignore it with a reason."""
    session = session_of(context)
    known = _load(rules)
    if rule_id not in known:
        raise _unknown(rule_id, list(known))
    rule = known[rule_id].rule
    if session.json:
        session.print_json(_value(rule))
        return
    print(printable(f"{rule.id}: {rule.title}"))
    print(printable(f"{rule.severity.value} severity, {rule.confidence.value} confidence"
                    f"; {', '.join((*rule.cwe, *rule.owasp))}"))  # fmt: skip
    print(f"\n{rule.description}\n")
    if rule.help:
        print(rule.help)
    for reference in rule.references:
        print(f"  {reference}")
    print(f"\nTo accept one place, with a reason:  # tavo: ignore[{rule.id}] why it is safe here")


def _load(paths: list[Path] | None) -> dict[str, Any]:
    from tavo.scan.rules import PACK, load_rules

    return load_rules([PACK, *(paths or [])]).rules


def _unknown(rule_id: str, known: list[str]) -> UsageError:
    import difflib

    near = difflib.get_close_matches(rule_id, known, n=1)
    return UsageError(
        f"there is no built-in rule {rule_id!r}",
        hint=(f"Did you mean {near[0]}? " if near else "`tavo rules list` names all of them. ")
        + "What a plugin's rule means stands below the findings of a scan, and in its JSON.",
    )


def _value(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id, "title": rule.title, "severity": rule.severity.value,
        "confidence": rule.confidence.value, "description": rule.description, "help": rule.help,
        "cwe": list(rule.cwe), "owasp": list(rule.owasp), "references": list(rule.references),
    }  # fmt: skip
