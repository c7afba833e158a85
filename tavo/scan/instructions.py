"""Instructions of Dockerfiles and the commands in them compiled to tests.

Rules this module keeps:
- an option, a tag, a digest or an alias that a pattern leaves out may be there in the source;
- a command of an instruction is also looked for below `&&`, `||`, `|`, `!` and in `$(…)`, and not
  in what is a block: commands after each other, subshells, loops.

Source of the semantics: comparing answers with Semgrep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tavo.scan.bindings import NONE, Env, Run, Test
from tavo.scan.literals import LiteralCompiler
from tavo.scan.sequences import MOST_ALTERNATIVES, each, in_any_order
from tavo.scan.tree import Node

__all__ = ["instruction_tests"]

_EXPRESSIONS = frozenset({"command", "command_list", "command_not"})


def instruction_tests(compiler: LiteralCompiler) -> dict[str, Callable[[Node], Test]]:
    """Return how the nodes of a Dockerfile that are compared in their own way are compiled."""
    return {
        "instruction": lambda node: _instruction(compiler, node),
        "image": lambda node: _image(compiler, node),
        "setting": lambda node: _setting(compiler, node),
    }


def _instruction(compiler: LiteralCompiler, node: Node) -> Test:
    label = node.label
    options = [compiler.test(n) for n in node.children if n.kind == "option"]
    wanted = [n for n in node.children if n.kind != "option"]
    items = compiler.items(wanted)
    arguments = [n.kind == "argument" for n in wanted]
    command = compiler.test(wanted[0]) if wanted and wanted[0].kind in _EXPRESSIONS else None

    def instruction(n: Node, env: Env, run: Run) -> Sequence[Env]:
        if n.kind != "instruction":
            return NONE
        if n.label != label:
            inner = n.children[-1] if n.children else n
            return instruction(inner, env, run) if inner.kind == "instruction" else NONE
        given = [c for c in n.children if c.kind != "option"]
        envs: Sequence[Env] = (env,)
        if label == "ARG" and [c.kind == "argument" for c in given] != arguments:
            return NONE
        if options:
            own = [c for c in n.children if c.kind == "option"]
            envs = in_any_order(options, own, env, run)
        if command is not None:
            return [
                e for before in envs for one in given for e in _below(one, command, before, run)
            ]
        return [e for before in envs for e in items(given, before, run)]

    return instruction


def _below(root: Node, test: Test, env: Env, run: Run) -> Sequence[Env]:
    """Match a command, and each one in it that is part of the same expression."""
    out: list[Env] = []
    stack = [root]
    while stack and len(out) < MOST_ALTERNATIVES:
        node = stack.pop()
        run.spend()
        out += test(node, env, run)
        if node.kind != "command_block" and node.kind != "list":
            stack.extend(reversed(node.children))
    return out


def _image(compiler: LiteralCompiler, node: Node) -> Test:
    parts = [(n.field, compiler.test(n)) for n in node.children]

    def image(n: Node, env: Env, run: Run) -> Sequence[Env]:
        if n.kind != "image":
            return NONE
        envs: Sequence[Env] = (env,)
        for role, test in parts:
            given = n.role(role)
            if given is None:
                return NONE
            envs = each(envs, test, given, run)
        return envs

    return image


def _setting(compiler: LiteralCompiler, node: Node) -> Test:
    key, value = (compiler.test(n) for n in node.children)
    op = node.op or "ENV"

    def setting(n: Node, env: Env, run: Run) -> Sequence[Env]:
        if n.kind != "setting" or n.op != op:
            return NONE
        return each(key(n.children[0], env, run), value, n.children[1], run)

    return setting
