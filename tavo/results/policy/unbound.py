"""Variables that nothing binds, which one of the two evaluators passes over in silence.

regopy takes a rule with such a variable for one that never holds: a typing mistake in a policy
would let everything pass. opa refuses it. Here the tokens of each rule are looked at.

Rules this module keeps:
- only what is certain is refused: a name that stands once in its rule, at a place that binds
  nothing (what is compared or assigned, what a function is given, what a set contains);
- a name that may be bound, by an index, a pattern or a last argument, is let pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from tavo.errors import ConfigError
from tavo.results.policy.files import WORDS, Module, Token, tokens_of

__all__ = ["check_bound"]

_COMPARED = frozenset({"==", "!=", "<", ">", "<=", ">="})
_OPEN, _CLOSE = frozenset("([{"), frozenset(")]}")
_RELATIONS = frozenset({"walk"})  # its last argument takes values apart
_BINDS = frozenset({"some", "every", "as"})


def check_bound(modules: Sequence[Module]) -> None:
    """Raise ConfigError for a variable that nothing binds."""
    for module in modules:
        known = {"data", "input", "_", *module.aliases}
        for other in modules:
            if other.package == module.package:
                known |= {*other.rules, *other.functions}
        for rule in _rules(tokens_of(module.text)):
            for token in _unbound(rule, known):
                raise ConfigError(
                    f"{module.name}: line {token.line}: nothing gives {token.text!r} a value, so"
                    " its rule would never hold",
                    hint="Is it misspelt? `opa check` finds the same.",
                )


def _rules(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Yield the tokens of each statement at the top, without the ends of its lines."""
    rule: list[Token] = []
    depth, fresh = 0, True
    for token in tokens:
        if token.kind == "line":
            fresh = depth == 0
            continue
        depth += (token.text in _OPEN) - (token.text in _CLOSE)
        if fresh and token.kind == "name" and token.text != "else":
            if rule and rule[0].text not in {"package", "import"}:
                yield rule
            rule = []
        rule.append(token)
        fresh = False
    if rule and rule[0].text not in {"package", "import"}:
        yield rule


def _unbound(rule: Sequence[Token], known: Collection[str]) -> Iterator[Token]:
    names = Counter(one.text.partition(".")[0] for one in rule if one.kind == "name")
    inside: list[tuple[str, bool]] = []  # each open bracket, and whether a function is called
    for at, token in enumerate(rule):
        before = rule[at - 1] if at else Token("line", "", 0)
        after = rule[at + 1] if at + 1 < len(rule) else Token("line", "", 0)
        if token.text in _OPEN and token.kind == "sign":
            called = before.kind == "name" and before.text not in {*WORDS, *_RELATIONS}
            is_index = before.kind == "name" and before.text not in WORDS
            if token.text == "[" and (is_index or before.text in {"]", ")", "}"}):
                inside.append(("index", False))
            else:
                inside.append((token.text, called and token.text == "("))
            continue
        if token.text in _CLOSE and token.kind == "sign":
            if inside:
                inside.pop()
            continue
        name = token.text.partition(".")[0]
        if token.kind != "name" or at == 0 or name in WORDS or name in known or names[name] > 1:
            continue
        if after.text == "(" or before.text in _BINDS or before.text == ".":
            continue
        compared = before.text in _COMPARED or after.text in _COMPARED
        assigned = before.text == ":=" and after.text not in {"[", "("}
        contained = before.text == "contains" and at == 2
        if compared or assigned or contained or _is_given(inside, after):
            yield token


def _is_given(inside: Sequence[tuple[str, bool]], after: Token) -> bool:
    """Tell whether a function is given the name: in a list, or as an argument but the last."""
    calls = [number for number, (_, called) in enumerate(inside) if called]
    if not calls:
        return False
    brackets = [bracket for bracket, _ in inside[calls[-1] + 1 :]]
    if not brackets:
        return after.text == ","
    return all(bracket == "[" for bracket in brackets) and after.text in {",", "]"}
