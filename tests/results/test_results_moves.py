"""Fingerprints of real scans: code that moves, or is indented otherwise, keeps its own."""

from __future__ import annotations

import re
import textwrap
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tavo.progress import Reporter
from tavo.results.store import ResultStore
from tavo.runs.scan import ScanPlan, run_scan
from tavo.scan.rule_source import PACK, RuleSource

NAMES = ("llm-output-to-exec", "llm-output-to-shell", "unsafe-model-deserialization")
RULES = RuleSource(tuple(PACK / f"{name}.yaml" for name in NAMES))
HEAD = "import pickle\nimport subprocess\nfrom openai import OpenAI\n\nclient = OpenAI()\n"
# Functions with flaws; @ marks names of local variables that others may rename.
BLOCKS = (
    """
def answer(question):
    reply@ = client.responses.create(model="m", input=question)
    eval(reply@.output_text)
""",
    """
def command(question):
    reply@ = client.responses.create(
        model="m",
        input=question,
    )
    done@ = subprocess.run(
        reply@.output_text,
        shell=True,
    )
    return done@
""",
    """
def load(path):
    with open(path, "rb") as stream@:
        first = pickle.load(stream@)
        return first
""",
    """
def load_twice(path):
    model = pickle.load(open(path, "rb"))
    model = pickle.load(open(path, "rb"))
    return model
""",
)
OTHERS = (
    "\n",
    "# a comment about nothing\n",
    "def add(first, second):\n    total = first + second\n    return total\n",
    'TEXT = """\nsome text\n  over lines\n"""\n',
    "class Empty:\n    pass\n",
)


def fingerprints(folder: Path, text: str, name: str = "agent.py") -> Counter[tuple[str, str]]:
    (folder / name).write_text(text, "utf-8")
    store = ResultStore()
    plan = ScanPlan(targets=(folder,), rules=RULES, jobs=1)
    run_id, _ = run_scan(plan, store, Reporter())
    assert store.run(run_id).complete
    return Counter((one.rule.id, one.fingerprint) for one in store.findings(run_id))


def plain(block: str) -> str:
    return block.replace("@", "")


def wrapped(block: str, depth: int, width: int) -> str:
    """Put a function into classes, and indent all of it by a width."""
    code = "\n".join(
        " " * ((len(line) - len(line.lstrip())) // 4 * width) + line.lstrip()
        for line in plain(block).splitlines()
    )
    for level in range(depth):
        code = f"class Holder{level}:\n{textwrap.indent(code, ' ' * width)}"
    return f"{code}\n"


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Counter[tuple[str, str]]:
    folder = tmp_path_factory.mktemp("before")
    found = fingerprints(folder, HEAD + "".join(map(plain, BLOCKS)))
    assert {rule for rule, _ in found} == set(NAMES)
    assert found.total() == len(found) >= 5
    return found


@settings(
    max_examples=25, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(
    order=st.permutations(BLOCKS),
    between=st.lists(st.sampled_from(OTHERS), min_size=len(BLOCKS), max_size=len(BLOCKS)),
    depths=st.lists(st.integers(0, 2), min_size=len(BLOCKS), max_size=len(BLOCKS)),
    width=st.sampled_from([2, 4, 8]),
    ends=st.sampled_from(["\n", "\r\n"]),
)
def test_moved_and_indented_code_keeps_its_fingerprints(
    before: Counter[tuple[str, str]], tmp_path: Path, order: list[str], between: list[str],
    depths: list[int], width: int, ends: str,
) -> None:  # fmt: skip
    parts = [
        f"{other}\n{wrapped(block, depth, width)}\n"
        for block, other, depth in zip(order, between, depths, strict=True)
    ]
    text = (HEAD + "\n".join(parts)).replace("\n", ends)
    assert fingerprints(tmp_path, text) == before


@settings(
    max_examples=10, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(
    renamed=st.integers(0, len(BLOCKS) - 1),
    suffix=st.text(st.sampled_from("abcxyz_019"), min_size=1, max_size=12),
)
def test_a_local_variable_that_is_renamed_changes_only_the_findings_on_its_lines(
    before: Counter[tuple[str, str]], tmp_path: Path, renamed: int, suffix: str
) -> None:
    blocks = [
        block.replace("@", f"_{suffix}") if number == renamed else plain(block)
        for number, block in enumerate(BLOCKS)
    ]
    after = fingerprints(tmp_path, HEAD + "".join(blocks))
    own = BLOCKS[renamed]
    alone = fingerprints(tmp_path, HEAD + plain(own))
    assert before - alone == (before - alone) & after, "those of the other functions"
    if "@" not in own:
        assert after == before


def test_the_way_of_the_data_is_no_part_of_it(tmp_path: Path) -> None:
    code = plain(BLOCKS[0]).replace(
        "    eval(reply.output_text)", "    text = reply.output_text\n    eval(text)"
    )
    found = fingerprints(tmp_path, HEAD + code)
    other = re.sub(r"\breply\b", "response", code)
    assert fingerprints(tmp_path, HEAD + other) == found, "the names before the sink are others"
    changed = fingerprints(tmp_path, HEAD + code.replace("eval(text)", "eval(text, {})"))
    assert changed != found, "control: the code of the finding itself is a part of it"
