"""The official clients of the providers, through the proxy, as their users see it.

They are no dependencies of ours: those for Python stand in an environment of their own (or in that
of the interpreter that TAVO_TEST_SDKS_PYTHON names), that for JavaScript is installed by npm when
the test runs. Where that cannot be done the tests are skipped.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.dialect_upstream import providing
from tests.fakes.environments import python_with

SDKS = (
    "anthropic==2.14.0", "google-genai==3.6.1", "mcp==2.3.0", "ollama==0.6.3", "openai==3.57.0",
)  # fmt: skip
HERE = Path(__file__).parent / "sdks"
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.slow
FILTERS = """
filters:
  - filter: pii
  - filter: secrets
  - filter: hidden-text
  - filter: injection
  - filter: tools
    arguments: [{argument: cmd, never: "rm -rf"}]
  - filter: content
    rules: [{id: falcon, words: [project falcon], phases: [response]}]
"""


@contextmanager
def started(command: list[str], folder: Path) -> Iterator[str]:
    """Start a program that prints an address; yield that."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TAVO_")}
    environment |= {"HOME": str(folder), "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        try:
            said: list[str] = []
            for line in process.stdout:
                said.append(line)
                if "http://127.0.0.1:" in line:
                    break
            else:
                raise AssertionError("".join(said))
            yield line.split("http://")[1].split()[0]
        finally:
            process.terminate()


@contextmanager
def proxy(upstream: str, folder: Path) -> Iterator[str]:
    text = 'proxy: 1\nlisten: {port: 0}\nupstreams:\n  all: {url: "http://' + upstream + '"}'
    text += FILTERS + f"audit: {{file: {json.dumps(str(folder / 'audit.jsonl'))}}}\n"
    (folder / "proxy.yaml").write_text(text, "utf-8")
    command = [sys.executable, "-m", "tavo", "proxy", "serve", "--config"]
    with started([*command, str(folder / "proxy.yaml")], folder) as address:
        yield f"http://{address}"


def tried(command: list[str], folder: Path) -> list[str]:
    """Run what tries a client; return what worked."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=180, check=False
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert [line for line in lines if not line.startswith("ok ")] == []
    return lines


@pytest.fixture(scope="module")
def python() -> str:
    return python_with("sdks", *SDKS)


def test_clients_of_models(python: str, tmp_path: Path) -> None:
    with providing() as upstream:
        with proxy(upstream.url.removeprefix("http://"), tmp_path) as address:
            assert len(tried([python, str(HERE / "model_clients.py"), address], tmp_path)) >= 30
        assert upstream.cut >= 1, "a client that went away ended its stream upstream"
    log = (tmp_path / "audit.jsonl").read_text("utf-8")
    assert "bob@example.com" not in log
    assert '"unjudged"' not in log


def test_a_client_of_tools(python: str, tmp_path: Path) -> None:
    with (
        started([python, str(HERE / "mcp_server.py")], tmp_path) as server,
        proxy(server, tmp_path) as address,
    ):
        assert len(tried([python, str(HERE / "mcp_client.py"), address], tmp_path)) == 6


def test_the_client_for_javascript(tmp_path: Path) -> None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("node or npm is not installed")
    folder = tmp_path / "client"
    folder.mkdir()
    shutil.copy(HERE / "openai_client.mjs", folder)
    (folder / "package.json").write_text('{"private": true}', "utf-8")
    try:
        subprocess.run(
            [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "openai"],
            cwd=folder, check=True, capture_output=True, timeout=120,
        )  # fmt: skip
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip("npm cannot install the package openai here")
    with providing() as upstream:
        with proxy(upstream.url.removeprefix("http://"), tmp_path) as address:
            command = [node, str(folder / "openai_client.mjs"), address]
            assert len(tried(command, folder)) >= 17
        assert upstream.cut >= 1, "a client that went away ended its stream upstream"
    log = (tmp_path / "audit.jsonl").read_text("utf-8")
    assert "bob@example.com" not in log
    assert '"unjudged"' not in log
