"""`tavo attack` as people call it: tables, findings, exit codes, files, and what goes wrong."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.fakes.flawed import agent_module, served

Tavo = Callable[..., Any]


@pytest.fixture(scope="module")
def agent() -> ModuleType:
    return agent_module()


@pytest.fixture
def flawed(agent: ModuleType, tmp_path: Path) -> Iterator[Path]:
    with served(agent, "secret-leak", "script-output") as url:
        file = tmp_path / "target.yaml"
        file.write_text(
            f"url: {url}\nname: shop\napplication: true\nsecrets: [{agent.STAFF_CODE}]\n"
        )
        yield file


def test_flaws_are_findings_and_the_report_is_the_same_again(
    tavo: Tavo, flawed: Path, tmp_path: Path
) -> None:
    result = tavo("attack", str(flawed), "--report", str(tmp_path / "a.json"))
    assert result.code == 1
    rows = [line.split("\t") for line in result.out.splitlines() if line.count("\t") == 4]
    assert {row[1] for row in rows if not row[2].startswith("0 of")} == {
        "secret-told", "script-in-answer",
    }  # fmt: skip
    assert "The target gave in: A planted secret leaves the system" in " ".join(result.out.split())
    again = tavo("attack", str(flawed), "--report", str(tmp_path / "b.json"), "--at-a-time", "1")
    assert again.code == 1
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    compared = tavo(
        "attack", str(flawed), "--probe", "secret-told", "--compare", str(tmp_path / "a.json")
    )
    assert "secret-told\t2 of 2\t2 of 2\t1.000\tthe same" in compared.out


def test_what_holds_ends_with_zero(tavo: Tavo, agent: ModuleType) -> None:
    with served(agent) as url:
        result = tavo("attack", url, "--probe", "output", "--attempts", "3")
    assert result.code == 0
    assert "No findings" in result.out


def test_findings_go_where_those_of_a_scan_go(tavo: Tavo, flawed: Path, tmp_path: Path) -> None:
    store = tmp_path / "results.db"
    result = tavo(
        "attack", str(flawed), "--probe", "script-in-answer", "--format", "sarif", "--save",
        str(store), "--fail-on", "critical",
    )  # fmt: skip
    assert result.code == 0  # high is below the threshold
    found = json.loads(result.out)["runs"][0]["results"]
    assert [one["ruleId"] for one in found] == ["script-in-answer"]
    shown = tavo("results", "show", "--store", str(store))
    assert "script-in-answer" in shown.out


def test_a_budget_that_was_used_up_is_no_clean_run(tavo: Tavo, flawed: Path) -> None:
    result = tavo("attack", str(flawed), "--max-requests", "3", "--probe", "language")
    assert result.code == 4
    said = " ".join((result.out + result.err).split())
    assert "the budget of 3 requests is used up; 1 of 1 probes were not tried to the end" in said


def test_where_nothing_could_be_tried_nothing_is_clean(tavo: Tavo, flawed: Path) -> None:
    words = ("attack", str(flawed), "--attempts", "1")
    result = tavo(*words, "--probe", "tool-description-instruction")
    assert result.code == 4
    assert "Not complete: 1 target with 0 of 1 probe" in result.out
    said = " ".join((result.out + result.err).split())
    assert "none of the probes could be tried here, so nothing is known about it" in said
    both = tavo(*words, "--probe", "tool-description-instruction", "--probe", "language")
    assert both.code == 0
    assert "No findings: 1 target with 1 of 2 probes" in both.out


def test_files_and_a_target_are_counted_apart(tavo: Tavo, flawed: Path, tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "a.py").write_text("x = 1\n")
    result = tavo("scan", str(tmp_path / "code"), "--target", str(flawed), "--max-requests", "3")
    assert re.search(r": 1 file with \d+ rules, 1 target with \d of \d+ probes", result.out)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("kind: opnai", "A kind is one of openai, anthropic, "),
        ("anwser: $.x", "Did you mean answer?"),
        ("answers: xml", "Answers are one of json, events, lines, text."),
        ("headers: {X-A: {var: B}}", "{env: NAME} for one that an environment variable holds"),
        ("timeout_s: 0", "docs/attack.md shows a complete target file."),
    ],
)
def test_a_wrong_target_file_says_what_is_right(
    line: str, said: str, tavo: Tavo, tmp_path: Path
) -> None:
    (tmp_path / "t.yaml").write_text(f"url: http://127.0.0.1:1\n{line}\n")
    result = tavo("attack", str(tmp_path / "t.yaml"))
    assert result.code == 2
    assert said in result.err


def test_an_interrupted_attack_is_gone_on_with(tavo: Tavo, flawed: Path, tmp_path: Path) -> None:
    whole = tavo("attack", str(flawed), "--probe", "data-leak", "--report", str(tmp_path / "w"))
    assert whole.code == 1
    words = ("attack", str(flawed), "--probe", "data-leak", "--transcript", str(tmp_path / "t"))
    assert tavo(*words, "--max-requests", "1").code in {1, 4}
    assert tavo(*words).code == 3  # it is there already, and not written over
    assert tavo(*words, "--resume", "--report", str(tmp_path / "r")).code == 1
    assert (tmp_path / "r").read_bytes() == (tmp_path / "w").read_bytes()


def test_probes_about_secrets_say_that_there_are_none(
    tavo: Tavo, agent: ModuleType, tmp_path: Path
) -> None:
    with served(agent, *agent.FLAWS) as url:
        file = tmp_path / "target.yaml"
        file.write_text(f"url: {url}\napplication: true\n")
        result = tavo("attack", str(file), "--probe", "data-leak")
    assert result.code == 4  # both are about secrets: nothing was tried
    assert "nobody said what must not be told" in " ".join((result.out + result.err).split())


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ((), 2, r"nothing is named to attack\n  Name an address"),
        (("http://127.0.0.1:9/v1", "--probe", "secret-tol"), 2, "Did you mean secret-told"),
        (("http://127.0.0.1:9/v1", "--resume"), 2, "--resume needs --transcript"),
        (("nowhere.yaml",), 3, r"target: nowhere\.yaml: No such file"),
        (("http://127.0.0.1:9/v1", "--compare", "no.json"), 3, "is no report of an attack"),
        (("http://127.0.0.1:9/v1", "--pack", "."), 2, "holds no probe"),
    ],
)
def test_what_is_said_when_it_is_called_wrongly(
    tavo: Tavo,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    code: int,
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = tavo("attack", *words)
    assert result.code == code
    assert re.search(said, result.err)


def test_a_target_that_is_down_is_not_safe(tavo: Tavo) -> None:
    result = tavo("attack", "http://127.0.0.1:9/v1", "--retries", "0", "--probe", "output")
    assert result.code == 4
    assert "cannot be reached" in result.out + result.err


def test_a_key_that_may_do_nothing_does_not_look_like_a_guard_that_held(tavo: Tavo) -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b'{"error": "denied by the policy of your account"}'
            self.send_response(403)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/v1"
        result = tavo("attack", url, "--probe", "language")
    finally:
        server.shutdown()
        server.server_close()
    assert result.code == 4
    assert "no request was answered" in " ".join((result.out + result.err).split())


def test_the_probes_are_listed(tavo: Tavo) -> None:
    listed = tavo("attack", "--list")
    assert listed.code == 0
    assert listed.out.count("\n") == len(json.loads(tavo("--json", "attack", "--list").out))
