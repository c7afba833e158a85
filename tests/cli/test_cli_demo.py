"""`tavo demo` with the built file: what it says, the page that it writes, and what it leaves."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.fakes.single_file import PYZ, Machine

pytestmark = pytest.mark.skipif(
    not PYZ.exists(), reason="run the tests with `python3 build.py test`, which builds the file"
)
SAID = """\
1/6  Scan the example agent: N findings (N critical, N high, N medium)
2/6  Install model-files from the signed catalog: verified, sandbox LN; N more finding
3/6  Attack the flawed agent: N of N attacks worked, of N of N kinds
4/6  Put the proxy in front and attack again: N of N attacks worked, of N of N kinds; N of N requests were blocked
5/6  Analyse the proxy's log: N findings (N high, N medium, N low) in N lines
6/6  The story, in one page: story.html
"""  # noqa: E501


class Told(HTMLParser):
    """The page as elements and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> tuple[Machine, str, str, float]:
    machine = Machine(tmp_path_factory.mktemp("demo"))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = machine.run("demo", "--output", "story.html")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return machine, done.stdout, (machine.home / "story.html").read_text("utf-8"), cpu_s


def test_it_says_what_happens_step_by_step(story: tuple[Machine, str, str, float]) -> None:
    _, said, _, cpu_s = story
    steps = [re.sub(r"(?<!^)[0-9]+", "N", line[4:]) for line in said.splitlines()]
    assert (
        "".join(f"{line[:4]}{step}\n" for line, step in zip(said.splitlines(), steps, strict=True))
        == SAID
    )
    assert cpu_s < 60


def test_the_proxy_makes_the_difference(story: tuple[Machine, str, str, float]) -> None:
    _, said, _, _ = story
    before, after = (list(map(int, re.findall(r"([0-9]+) of ([0-9]+) attacks", line)[0]))
                     for line in said.splitlines()[2:4])  # fmt: skip
    assert before[1] == after[1]
    assert before == [48, 57]  # the same seed; a target that is not attacked would tell nothing
    assert after[0] < before[0] / 2
    assert int(re.findall(r"([0-9]+) of [0-9]+ requests were blocked", said)[0]) > 20


def test_the_page_loads_nothing_and_tells_all(story: tuple[Machine, str, str, float]) -> None:
    _, said, page, _ = story
    told = Told(page)
    assert not {tag for tag, _ in told.tags} & {"script", "img", "iframe", "link", "form", "a"}
    (policy,) = (a["content"] for tag, a in told.tags if a.get("http-equiv"))
    assert str(policy).startswith("default-src 'none'; style-src 'sha256-")
    assert len(page) < 200_000
    for line in said.splitlines()[:5]:
        result = line.partition(": ")[2]
        assert result[:1].upper() + result[1:] in told.text
    for words in ("llm-output-to-exec", "model-file-runs-code", "system-prompt-told",
                  "tavo proxy serve", "start other programs"):  # fmt: skip
        assert words in told.text


def test_the_machine_is_as_before(story: tuple[Machine, str, str, float]) -> None:
    machine = story[0]
    assert {path.name for path in machine.home.iterdir()} == {"story.html", ".cache"}
    assert "No plugins are installed" in machine.run("registry", "list").stderr


def test_it_is_told_where_it_cannot_write(tmp_path: Path) -> None:
    done = Machine(tmp_path).run("demo", "--output", "no/such/folder.html", code=2)
    assert done.stderr == (
        "tavo: demo: no/such/folder.html: is in no folder\n"
        "  Name a file that is to be written, as with --output story.html.\n"
    )


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_leaves_nothing_running(tmp_path: Path, number: signal.Signals) -> None:
    machine = Machine(tmp_path / "home", TMPDIR=str(tmp_path))
    process = subprocess.Popen(
        machine.command("demo"), env=machine.environment, cwd=machine.home, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:  # the third step has started the agent
        if line.startswith("3/6"):
            break
    assert list(tmp_path.glob("tavo-demo-*"))
    process.send_signal(number)
    process.communicate(timeout=60)
    assert process.returncode == 130
    assert list(tmp_path.glob("tavo-demo-*")) == []
    assert not (machine.home / "tavo-demo.html").exists()
    end = time.monotonic() + 60
    while (left := _of(tmp_path)) and time.monotonic() < end:
        time.sleep(0.1)
    assert left == []


def _of(folder: Path) -> list[str]:
    """Return the processes that have this folder in their environment."""
    found = []
    for one in Path("/proc").glob("[0-9]*"):
        try:
            if (
                int(one.name) != os.getpid()
                and str(folder).encode() in (one / "environ").read_bytes()
            ):
                found.append((one / "cmdline").read_bytes().decode())
        except OSError:
            continue
    return found
