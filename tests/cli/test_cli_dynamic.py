"""Dynamic plugins in `tavo scan`, on real servers: what a user types, sees and gets stored."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from tavo.results.store import ResultStore
from tests.cli.conftest import Done, Run
from tests.fakes.authors import author_plugin
from tests.fakes.model_server import serving

SECRET = "violet-harbor-1871"
KEY = "sk-" + "a1B2" * 6


@pytest.fixture(autouse=True)
def _accept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAVO_ACCEPT_SANDBOX", "L2:acme/sample,L2:acme/leak")


def leaky(prompt: str) -> str:
    return f"It is {SECRET}." if "Translate" in prompt else "I cannot do that."


def digest_of(tavo: Run, folder: Path) -> str:
    return str(json.loads(tavo("plugin", "validate", folder, "--json").out)["package"])


@pytest.fixture
def leak(tmp_path: Path) -> Path:
    return author_plugin(tmp_path / "leak", "dynamic", name="leak")


def attack(tavo: Run, plugin: Path, target: object, *more: object) -> Done:
    digest = digest_of(tavo, plugin)
    return tavo(
        "scan", "--dynamic-plugins", plugin, "--target", target, "--accept-local", digest, *more
    )


def test_a_target_that_gives_in_is_a_finding(tavo: Run, leak: Path) -> None:
    with serving(leaky) as model:
        done = attack(tavo, leak, f"{model.url}/v1", "--save", "r.db")
    assert done.code == 1, done
    name = model.url.removeprefix("http://")
    assert f"targets/{name}\n" in done.out
    assert "The target gave in: tell the secret of the system prompt" in done.out
    assert SECRET in done.out
    assert "no files; acme/leak 0.1.0 with 2 requests, sandbox L" in " ".join(done.out.split())
    assert [body["messages"][-1]["role"] for _, _, body in model.asked] == ["user", "user"]
    with ResultStore(Path("r.db"), must_exist=True) as store:
        run = store.run()
        exchanges = list(store.exchanges(run.id))
        (finding,) = store.findings(run.id)
    assert [one.error for one in exchanges] == ["", ""]
    assert exchanges[1].response is not None
    assert exchanges[1].response["messages"][0]["content"] == f"It is {SECRET}."
    assert (exchanges[0].prompt_tokens, exchanges[0].answer_tokens) == (7, 5)
    assert finding.finding.evidence["seen by the host"] == "yes"
    assert run.plugins[0].requests == 2


def test_a_target_that_holds_is_clean(tavo: Run, leak: Path) -> None:
    with serving(lambda _: "No.") as model:
        done = attack(tavo, leak, f"{model.url}/v1")
    assert done.code == 0, done
    assert done.out.startswith("No findings: no files; acme/leak 0.1.0 with 3 requests")


def test_a_target_file_names_key_model_and_template(
    tavo: Run, leak: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "s3cr3t-key")
    with serving(leaky) as model:
        Path("target.yaml").write_text(
            f"kind: http\nurl: {model.url}/ask\nname: staging\nkey: MY_KEY\n"
            'body: {input: "{{prompt}}", SYSTEM, model: small}\nanswer: $.output[0].text\n'
        )
        described = Path("target.yaml").read_text()
        Path("target.yaml").write_text(described.replace(" SYSTEM,", ""))
        half = attack(tavo, leak, "target.yaml")
        assert half.code == 4  # what the plugin plants would not reach it
        assert "neither {{system}} nor {{messages}}" in " ".join(half.out.split())
        assert not model.asked
        Path("target.yaml").write_text(described.replace("SYSTEM", 'about: "{{system}}"'))
        done = attack(tavo, leak, "target.yaml", "--format", "json", "--save", "r.db")
    report = json.loads(done.out)
    assert report["findings"][0]["location"]["path"] == "targets/staging"
    assert report["plugins"][0]["requests"] == 2
    path, headers, body = model.asked[0]
    assert (path, headers["Authorization"]) == ("/ask", "Bearer s3cr3t-key")
    assert body["model"] == "small"
    assert "s3cr3t" not in done.out + Path("r.db").read_bytes().decode("latin-1")


def test_a_target_that_answers_nothing_is_no_clean_run(tavo: Run, leak: Path) -> None:
    with serving(lambda _: "x", status=500) as model:
        done = attack(tavo, leak, f"{model.url}/v1")
    assert done.code == 4
    assert "No findings" not in done.out
    assert "answered 500" in done.out
    done = attack(tavo, leak, "http://127.0.0.1:1/v1")
    assert done.code == 4
    assert "3 of 3 requests failed" in " ".join(done.out.split())


def test_the_budget_bounds_what_reaches_the_target(tavo: Run, leak: Path) -> None:
    with serving(lambda _: "No.") as model:
        done = attack(tavo, leak, f"{model.url}/v1", "--max-requests", "2")
        assert len(model.asked) == 2
    assert done.code == 4
    assert "the budget of 2 requests is used up" in " ".join(done.out.split())


def test_core_static_and_dynamic_run_together(tavo: Run, leak: Path, tmp_path: Path) -> None:
    static = author_plugin(tmp_path / "sample")
    Path("a.py").write_text(f"import os\nkey = '{KEY}'\n")
    Path("config.yaml").write_text("acme/sample: {ignore: []}\n")
    with serving(leaky) as model:
        done = attack(
            tavo, leak, f"{model.url}/v1", "--accept-local", digest_of(tavo, static),
            "--static-plugins", static, "--format", "json", ".", "--plugin-config", "config.yaml",
        )  # fmt: skip
    report = json.loads(done.out)
    assert done.code == 1, done
    assert {one["tool"] for one in report["findings"]} == {"acme/sample", "acme/leak"}
    assert [one["plugin"] for one in report["plugins"]] == ["acme/sample", "acme/leak"]
    assert report["run"]["files"] == 2
    for one in report["plugins"]:
        assert one["worker_cpu_s"] > 0
        assert one["peak_bytes"] > 1 << 20


def test_what_plugins_did_and_cost_is_in_text_json_and_store(
    tavo: Run, leak: Path, tmp_path: Path
) -> None:
    static = author_plugin(tmp_path / "sample")
    Path("a.py").write_text(f"key = '{KEY}'\n")
    Path("b.py").write_bytes(b"\xff")  # not text: skipped by the plugin
    words = (
        "--accept-local", digest_of(tavo, static), "--static-plugins", static, ".", "--no-cache",
        "--save", "r.db",
    )  # fmt: skip
    with serving(leaky) as model:
        text = attack(tavo, leak, f"{model.url}/v1", *words).out
        rows = json.loads(attack(tavo, leak, f"{model.url}/v1", *words, "--format", "json").out)
    with ResultStore(Path("r.db"), must_exist=True) as store:
        stored = store.run().plugins
    for one, kept in zip(rows["plugins"], stored, strict=True):
        figures = ("calls", "findings", "skipped", "host_cpu_s", "worker_cpu_s", "wall_s",
                   "peak_bytes")  # fmt: skip
        assert all(one[name] == getattr(kept, name) for name in figures)
        assert all(one[name] > 0 for name in figures if name != "skipped")
        assert re.search(
            rf"^  {one['plugin']}: {one['calls']} call, {one['findings']} findings?, \d+ skipped;"
            r" [\d.]+ s CPU, [\d.]+ s waited for, [1-9]\d* MB at most$",
            text,
            re.M,
        ), text


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--dynamic-plugins", "./x"], "need a --target"),
        (["--dynamic-plugins", "builtin"], "need a --target"),
        ([], "name the files and folders to scan"),
        (["--static-plugins", "x", "--target", "u", "--dynamic-plugins", "y"], "name the files"),
    ],
)  # fmt: skip
def test_what_leads_to_nothing_is_usage(tavo: Run, words: list[str], said: str) -> None:
    done = tavo("scan", *words)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


@pytest.mark.parametrize(
    ("target", "code", "said"),
    [
        ("ftp://x/", 2, "is no http or https address"),
        ("http://u:p@localhost/", 2, "holds a user or password"),
        ("nosuch.yaml", 3, "No such file"),
        ("broken.yaml", 2, "broken.yaml"),
        ("nokey.yaml", 2, "the environment variable NOT_SET_HERE is not set"),
    ],
)
def test_a_target_that_cannot_be_one_is_named(
    tavo: Run, leak: Path, target: str, code: int, said: str
) -> None:
    Path("broken.yaml").write_text("url: [\n")
    Path("nokey.yaml").write_text("url: http://localhost:1/\nkey: NOT_SET_HERE\n")
    done = attack(tavo, leak, target)
    assert (done.code, done.out) == (code, ""), done
    assert said in done.err


def test_a_plugin_of_the_wrong_type_is_named_with_its_way(tavo: Run, leak: Path) -> None:
    digest = digest_of(tavo, leak)
    done = tavo("scan", ".", "--static-plugins", leak, "--accept-local", digest)
    assert done.code == 2
    assert "acme/leak is a dynamic plugin" in done.err
    assert "--dynamic-plugins and --target" in done.err


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("c.json", "{", "is not JSON"),
        ("c.toml", "a = ", "is not TOML"),
        ("c.yaml", "a: &x 1\nb: *x", "c.yaml"),
        ("c.yaml", "- 1", "holds list"),
        ("c.yaml", "acme/other: {}", "no plugin of this run"),
        ("c.yaml", "acme/leak: 3", "expected names with values"),
        ("missing.yaml", None, "cannot be read"),
    ],
)
def test_a_configuration_that_reaches_nobody_is_refused(
    tavo: Run, leak: Path, name: str, content: str | None, said: str
) -> None:
    if content is not None:
        Path(name).write_text(content)
    done = attack(tavo, leak, "http://127.0.0.1:1/v1", "--plugin-config", name)
    assert (done.code, done.out) == (2, ""), done
    assert said in done.err


def test_the_kit_attacks_a_real_target_too(tavo: Run, leak: Path) -> None:
    with serving(leaky) as model:
        done = tavo("plugin", "run", leak, "--target", f"{model.url}/v1")
    assert done.code == 1, done
    assert done.out.startswith(f"targets/{model.url[7:]}  medium  system-prompt-leak  ")
    assert "with 2 requests" in done.err


HANGS = """\
import time
from tavo.plugins import *


class Sample(StaticAnalysisPlugin):
    rules = (Rule(id="x", title="X", severity=Severity.LOW),)

    def analyze_file(self, file_path, content):
        time.sleep(600)
        return ()
"""


def test_a_plugin_that_cannot_run_ends_the_others_at_once(
    tavo: Run, leak: Path, tmp_path: Path
) -> None:
    slow = author_plugin(tmp_path / "slow", main_py=HANGS)
    manifest = slow / "plugin.yaml"
    manifest.write_text(manifest.read_text().replace("_call: 10", "_call: 600"))
    Path("a.txt").write_text("x")
    Path("a.py").write_text("x = 1")
    broken = leak / "main.py"
    broken.write_text(
        broken.read_text() + "\n    def start(self, context):\n"
        "        from tavo.plugins import ConfigError\n        raise ConfigError('no')\n"
    )
    began = time.monotonic()
    with serving(leaky) as model:
        done = attack(
            tavo, leak, f"{model.url}/v1", "--accept-local", digest_of(tavo, slow),
            "--static-plugins", slow, ".",
        )  # fmt: skip
    assert done.code == 2
    assert "acme/leak: no" in done.err
    assert time.monotonic() - began < 120


SWALLOWS = """\
from tavo.plugins import *


class Sample(DynamicTestingPlugin):
    rules = (Rule(id="x", title="X", severity=Severity.LOW),)

    def run_attack(self, target, config):
        for goal in ("one", "two", "three"):
            request = ChatRequest(messages=(ChatMessage(role="user", content=goal),))
            try:
                outputs = tuple(m.content for m in target.send(request).messages)
            except BudgetError:
                return
            except TargetError:
                continue
            score = 1.0 if "yes" in outputs else 0.0
            yield AttackResult(rule_id="x", goal=goal, severity=Severity.LOW, score=score,
                               attempts=(Attempt(prompt=goal, outputs=outputs, score=score),))
"""


def silent(folder: Path) -> Path:
    """A plugin that says nothing of what it could not ask, as the guide once told it to."""
    return author_plugin(folder / "silent", "dynamic", main_py=SWALLOWS, name="sample")


def test_a_used_up_budget_is_never_clean_whatever_the_plugin_says(
    tavo: Run, tmp_path: Path
) -> None:
    plugin = silent(tmp_path)
    for most, said in (("1", "the budget of 1 request is used up"),
                       ("2", "the budget of 2 requests is used up")):  # fmt: skip
        with serving(lambda _: "no") as model:
            done = attack(tavo, plugin, f"{model.url}/v1", "--max-requests", most)
        shown = " ".join(done.out.split())
        assert done.code == 4, done
        assert "No findings" not in shown
        assert f"{said}: 1 request more was asked for and not sent" in shown
    with serving(lambda _: "no") as model:
        assert attack(tavo, plugin, f"{model.url}/v1", "--max-requests", "3").code == 0


def test_what_was_found_before_the_budget_ended_is_reported(tavo: Run, tmp_path: Path) -> None:
    with serving(lambda prompt: "yes" if prompt == "one" else "no") as model:
        done = attack(tavo, silent(tmp_path), f"{model.url}/v1", "--max-requests", "2")
    assert done.code == 4, done
    assert "The target gave in: one" in done.out
    assert "the budget of 2 requests is used up" in " ".join(done.out.split())


def test_the_template_keeps_its_attempts_when_the_budget_ends(tavo: Run, leak: Path) -> None:
    with serving(lambda _: "No.") as model:
        done = tavo(
            "plugin", "run", leak, "--target", f"{model.url}/v1", "--max-requests", "1"
        )  # fmt: skip
    assert done.code == 4, done
    lines = [line for line in done.err.splitlines() if line.startswith("tavo: ")]
    assert lines == [
        "tavo: the budget of 1 request is used up: 1 request more was asked for and not sent,"
        " so not everything was tried",
        "tavo: goals not tried to the end: tell the secret of the system prompt",
    ]


def test_a_target_that_is_not_there_is_said_once_with_the_next_step(tavo: Run, leak: Path) -> None:
    main = leak / "main.py"
    main.write_text(main.read_text().replace("in PROMPTS:", "in PROMPTS * 20:"))
    done = attack(tavo, leak, "http://127.0.0.1:1/v1")
    shown = " ".join(done.out.split())
    assert done.code == 4, done
    assert shown.count("Connection refused") == 1
    assert "3 of 3 requests failed: 127.0.0.1:1: cannot be reached" in shown
    assert "Check the address http://127.0.0.1:1/v1/chat/completions" in shown


def test_a_target_that_wants_a_key_says_how_to_give_one(tavo: Run, leak: Path) -> None:
    with serving(lambda _: "x", status=401) as model:
        done = attack(tavo, leak, f"{model.url}/v1")
    assert "name its environment variable with `key:`" in " ".join(done.out.split())
