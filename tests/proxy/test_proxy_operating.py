"""What an operator relies on: observing shows, ends are orderly, nothing is lost unsaid."""

from __future__ import annotations

import asyncio
import contextlib
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
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tavo.cli import main as tavo
from tavo.errors import TavoError
from tavo.proxy.app import App
from tavo.proxy.audit_chain import verify
from tavo.proxy.config import Listen, ProxyConfig, Upstream
from tavo.proxy.sharing import Shared, kept_secret
from tests.fakes.model_server import serving
from tests.fakes.scripted_upstream import ScriptedUpstream, Stage, answer, saying
from tests.proxy.test_proxy_operations import Running, command, post

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and modes of POSIX")


def said(text: str, model: str = "m") -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}]}


# -- to observe


def test_that_it_only_observes_is_seen_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On the terminal, in each answer, in the metrics, at the admin port, and in the log."""
    log = tmp_path / "a.jsonl"
    (tmp_path / "p.yaml").write_text(
        "proxy: 1\nlisten: {port: 0}\nupstreams: {m: {url: 'URL'}}\nadmin: {token_file: token}\n"
        "filters: [{filter: content, rules: [{id: f, words: [falcon]}]}]\n"
    )
    with serving(lambda text: text) as model:
        config = tmp_path / "p.yaml"
        config.write_text(config.read_text().replace("URL", model.url))
        words = ("--config", str(config), "--observe", "--audit", str(log))
        with command(tmp_path, *words) as running:
            url = running.said(r"tavo proxy listens at (http://\S+)")
            admin = running.said(r"admin: (http://127\.0\.0\.1:\d+)")
            running.said("OBSERVE ONLY: traffic is judged, and nothing is changed or blocked")
            request = urllib.request.Request(
                f"{url}/v1/chat/completions", json.dumps(said("falcon")).encode()
            )
            with urllib.request.urlopen(request, timeout=60) as heard:
                assert heard.headers["x-tavo-observe"] == "1"
                assert b"falcon" in heard.read()
            assert ask(admin, "/health")["observe"] is True
            token = (tmp_path / "token").read_text().strip()
            asked = urllib.request.Request(
                f"{admin}/metrics", headers={"Authorization": f"Bearer {token}"}
            )
            with urllib.request.urlopen(asked, timeout=60) as heard:
                assert "\ntavo_proxy_observing 1\n" in heard.read().decode()
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    assert rows[0]["observe"] is True
    (done,) = [row for row in rows if row["kind"] == "done"]
    assert (done["verdict"], done["observed"], done["would"]) == ("allow", True, "block")
    assert tavo(["proxy", "audit", "verify", str(log)]) == 0
    assert "1 exchange, 1 only observed (1 would have been blocked)" in capsys.readouterr().out


def test_who_does_not_observe_says_nothing_of_it(tmp_path: Path) -> None:
    with serving(lambda text: text) as model, command(
        tmp_path, "--upstream", model.url, "--port", "0"
    ) as running:  # fmt: skip
        url = running.said(r"tavo proxy listens at (http://\S+)")
        running.said("no filter is configured: traffic is metered, not judged\n")
        running.said("no audit log: nothing is written down; --audit FILE or audit.file keeps one")
        request = urllib.request.Request(
            f"{url}/v1/chat/completions", json.dumps(said("x")).encode()
        )
        with urllib.request.urlopen(request, timeout=60) as heard:
            assert heard.headers["x-tavo-observe"] is None
        admin = running.said(r"admin: (http://127\.0\.0\.1:\d+)")
        assert ask(admin, "/health")["observe"] is False


def ask(admin: str, path: str) -> Any:
    with urllib.request.urlopen(f"{admin}{path}", timeout=60) as heard:
        return json.loads(heard.read())


def test_a_reload_that_ends_or_begins_observing_says_so() -> None:
    async def main() -> None:
        back = ScriptedUpstream(saying(answer()))
        await back.start()
        config = ProxyConfig(
            proxy=1, listen=Listen(port=0),
            upstreams={"back": Upstream(url=f"http://127.0.0.1:{back.port}")},
            filters=[{"filter": "content", "rules": [{"id": "f", "words": ["falcon"]}]}],
        )  # fmt: skip
        app = App(config, Shared(), environment={})
        await app.start()
        stage = Stage(app, back)
        body = json.dumps(said("falcon")).encode()
        for observe, note, status in (
            (True, "from now on: OBSERVE ONLY: nothing is changed or blocked", 200),
            (False, "from now on: it changes and blocks", 403),
        ):
            change = await app.prepare(msgspec.structs.replace(config, observe=observe))
            assert change.commit() == [note]
            got, fields, _ = await stage.ask(body=body)
            assert (got, b"x-tavo-observe" in fields) == (status, observe)
        await back.stop()
        await app.stop()

    asyncio.run(main())


# -- to end


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_cuts_what_is_under_way_and_all_the_rest_ends_well(
    tmp_path: Path, workers: int
) -> None:
    go = threading.Event()
    arrived = threading.Event()

    def slow(text: str) -> str:
        arrived.set()
        go.wait(120)
        return text

    with serving(slow) as model:
        config = tmp_path / "p.yaml"
        config.write_text(
            f"proxy: 1\nworkers: {workers}\nlisten: {{port: 0}}\naudit: {{file: a.jsonl}}\n"
            f"upstreams: {{m: {{url: '{model.url}'}}}}\n"
        )
        with command(tmp_path, "--config", str(config)) as running:
            url = running.said(r"tavo proxy listens at (http://\S+)")
            results: list[Any] = []

            def one() -> None:
                with contextlib.suppress(OSError):
                    results.append(post(url, **said("x")))

            asking = threading.Thread(target=one)
            asking.start()
            assert arrived.wait(60)
            running.process.send_signal(signal.SIGTERM)
            with pytest.raises(subprocess.TimeoutExpired):
                running.process.wait(3)  # one signal waits for what is under way
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(60) == 4
            asking.join()
            go.set()
            running.said(r"ended; \d exchanges were cut off")
    assert results == []
    for log in tmp_path.glob("a*.jsonl"):
        found = verify(log)
        assert (found.broken, found.open) == ("", 0)
        assert '"kind":"end"' in log.read_text()


# -- placeholders


async def _sent(secret: bytes | None) -> str:
    back = ScriptedUpstream(saying(answer()))
    await back.start()
    config = ProxyConfig(
        proxy=1, listen=Listen(port=0), filters=[{"filter": "pii"}],
        upstreams={"back": Upstream(url=f"http://127.0.0.1:{back.port}")},
    )  # fmt: skip
    app = App(config, Shared(key=secret), environment={})
    await app.start()
    body = json.dumps(said("mail jane@example.org")).encode()
    await Stage(app, back).ask(b"Authorization: Bearer sk-1", body=body)
    await back.stop()
    await app.stop()
    return back.asked[0].body.decode()


def test_placeholders_are_the_same_after_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    first, second = (asyncio.run(_sent(kept_secret(file))) for _ in range(2))
    assert file.stat().st_mode & 0o777 == 0o600
    assert re.search(r"mail \{EMAIL:[0-9a-f]{16}\}", first)
    assert first == second
    # the control: a proxy that keeps no secret writes others
    assert asyncio.run(_sent(None)) != asyncio.run(_sent(None))


@pytest.mark.parametrize(
    ("text", "mode", "says"),
    [
        ("", 0o600, "holds no secret, expected 64 hexadecimal digits"),
        ("ab" * 31, 0o600, "holds no secret"),
        ("ab" * 32, 0o644, "others may read it"),
    ],
)
def test_a_secret_that_is_none_or_others_know_is_refused(
    tmp_path: Path, text: str, mode: int, says: str
) -> None:
    (tmp_path / "s").write_text(text)
    (tmp_path / "s").chmod(mode)
    with pytest.raises(TavoError, match=says):
        kept_secret(tmp_path / "s")
    with pytest.raises(TavoError, match="cannot be kept there: No such file"):
        kept_secret(tmp_path / "missing" / "s")


# -- verify


def test_an_empty_or_missing_log_is_not_intact(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").touch()
    assert tavo(["proxy", "audit", "verify", str(tmp_path / "empty")]) == 4
    assert "empty: EMPTY: there is no row in it, so nothing was verified" in capsys.readouterr().out
    assert tavo(["proxy", "audit", "verify", str(tmp_path / "missing")]) == 3
    assert "missing: cannot be read: No such file" in capsys.readouterr().err
    words = ["proxy", "audit", "verify", str(tmp_path / "empty"), "--expect", "ab" * 32]
    assert tavo(words) == 5
    assert "rows are missing" in capsys.readouterr().out


# -- reload


@pytest.mark.parametrize(
    ("workers", "how"),
    [
        (1, "file"),
        (2, "signal"),
        pytest.param(1, "signal", marks=pytest.mark.slow),
        pytest.param(2, "file", marks=pytest.mark.slow),
    ],
)
def test_a_reload_leaves_what_is_under_way_to_the_old_chain(
    tmp_path: Path, workers: int, how: str
) -> None:
    """Also without an admin port; a file that is wrong changes nothing."""
    arrived, go = threading.Event(), threading.Event()

    def model_says(text: str) -> str:
        if text == "slow":
            arrived.set()
            go.wait(120)
            return "falcon eagle"
        return text

    with serving(model_says) as model:
        config = tmp_path / "p.yaml"

        def write(word: str) -> None:
            new = tmp_path / "new.yaml"
            new.write_text(
                f"proxy: 1\nworkers: {workers}\nlisten: {{port: 0}}\nadmin: {{off: true}}\n"
                f"upstreams: {{m: {{url: '{model.url}'}}}}\n"
                f"filters: [{{filter: content, rules: [{{id: w, words: [{word}]}}]}}]\n"
            )
            new.replace(config)

        write("falcon")
        with command(tmp_path, "--config", str(config)) as running:
            url = running.said(r"tavo proxy listens at (http://\S+)")
            assert post(url, **said("falcon"))[0] == 403
            slow: list[tuple[int, bytes]] = []
            asking = threading.Thread(target=lambda: slow.append(post(url, **said("slow"))))
            asking.start()
            assert arrived.wait(60)
            write("sparrow")
            if how == "signal":
                running.process.send_signal(signal.SIGHUP)
            running.said("reloaded the configuration")
            statuses = {(word, post(url, **said(word))[0]) for word in ["falcon", "sparrow"] * 6}
            assert statuses == {("falcon", 200), ("sparrow", 403)}
            go.set()
            asking.join()
            assert slow[0][0] == 403  # judged by the chain that it began with
            if workers == 1 and how == "file":
                config.write_text("proxy: 1\nupstreams: {}\n")
                running.said("kept the old configuration: .*upstreams")
                assert post(url, **said("sparrow"))[0] == 403


# -- a full disk


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    place = folder / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system cannot be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


def until_refused(url: str, most: int = 200) -> list[int]:
    out = []
    for _ in range(most):
        out.append(post(url, **said("x"))[0])
        if out[-1] != 200:
            break
    return out


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mounts a tmpfs")
def test_a_disk_that_fills_up_while_it_serves_stops_what_cannot_be_recorded(tmp_path: Path) -> None:
    with serving(lambda text: text) as model, small_disk(tmp_path) as disk:
        log = disk / "a.jsonl"
        words = ("--upstream", model.url, "--port", "0", "--audit", str(log))
        with command(tmp_path, *words) as running:
            url = running.said(r"tavo proxy listens at (http://\S+)")
            admin = running.said(r"admin: (http://127\.0\.0\.1:\d+)")
            statuses = until_refused(url)
            assert statuses[-1] == 503
            assert len(statuses) > 5
            asked = len(model.asked)
            assert post(url, **said("x"))[0] == 503
            assert len(model.asked) == asked, "a request went on that was not recorded"
            with pytest.raises(urllib.error.HTTPError) as caught:
                ask(admin, "/ready")
            assert caught.value.code == 503
            assert b"No space left on device" in caught.value.read()
            # what was asked is in the file: no request reached the model that is not
            assert log.read_text().count('"kind":"asked"') == asked
            subprocess.run(["mount", "-o", "remount,size=256k", str(disk)], check=True)
            answers = [post(url, **said("x"))]
            deadline = time.monotonic() + 30
            while answers[-1][0] != 200 and time.monotonic() < deadline:
                time.sleep(0.1)
                answers.append(post(url, **said("x")))
            assert answers[-1][0] == 200, answers
            assert ask(admin, "/ready")["status"] == "ready"
            running.process.send_signal(signal.SIGTERM)
            assert running.process.wait(60) == 0
        found = verify(log)
        assert (found.broken, found.open) == ("", 0)


@pytest.mark.parametrize("rule", ["block", "pass"])
def test_a_file_that_may_not_grow_follows_the_rule(tmp_path: Path, rule: str) -> None:
    """The same on every system, by a limit of the process."""
    log, config = tmp_path / "a.jsonl", tmp_path / "p.yaml"
    with serving(lambda text: text) as model:
        config.write_text(
            f"proxy: 1\nlisten: {{port: 0}}\nupstreams: {{m: {{url: '{model.url}'}}}}\n"
            f"audit: {{file: a.jsonl, on_failure: {rule}}}\nadmin: {{off: true}}\n"
        )
        out = (tmp_path / "log").open("w")
        process = subprocess.Popen(
            ["sh", "-c", 'ulimit -f 16; exec "$@"', "sh", sys.executable, "-m", "tavo", "proxy",
             "serve", "--config", str(config)],
            stdout=out, stderr=out, text=True,
            env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip
        running = Running(process, tmp_path / "log")
        try:
            url = running.said(r"tavo proxy listens at (http://\S+)")
            statuses = until_refused(url, 40)
            asked = len(model.asked)
            recorded = log.read_text().count('"kind":"asked"')
        finally:
            process.terminate()
            process.wait(60)
            out.close()
    if rule == "block":
        assert statuses[-1] == 503
        assert recorded == asked
    else:
        assert statuses == [200] * 40
        assert recorded < asked == 40
    assert verify(log).broken == ""
