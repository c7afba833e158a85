"""The admin port, reload, workers, and the command: what an operator has to do with."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tavo.cli import main as tavo
from tavo.errors import TavoError
from tavo.proxy.admin import AdminServer
from tavo.proxy.audit_chain import verify
from tavo.proxy.config import Secret, load_config
from tavo.proxy.fleet import Local
from tests.fakes.model_server import serving
from tests.fakes.scripted_upstream import Client, staged, until

ROOT = Path(__file__).parents[2]


# -- the admin port


async def ask(port: int, line: str, *headers: str) -> tuple[int, str]:
    client = Client(*await asyncio.open_connection("127.0.0.1", port))
    client.send("\r\n".join([f"{line} HTTP/1.1", *headers, "", ""]).encode())
    text = (await client.rest()).decode()
    client.close()
    return int(text.split(" ")[1]) if text else 0, text.partition("\r\n\r\n")[2]


def test_the_admin_port_answers_who_has_the_token(tmp_path: Path) -> None:
    async def main() -> None:
        file = tmp_path / "token"
        async with staged() as stage:
            admin = AdminServer(Local(stage.app, None), file)
            await admin.start(0)
            port, token = admin.port, file.read_text().strip()
            assert file.stat().st_mode & 0o777 == 0o600
            host, own = f"Host: 127.0.0.1:{port}", f"Authorization: Bearer {token}"
            await stage.ask()
            assert (await ask(port, "GET /health", host))[0] == 200
            assert (await ask(port, "GET /ready", host))[0] == 200
            assert (await ask(port, "GET /metrics", host))[0] == 401
            assert (await ask(port, f"GET /metrics?token={token}", host))[0] == 404
            assert (await ask(port, "GET /metrics", host, own + "x"))[0] == 401
            status, text = await ask(port, "GET /metrics", host, own)
            assert status == 200
            assert (
                'gen_ai_client_token_usage_total{gen_ai_operation_name="openai-chat",'
                'gen_ai_request_model="m",tavo_upstream="back",http_response_status_code="200",'
                'tavo_outcome="done",gen_ai_token_type="input"} 9' in text
            )
            assert re.search(r'duration_seconds_bucket\{.*le="\+Inf"\} 1', text)
            status, text = await ask(port, "GET /stats", host, own)
            assert json.loads(text)["gauges"]["active_exchanges"] == 0
            # a page in a browser reaches it under another name, or says where it comes from
            assert (await ask(port, "GET /metrics", "Host: evil.example", own))[0] == 403
            assert (await ask(port, "GET /health", host, "Origin: http://x"))[0] == 403
            assert (await ask(port, "GET /health", host, host))[0] == 400
            status, text = await ask(port, "POST /reload", host, own)
            assert status == 409
            assert "there is no file to read again" in text
            await admin.stop()
            assert not file.exists()

    asyncio.run(main())


def test_the_text_for_prometheus_is_well_formed(tmp_path: Path) -> None:
    async def main() -> str:
        async with staged() as stage:
            await stage.ask(body=b'{"model":"a\\"b\\\\c\\nd"}')
            await stage.ask(path=b"/nothing")
            admin = AdminServer(Local(stage.app, None), tmp_path / "t")
            await admin.start(0)
            own = f"Authorization: Bearer {(tmp_path / 't').read_text().strip()}"
            text = (await ask(admin.port, "GET /metrics", f"Host: localhost:{admin.port}", own))[1]
            await admin.stop()
            return text

    label = r'[a-z_]+="(?:[^"\\\n]|\\["\\n])*"'
    line = re.compile(rf"[a-z_]+(?:\{{{label}(?:,{label})*\}})? -?[0-9.e+-]+|# (?:HELP|TYPE) .+")
    text = asyncio.run(main())
    assert [one for one in text.splitlines() if not line.fullmatch(one)] == []


# -- reload


def test_a_reload_swaps_everything_or_nothing(tmp_path: Path) -> None:
    async def main() -> None:
        async with staged() as stage:
            file = tmp_path / "proxy.yaml"
            base = (
                f"proxy: 1\nupstreams:\n  back: {{url: 'http://127.0.0.1:{stage.upstream.port}'}}\n"
            )
            file.write_text(base)
            fleet = Local(stage.app, lambda: load_config(file.read_bytes(), "proxy.yaml"))
            assert (await stage.ask(path=b"/else"))[0] == 404
            file.write_text(base + "unknown_paths: pass\nworkers: 2\n")
            assert await fleet.reload() == [
                "the address (listen) changes with the next start only",
                "the number of workers (workers) changes with the next start only",
            ]
            assert (await stage.ask(path=b"/else"))[0] == 200
            for wrong in ("unknown_paths: maybe\n", "filters: [{}]\n", "keys: {a: {env: NONE}}\n"):
                file.write_text(base + wrong)
                with pytest.raises(TavoError):
                    await fleet.reload()
                assert (await stage.ask(path=b"/else"))[0] == 200

    asyncio.run(main())


def test_a_request_under_way_keeps_the_credential_of_its_upstream(tmp_path: Path) -> None:
    """A reload while a body is judged must not send a new credential to an old address."""

    async def main() -> bytes | None:
        async with staged(
            upstream={"credential": Secret(unsafe_value="old-one")}, environment={}
        ) as stage:
            other = tmp_path / "proxy.yaml"
            other.write_text(
                "proxy: 1\nupstreams: {back: {url: 'http://127.0.0.1:9',"
                " credential: {unsafe_value: new-one}}}\n"
            )
            client = await stage.client()
            client.send(
                b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{"
            )
            await until(lambda: stage.app.wire.active)
            await Local(stage.app, lambda: load_config(other.read_bytes(), "p")).reload()
            client.send(b"}")
            await client.answer()
            return stage.upstream.asked[0]["authorization"]

    assert asyncio.run(main()) == b"Bearer old-one"


def test_what_is_under_way_keeps_its_judge_and_the_old_one_is_retired_after_it() -> None:
    from tavo.proxy.passing import Passer

    retired: list[str] = []

    class Named(Passer):
        def __init__(self, name: str) -> None:
            super().__init__("block")
            self.name = name

        async def retire(self) -> None:
            retired.append(self.name)

    async def main() -> None:
        go = asyncio.Event()

        async def script(_: object, writer: asyncio.StreamWriter) -> None:
            await go.wait()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")

        async with staged(script) as stage:  # type: ignore[arg-type]
            wire = stage.app.wire
            wire.change(Named("old"))
            client = await stage.client()
            client.post()
            await until(lambda: stage.upstream.asked)
            wire.change(Named("new"))
            await asyncio.sleep(0.05)
            assert retired == []
            go.set()
            await client.answer()
            await until(lambda: retired)
            assert retired == ["old"]

    asyncio.run(main())


# -- the command


class Running:
    def __init__(self, process: subprocess.Popen[str], log: Path) -> None:
        self.process, self.log = process, log

    def said(self, pattern: str, seconds: float = 60) -> str:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := re.search(pattern, self.log.read_text()):
                return found.group(found.lastindex or 0)
            if self.process.poll() is not None:
                break
            time.sleep(0.03)
        raise AssertionError(f"{pattern!r} was not said:\n{self.log.read_text()}")


@contextmanager
def command(home: Path, *words: str) -> Iterator[Running]:
    log = home / "log"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tavo", "proxy", "serve", *words], stdout=out, stderr=out,
            text=True, cwd=ROOT, env={**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
    try:
        yield Running(process, log)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(60)
        process.kill()
        process.wait()


def post(url: str, **fields: Any) -> tuple[int, bytes]:
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", json.dumps(fields).encode(),
        {"Content-Type": "application/json"},
    )  # fmt: skip
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_serve_says_what_to_change_in_a_client_and_ends_on_sigterm(tmp_path: Path) -> None:
    with serving(lambda text: f"heard {text}") as model:
        words = ("--upstream", model.url, "--port", "0", "--audit", str(tmp_path / "a.jsonl"))
        with command(tmp_path, *words) as running:
            url = running.said(r"tavo proxy listens at (http://127\.0\.0\.1:\d+)")
            running.said("no filter is configured")
            status, body = post(url, model="m", messages=[{"role": "user", "content": "x"}])
            assert (status, b"heard x" in body) == (200, True)
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(60) == 0
            text = running.log.read_text()
    port = url.rpartition(":")[2]
    for line in (
        f"upstream: {url} -> {model.url}", f"OpenAI    OPENAI_BASE_URL={url}/v1",
        f"Anthropic ANTHROPIC_BASE_URL={url}", "ended; every exchange was complete",
    ):  # fmt: skip
        assert line in text, port
    assert verify(tmp_path / "a.jsonl").exchanges == 1
    assert not list((tmp_path / ".local" / "state" / "tavo").glob("*.token"))


@pytest.mark.skipif(sys.platform == "win32", reason="one worker only")
def test_workers_share_a_budget_and_are_started_again(tmp_path: Path) -> None:
    with serving(lambda text: "yes") as model:
        file = tmp_path / "proxy.yaml"
        (tmp_path / "real").write_text("sk-real")
        (tmp_path / "own").write_text("virtual")
        (tmp_path / "real").chmod(0o600)
        (tmp_path / "own").chmod(0o600)
        file.write_text(
            f"proxy: 1\nworkers: 2\nlisten: {{port: 0}}\n"
            f"upstreams: {{m: {{url: '{model.url}', credential: {{file: real}}}}}}\n"
            "keys: {team: {file: own, budget: {requests_per_day: 30}}}\n"
            "admin: {token_file: token}\naudit: {file: audit.jsonl}\n"
        )
        with command(tmp_path, "--config", str(file)) as running:
            url = running.said(r"tavo proxy listens at (http://\S+)")
            admin = running.said(r"admin: (http://127\.0\.0\.1:\d+)")
            children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")

            def statuses(count: int) -> list[int]:
                out = []
                for _ in range(count):
                    request = urllib.request.Request(
                        f"{url}/v1/chat/completions",
                        b'{"model":"m","messages":[{"role":"user","content":"x"}]}',
                        {"Authorization": "Bearer virtual"},
                    )
                    try:
                        with urllib.request.urlopen(request, timeout=60) as answer:
                            out.append(answer.status)
                    except urllib.error.HTTPError as error:
                        out.append(error.code)
                return out

            assert statuses(20) == [200] * 20
            if children.exists():
                victim = int(children.read_text().split()[0])
                os.kill(victim, signal.SIGKILL)
                running.said("worker 0 died")
                time.sleep(0.5)
            assert statuses(15) == [200] * 10 + [429] * 5
            # a reload that fails in one worker changes none; one that is good changes all
            token = (tmp_path / "token").read_text().strip()
            request = urllib.request.Request(
                f"{admin}/reload", b"", {"Authorization": f"Bearer {token}"}
            )
            good = file.read_text()
            file.write_text(good.replace("real", "missing"))
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(request, timeout=60)
            assert caught.value.code == 409
            file.write_text(good.replace("requests_per_day: 30", "requests_per_day: 40"))
            with urllib.request.urlopen(request, timeout=60) as answer:
                assert json.loads(answer.read())["status"] == "reloaded"
            assert statuses(12) == [200] * 10 + [429] * 2
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(60) == 0
        logs = [verify(path) for path in sorted(tmp_path.glob("audit*.jsonl"))]
        assert len(logs) == 2
        assert [one.broken for one in logs] == ["", ""]
        assert {h["authorization"] for _, h, _ in model.asked} == {"Bearer sk-real"}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds workers in /proc")
def test_workers_that_are_killed_all_the_time_let_nothing_pass_unwritten(tmp_path: Path) -> None:
    log = tmp_path / "audit.jsonl"
    with serving(lambda text: f"for {text}") as model:
        file = tmp_path / "proxy.yaml"
        file.write_text(
            f"proxy: 1\nworkers: 2\nlisten: {{port: 0}}\nupstreams: {{m: {{url: '{model.url}'}}}}\n"
            "audit: {file: audit.jsonl}\nadmin: {off: true}\n"
        )
        with command(tmp_path, "--config", str(file)) as running:
            url = running.said(r"tavo proxy listens at (http://\S+)")
            children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
            answered, mixed, stop = [0], [0], time.monotonic() + 6

            def load(number: int) -> None:
                count = 0
                while time.monotonic() < stop:
                    count += 1
                    mine = f"client {number}, question {count}"
                    with contextlib.suppress(OSError, http.client.HTTPException):
                        messages = [{"role": "user", "content": mine}]
                        status, body = post(url, model="m", messages=messages)
                        answered[0] += status == 200
                        mixed[0] += status == 200 and f"for {mine}".encode() not in body

            threads = [threading.Thread(target=load, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            while time.monotonic() < stop:
                time.sleep(0.5)
                with contextlib.suppress(ProcessLookupError, IndexError):
                    os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
            for thread in threads:
                thread.join()
        logs = [verify(path) for path in (log, tmp_path / "audit.1.jsonl")]
        asked = sum(
            path.read_text().count('"kind":"asked"') for path in (log, tmp_path / "audit.1.jsonl")
        )
    assert answered[0] > 100
    assert mixed[0] == 0
    assert [one.broken for one in logs] == ["", ""]
    assert len(model.asked) <= asked


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        ([], 2, "give one of --config, --upstream and --litellm"),
        (["--upstream", "nowhere"], 2, "upstreams.upstream.url is 'nowhere', expected http://"),
        (["--config", "missing.yaml"], 3, "missing.yaml: cannot be read: No such file"),
        (["--upstream", "http://x", "--print-config"], 2, "--print-config goes with --litellm"),
    ],
)
def test_wrong_usage_is_one_sentence(
    words: list[str], code: int, text: str, capsys: pytest.CaptureFixture[str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert tavo(["proxy", "serve", *words]) == code
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("section", "says", "hint"),
    [
        ("filters: [{filter: pi}]", "filters, number 1: there is no filter 'pi'", "'pii'"),
        ("filters: [{filter: pii, x: 1}]", "filters, number 1 (pii): 'x' is no", "on_error."),
        ("", "upstreams.a.credential: the variable NOT_SET is not set", "export NOT_SET=..."),
    ],
)
def test_what_is_wrong_in_a_file_names_the_file(
    workers: int, section: str, says: str, hint: str, capfd: pytest.CaptureFixture[str],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "proxy.yaml"
    path.write_text(
        f"proxy: 1\nworkers: {workers}\nlisten: {{port: 0}}\n"
        "upstreams: {a: {url: 'http://127.0.0.1:9', credential: {env: NOT_SET}}}\n" + section
    )
    assert tavo(["proxy", "serve", "--config", str(path)]) == 2
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
    first, second = capfd.readouterr().err.splitlines()
    assert first.startswith(f"tavo: {path}: {says}")
    assert hint in second


@pytest.mark.skipif(not hasattr(os, "waitid"), reason="waits without taking the child")
def test_it_waits_for_its_own_children_only(tmp_path: Path) -> None:
    path = tmp_path / "proxy.yaml"
    path.write_text(
        "proxy: 1\nworkers: 2\nlisten: {port: 0}\n"
        "upstreams: {a: {url: 'http://127.0.0.1:9', credential: {env: NOT_SET}}}\n"
    )
    with subprocess.Popen([sys.executable, "-c", "raise SystemExit(7)"]) as another:
        os.waitid(os.P_PID, another.pid, os.WEXITED | os.WNOWAIT)
        assert tavo(["proxy", "serve", "--config", str(path)]) == 2
        assert another.wait() == 7  # 0 is what Popen says of a child that somebody else took


def test_offline_means_this_machine_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    words = ["--offline", "proxy", "serve", "--upstream", "https://api.openai.com"]
    assert tavo(words) == 2
    assert "upstream is at api.openai.com, and --offline forbids" in capsys.readouterr().err


def test_a_port_that_is_taken_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with serving(lambda text: text) as model:
        port = model.url.rpartition(":")[2]
        assert tavo(["proxy", "serve", "--upstream", "http://127.0.0.1:9", "--port", port]) == 3
    assert f"127.0.0.1:{port}: cannot listen there" in capsys.readouterr().err
