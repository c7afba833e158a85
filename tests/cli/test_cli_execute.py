"""Runs at a marketplace as an operator and a user type them, against a real server and target."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tavo.errors import ExitCode
from tavo.host.sandbox.levels import SandboxLevel, strongest_here
from tests.cli.conftest import Run
from tests.fakes.executed import ENABLED, Executed, add_dynamic
from tests.fakes.model_server import Model, serving
from tests.fakes.served import Served, marketplace

pytestmark = pytest.mark.skipif(
    strongest_here() < SandboxLevel.STRONG, reason="runs for others need the strongest sandbox"
)


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with serving(lambda prompt: "The code is violet-harbor-1871.") as started:
        yield started


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A served market whose runs are done in this process."""
    operated = marketplace(tmp_path_factory.mktemp("execute"), count=1)
    add_dynamic(operated)
    started = Served(operated, more=ENABLED)
    executed, stopped = Executed(operated), threading.Event()
    executors = executed.executors(stopped=stopped)
    executors.start()
    yield started
    stopped.set()
    executors.join()
    executed.market.close()
    started.stop()


@pytest.fixture
def bob(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAVO_TOKEN", served.tokens["bob"])
    monkeypatch.setenv("TAVO_MARKETPLACE", served.url)
    monkeypatch.setenv("TAVO_MARKET", str(served.operated.directory))


def test_a_target_is_registered_attacked_and_paid_for(
    tavo: Run, served: Served, model: Model, bob: None
) -> None:
    assert "registered no target for your organisation" in tavo("registry", "targets").err
    url = f"{model.url}/v1"
    unlisted = tavo("market", "target", "add", "other-corp", "inside", url)
    assert unlisted.code == 0
    assert unlisted.out == f"other-corp may have inside attacked: {url}.\n"
    assert "as it is now, it would be refused: target: 127.0.0.1 leads to 127.0.0.1" in unlisted.err
    added = tavo("market", "target", "add", "other-corp", "staging", url, "--network", "127.0.0.1")
    assert added.out == (
        f"other-corp may have staging attacked: {url}, which leads to 127.0.0.1 now.\n"
    )
    assert "127.0.0.1/32" in tavo("market", "target", "list").out
    listed = tavo("registry", "targets").out
    assert "staging" in listed
    done = tavo("registry", "execute", "acme/prober", "--target", "staging", "--wait", 300,
                "--key", "nightly-0001")  # fmt: skip
    assert done.code == ExitCode.FINDINGS, done.err
    assert "acme/prober 0.1.0 against staging: done, run " in done.out
    assert "sandbox L3; costs 0.000000 XXX" in done.out
    assert "  medium: The target gave in: tell the secret of the system prompt" in done.out
    before = len(model.asked)
    again = tavo("--json", "registry", "execute", "acme/prober", "--target", "staging",
                 "--key", "nightly-0001")  # fmt: skip
    run = json.loads(again.out)["execution"]
    assert again.code == ExitCode.FINDINGS
    assert f"run {run['id']}" in done.out
    assert len(model.asked) == before
    assert "nightly-0001" not in tavo("registry", "executions").out
    assert run["id"] in tavo("registry", "executions").out
    shown = tavo("registry", "executions", run["id"])
    assert "The target gave in" in shown.out
    month = run["finished_at"][:7]
    mine = tavo("registry", "statement", month)
    theirs = tavo("market", "statement", "other-corp", month, "--output", "bill.csv")
    assert theirs.code == 0
    assert Path("bill.csv").read_bytes() == mine.out.encode()
    assert run["id"] in mine.out
    refused = tavo("registry", "execute", "acme/prober", "--target", "inside", "--wait", 300)
    assert refused.code == ExitCode.FAILED
    assert "127.0.0.1, which is not public" in refused.out
    assert "costs nothing" in refused.out
    assert tavo("market", "target", "remove", "other-corp", "inside").code == 0
    cancelled = tavo("registry", "cancel", run["id"])
    assert cancelled.out == f"{run['id']} is done.\n"


@pytest.mark.parametrize("kind", ["command", "python"])
def test_a_program_of_the_operator_is_no_target_for_others(
    tavo: Run, served: Served, model: Model, bob: None, kind: str
) -> None:
    text = {"command": "command: [/bin/sh, -c, touch ran]", "python": "call: os:getcwd"}[kind]
    Path("target.yaml").write_text(f"kind: {kind}\n{text}\n")
    refused = tavo("market", "target", "add", "other-corp", f"p-{kind}", "target.yaml")
    assert refused.code == ExitCode.USAGE
    assert f"kind {kind} is a program of this machine" in refused.err
    executed = Executed(served.operated)  # as if one had been entered another way
    executed.target(
        f"{model.url}/v1", f"q-{kind}", kind=kind, command=["/bin/sh"], call="os:getcwd"
    )
    executed.market.close()
    done = tavo("registry", "execute", "acme/prober", "--target", f"q-{kind}", "--wait", 300)
    assert (done.code, "is a program of this machine" in done.out) == (ExitCode.FAILED, True), done
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("registry", "execute", "acme/prober", "--target", "nowhere"), 5,
         "there is no target 'nowhere' of your organisation"),
        (("registry", "execute", "acme/nothing", "--target", "staging"), 5,
         "there is no plugin 'acme/nothing'"),
        (("registry", "execute", "acme/reach", "--target", "here"), 5,
         "is not run for others: it is a static plugin"),
        (("registry", "execute", "acme/prober", "--target", "here", "--key", "short"), 3,
         "the body: Expected `str` matching regex"),
        (("registry", "execute", "acme/prober", "--target", "here", "--plugin-config", "no.yaml"),
         3, "no.yaml: cannot be read"),
        (("registry", "executions", "0000"), 5, "there is no such address"),
        (("registry", "cancel", "00000000-0000-4000-8000-000000000000"), 5,
         "there is no execution"),
        (("registry", "statement", "2026-13"), 5, "there is no such address"),
        (("market", "statement", "other-corp", "2026-13"), 2, "'2026-13' is no month"),
        (("market", "statement", "nobody", "2026-11"), 3, "there is no organisation 'nobody'"),
        (("market", "target", "add", "nobody", "a", "https://example.com/v1"), 3,
         "there is no organisation 'nobody'"),
        (("market", "target", "add", "other-corp", "A b", "https://example.com/v1"), 2,
         "'A b' cannot be the name of a target"),
        (("market", "target", "add", "other-corp", "a", "ftp://example.com"), 2,
         "is no http or https address"),
        (("market", "target", "add", "other-corp", "a", "http://example.com:99999"), 2,
         "is no http or https address"),
        (("market", "target", "add", "other-corp", "a", "http://[::1"), 2,
         "is no http or https address"),
        (("market", "target", "add", "other-corp", "a", "https://u:p@example.com"), 2,
         "the address holds a user or password"),
        (("market", "target", "add", "other-corp", "a", "https://example.com", "--network", "x"),
         2, "'x' is no network"),
        (("market", "target", "remove", "other-corp", "nowhere"), 3, "has no target 'nowhere'"),
        (("--offline", "registry", "targets"), 2, "needs the network"),
    ],
)  # fmt: skip
def test_what_is_typed_wrongly_is_one_sentence(
    tavo: Run, served: Served, bob: None, words: tuple[str, ...], code: int, sentence: str
) -> None:
    if "here" in words:
        tavo("market", "target", "add", "other-corp", "here", "http://127.0.0.1:9/v1")
    done = tavo(*words)
    assert sentence in done.err, done
    assert done.code == code, done
    assert "Traceback" not in done.err
