"""`tavo pipeline` as its user types it: steps, conditions, gates, mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tavo.results.store import ResultStore
from tests.cli.conftest import Done, Run
from tests.fakes.authors import author_plugin, static_main
from tests.fakes.model_server import serving
from tests.fakes.snapshots import check_snapshot

SNAPSHOTS = Path(__file__).parent / "snapshots"
FLAW = """\
from openai import OpenAI

client = OpenAI()


def run(question):
    answer = client.responses.create(model="m", input=question)
    exec(answer.output_text)
"""
WORDS = static_main(
    "for number, line in enumerate(content.split('\\n'), start=1):\n"
    "    if 'secret' in line:\n"
    "        yield self.found(file_path, line=number)\n"
)
SCAN = """\
pipeline: 1
steps:
  - {id: sources, use: files, paths: [src]}
  - {id: code, use: rules, files: sources}
"""


@pytest.fixture(autouse=True)
def _accept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAVO_ACCEPT_SANDBOX", "L2:acme/sample,L2:acme/leak")


@pytest.fixture
def project(tavo: Run) -> Path:
    Path("src").mkdir()
    Path("src/agent.py").write_text(FLAW)
    Path("src/notes.txt").write_text("a secret\n")
    author_plugin(Path("words"), main_py=WORDS)
    author_plugin(Path("leak"), "dynamic", name="leak")
    return Path()


def pipeline(tavo: Run, steps: str, *words: str, command: str = "run") -> Done:
    digests = [
        json.loads(tavo("plugin", "validate", name, "--json").out)["package"]
        for name in ("words", "leak")
    ]
    Path("p.yaml").write_text(SCAN + steps)
    accept = [word for digest in digests for word in ("--accept-local", digest)]
    return tavo("pipeline", command, "p.yaml", *accept, *words)


def report(done: Done) -> tuple[list[str], list[str], list[str]]:
    """Return which tools found something, which plugins ran, and what was not done."""
    value = json.loads(done.out)
    return (
        [f"{one['tool']} {one['location']['path']}" for one in value["findings"]],
        [f"{one['plugin']} {one['files']}" for one in value["plugins"]],
        [f"{one['subject']}: {one['reason']}" for one in value["not_done"]],
    )


def test_steps_hand_over_files_and_findings(tavo: Run, project: Path) -> None:
    steps = (
        "  - {id: suspects, use: select, from: [code], severity: high}\n"
        "  - {id: words, use: plugin, plugin: ./words, files: suspects}\n"
        "  - {id: all-words, use: plugin, plugin: ./words, files: sources}\n"
    )
    done = pipeline(tavo, steps, "--format", "json", "--save", "r.db")
    assert done.code == 1, done
    assert report(done) == (
        ["tavo src/agent.py", "acme/sample src/notes.txt"],
        ["acme/sample 1", "acme/sample 2"],
        [],
    )
    with ResultStore(Path("r.db"), must_exist=True) as store:
        assert [run.findings for run in store.runs()] == [2]


@pytest.mark.parametrize(
    ("condition", "runs"),
    [
        ("{step: code, finds: some}", True),
        ("{step: code, finds: none}", False),
        ("{step: code, finds: some, severity: critical}", True),
        ("{step: quiet, finds: some}", False),
        ("{step: quiet, finds: none}", True),
    ],
)
def test_conditions(tavo: Run, project: Path, condition: str, runs: bool) -> None:
    steps = (
        "  - {id: none, use: files, paths: [src], exclude: ['*']}\n"
        "  - {id: quiet, use: rules, files: none}\n"
        f"  - {{id: words, use: plugin, plugin: ./words, files: sources, when: {condition}}}\n"
    )
    done = pipeline(tavo, steps, "--format", "json")
    _, ran, missing = report(done)
    assert bool(ran) is runs
    assert any(one.startswith("words: did not run: ") for one in missing) is not runs
    assert done.code == 1


def test_a_closed_gate_ends_the_pipeline_and_fails_it(tavo: Run, project: Path) -> None:
    steps = (
        "  - {id: door, use: gate, from: [code], severity: high}\n"
        "  - {id: words, use: plugin, plugin: ./words, files: sources}\n"
    )
    done = pipeline(tavo, steps, "--fail-on", "critical", "--format", "json")
    assert report(done)[1:] == ([], ["words: did not run: behind the gate door, which is closed"])
    assert done.code == 1
    Path("src/agent.py").write_text("x = 1\n")
    done = pipeline(tavo, steps, "--fail-on", "critical", "--format", "json")
    assert report(done)[1:] == (["acme/sample 2"], [])
    assert done.code == 0


def test_a_gate_may_let_some_through(tavo: Run, project: Path) -> None:
    steps = (
        "  - {id: door, use: gate, from: [code], most: 1}\n"
        "  - {id: words, use: plugin, plugin: ./words, files: sources}\n"
    )
    assert report(pipeline(tavo, steps, "--format", "json"))[1] == ["acme/sample 2"]


def test_what_failed_skips_nothing_and_closes_gates(tavo: Run, project: Path) -> None:
    Path("src/agent.py").write_bytes(b"caf\xe9 = 1\n")
    steps = (
        "  - {id: words, use: plugin, plugin: ./words, files: sources, when: {step: code}}\n"
        "  - {id: door, use: gate, from: [code]}\n"
        "  - {id: again, use: plugin, plugin: ./words, files: sources}\n"
    )
    done = pipeline(tavo, steps, "--format", "json")
    _, ran, missing = report(done)
    assert ran == ["acme/sample 1"]
    assert "again: did not run: behind the gate door, which is closed" in missing
    assert done.code == 4


def test_an_attack_is_a_step(tavo: Run, project: Path) -> None:
    with serving(lambda _: "It is violet-harbor-1871.") as model:
        Path("target.yaml").write_text(f"url: {model.url}/v1\nname: staging\n")
        done = pipeline(
            tavo,
            "  - {id: attack, use: plugin, plugin: ./leak, target: target.yaml}\n",
            "--format", "json",
        )  # fmt: skip
    assert "acme/leak targets/staging" in report(done)[0]


def test_what_people_see(tavo: Run, project: Path) -> None:
    steps = (
        "  - {id: words, use: plugin, plugin: ./words, files: sources,"
        " when: {step: code, finds: none}}\n"
    )
    done = pipeline(tavo, steps)
    lines = [line for line in done.out.splitlines() if " CPU" not in line]
    checked = pipeline(tavo, steps, command="check")
    check_snapshot(SNAPSHOTS / "pipeline.txt", "\n".join([*lines, checked.out, checked.err]))
    assert checked.code == 0


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("  - {id: code, use: gate, from: [code]}\n", "step code: is there twice"),
        ("  - {id: a, use: rules, files: sorces}\n", "no earlier step is called 'sorces'"),
        ("  - {id: a, use: rules, files: code}\n", "code gives findings, expected files"),
        ("  - {id: a, use: gate, from: [sources]}\n", "sources gives files, expected findings"),
        ("  - {id: a, use: plugin, plugin: ./words}\n", "needs files or a target"),
        ("  - {id: a, use: plugin, plugin: ./words, target: x}\n", "is a static plugin, and gets"),
        ("  - {id: a, use: nothing}\n", "A step uses files, rules, plugin, select or gate."),
        ("  - {id: a, use: gaet}\n", "Did you mean 'gate'?"),
        ("  - {id: a, use: files}\n", "missing required field `paths`"),
        ("  - {id: a, use: gate, from: [code], sevrity: high}\n", "sevrity"),
        ("  - {id: a, use: rules, files: sources, when: {step: a}}\n", "no earlier step"),
    ],
)
@pytest.mark.parametrize("command", ["run", "check"])
def test_mistakes_are_named_before_anything_runs(
    tavo: Run, project: Path, steps: str, said: str, command: str
) -> None:
    done = pipeline(tavo, steps, command=command)
    assert (done.code, done.out) == (2, ""), done
    assert said in done.err


def test_files_that_are_no_pipeline(tavo: Run, project: Path) -> None:
    assert tavo("pipeline", "run", "missing.yaml").code == 3
    Path("x.yaml").write_text("pipeline: 2\nsteps: []\n")
    assert tavo("pipeline", "run", "x.yaml").code == 2
    Path("x.yaml").write_text("a: &b 1\nc: *b\n")
    assert tavo("pipeline", "check", "x.yaml").code == 2


def test_a_plugin_that_nobody_agreed_to_is_refused(tavo: Run, project: Path) -> None:
    Path("p.yaml").write_text(SCAN + "  - {id: w, use: plugin, plugin: ./words, files: sources}\n")
    done = tavo("pipeline", "run", "p.yaml")
    assert done.code == 5
    assert "acme/sample" in done.err


def test_stats_sum_up_the_runs_of_a_store(tavo: Run, project: Path) -> None:
    steps = "  - {id: words, use: plugin, plugin: ./words, files: sources}\n"
    for _ in range(2):
        pipeline(tavo, steps, "--save", "results.db")
    (row,) = json.loads(tavo("registry", "stats", "--json").out)
    assert (row["plugin"], row["runs"], row["files"], row["findings"]) == ("acme/sample", 2, 4, 2)
    assert row["cpu_s"] > 0
    assert tavo("registry", "stats").out.startswith("acme/sample\t2\t4\t")
    assert tavo("registry", "stats", "--store", "missing.db").code == 3


def test_a_pipeline_gets_no_variable_that_was_not_named(
    tavo: Run, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "ghp_0123456789")
    steps = "  - {id: attack, use: plugin, plugin: ./leak, target: target.yaml}\n"
    with serving(lambda text: text) as model:
        Path("target.yaml").write_text(f"url: {model.url}/v1\nkey: GITHUB_TOKEN\n")
        for command in ("check", "run"):
            done = pipeline(tavo, steps, command=command)
            assert done.code == 5
            assert done.err.splitlines()[-2:] == [
                "tavo: refused: step attack: target.yaml asks for the environment variable"
                f" GITHUB_TOKEN, to send it to {model.url}/v1",
                "  If it may have it: --allow-key GITHUB_TOKEN",
            ]
        assert not model.asked
        # the control: allowed, it is sent
        pipeline(tavo, steps, "--allow-key", "GITHUB_TOKEN")
        assert model.asked[0][1]["Authorization"] == "Bearer ghp_0123456789"


def test_a_target_that_cannot_be_read_is_named_before_anything_runs(
    tavo: Run, project: Path
) -> None:
    steps = "  - {id: attack, use: plugin, plugin: ./leak, target: gone.yaml}\n"
    done = pipeline(tavo, steps, "--save", "r.db")
    assert done.code == 3
    assert "target: " in done.err
    with ResultStore(Path("r.db"), must_exist=True) as store:
        assert not store.runs()
