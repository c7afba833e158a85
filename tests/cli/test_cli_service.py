"""Commands that speak to a served marketplace, and those that say who may."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tavo.errors import ExitCode
from tests.cli.conftest import Run
from tests.fakes.served import Served, marketplace

SHOP = Path(__file__).parents[2] / "examples" / "shop-agent"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    opened = Served(marketplace(tmp_path_factory.mktemp("cli-served"), count=1))
    yield opened
    opened.stop()


@pytest.fixture
def token(tavo: Run, served: Served) -> Path:
    file = Path("token")
    file.write_text(served.tokens["bob"] + "\n")
    return file


def package(served: Served, **values: object) -> Path:
    people = served.operated.people
    built = people.package(**values)
    built.with_name(f"{built.name}.dsse.json").write_bytes(people.sign(built))
    return built


def test_a_package_is_handed_in_over_http(tavo: Run, served: Served) -> None:
    file = Path("alice")
    file.write_text(served.tokens["alice"])
    built = package(served, id="sent", name="Sent")
    words = ("plugin", "submit", built, "--to", served.url, "--token-file", file)
    done = tavo(*words)
    assert done.code == 0, done.err
    assert done.out.startswith("acme/sent 1.0.0 is submission ")
    again = tavo(*words)
    assert again.code == ExitCode.REFUSED
    assert "acme/sent 1.0.0 is already here (submitted)" in again.err
    mine = json.loads(tavo("--json", "plugin", "submit", package(served, id="two", name="Two"),
                           "--to", served.url, "--token-file", file).out)  # fmt: skip
    assert mine["submission"]["state"] == "submitted"
    listed = tavo("market", "submissions", "--market", served.operated.directory)
    assert "acme/sent" in listed.out


def test_a_foreign_token_hands_nothing_in(tavo: Run, served: Served, token: Path) -> None:
    built = package(served, id="stolen", name="Stolen")
    done = tavo("plugin", "submit", built, "--to", served.url, "--token-file", token)
    assert done.code == ExitCode.REFUSED
    assert "does not publish in the namespace acme" in done.err
    assert served.tokens["bob"] not in done.err + done.out


@pytest.mark.parametrize(
    ("to", "text", "code", "sentence"),
    [
        ("http://plugins.example.org", None, ExitCode.USAGE, "is an https:// address"),
        ("https://a:b@plugins.example.org", None, ExitCode.USAGE, "is an https:// address"),
        ("http://127.0.0.1:1", None, ExitCode.FAILED, "Check the network"),
        ("", "", ExitCode.USAGE, "no token is given"),
        ("", "hunter2", ExitCode.USAGE, "holds no token"),
        ("", "tavo_" + "x" * 43, ExitCode.REFUSED, "unknown, over or revoked"),
    ],
)
def test_a_token_goes_nowhere_it_should_not(
    tavo: Run, served: Served, token: Path, to: str, text: str | None, code: int, sentence: str
) -> None:
    if text is not None:
        token.write_text(text)
    built = package(served, id="nowhere", name="Nowhere")
    done = tavo("plugin", "submit", built, "--to", to or served.url, "--token-file", token)
    assert (done.code, sentence in done.err) == (code, True), done.err
    offline = tavo("--offline", "plugin", "submit", built, "--to", served.url,
                   "--token-file", token)  # fmt: skip
    assert offline.code == ExitCode.USAGE


def test_a_review_is_written_read_and_shown(tavo: Run, served: Served, token: Path) -> None:
    at = ("--at", served.url)
    assert "Nobody has reviewed it yet." in tavo("registry", "review", "acme/reach", *at).err
    written = tavo("registry", "review", "acme/reach", *at, "--token-file", token,
                   "--rating", "4", "--title", "Good", "--body", "a\x1b[31mb")  # fmt: skip
    assert written.code == ExitCode.REFUSED
    assert "control character" in written.err
    written = tavo("registry", "review", "acme/reach", *at, "--token-file", token,
                   "--rating", "4", "--title", "Good", "--body", "It works")  # fmt: skip
    assert written.out == "Your review of acme/reach 1.1.0: 4 of 5, waiting.\n"
    market = ("--market", served.operated.directory)
    queue = json.loads(tavo("--json", "market", "reviews", *market).out)
    assert "of 5 by bob: Good" in tavo("market", "reviews", *market).out
    shown = tavo("market", "moderate", queue[0]["uuid"][:8], *market)
    assert shown.out == "The review of acme/reach 1.1.0 by bob: published.\n"
    assert "No review waits" in tavo("market", "reviews", *market).err
    read = tavo("registry", "review", "acme/reach", *at)
    assert "4.0 of 5 from 1 reviews" in read.out
    assert "    It works" in read.out
    hidden = tavo("market", "moderate", queue[0]["uuid"], "--hide", "Spam", *market)
    assert ": hidden." in hidden.out
    assert tavo("registry", "review", "acme/reach", *at, "--title", "x").code == 2
    assert tavo("market", "moderate", "nobody", *market).code == ExitCode.FAILED


def test_tokens_are_made_listed_and_revoked(tavo: Run, served: Served) -> None:
    market = ("--market", served.operated.directory)
    assert tavo("market", "org", "add", "new-corp", *market).code == 0
    assert tavo("market", "org", "give", "new-corp", "acme", *market).code == 0
    assert "acme" in tavo("market", "org", "list", *market).out
    assert "no longer" in tavo("market", "org", "take", "new-corp", "acme", *market).out
    made = tavo("market", "token", "new", "fay", "--org", "new-corp", "--scope", "review",
                "--name", "laptop", *market)  # fmt: skip
    assert made.code == 0, made.err
    secret = made.out.strip()
    headers = {"authorization": f"Bearer {secret}"}
    address = f"{served.url}api/v1/account"
    assert httpx.get(address, headers=headers, trust_env=False, timeout=60).json()["user"] == "fay"
    listed = tavo("market", "token", "list", *market)
    assert "laptop" in listed.out
    assert secret not in listed.out
    found = json.loads(tavo("--json", "market", "token", "list", *market).out)
    (mine,) = [one for one in found if one["user"] == "fay"]
    assert "is no longer valid" in tavo("market", "token", "revoke", mine["uuid"], *market).out
    assert httpx.get(address, headers=headers, trust_env=False, timeout=60).status_code == 401
    wrong = tavo("market", "token", "new", "gus", "--org", "new-corp", "--scope", "root", *market)
    assert "there is no scope 'root'" in wrong.err
    assert tavo("market", "token", "new", "gus", "--org", "new-corp", "--scope", "review",
                "--days", "9999", *market).code == ExitCode.USAGE  # fmt: skip


def test_nothing_is_told_of_what_is_not_installed(tavo: Run, served: Served, token: Path) -> None:
    done = tavo("registry", "tell", "--at", served.url, "--token-file", token)
    assert (done.code, "Nothing is installed here." in done.err) == (0, True)


def test_serving_nothing_is_one_sentence(tavo: Run) -> None:
    done = tavo("market", "serve", "--market", "nowhere", "--no-worker")
    assert done.code == ExitCode.FAILED
    assert "there is no marketplace here" in done.err
    assert tavo("market", "serve", "--release-every", "99").code == ExitCode.USAGE
    Path("broken/repository/metadata").mkdir(parents=True)
    for text, near in {
        "[service]\nreads_per_minut = 1\n": "reads_per_minute",
        "[vetting]\nrequird = []\n": "required",
        "[execution]\nenable = true\n": "enabled",
    }.items():
        Path("broken/market.toml").write_text(text)
        wrong = tavo("market", "serve", "--market", "broken", "--no-worker")
        assert (wrong.code, f"Did you mean '{near}'?" in wrong.err) == (ExitCode.USAGE, True), wrong
        if not text.startswith("[service]"):
            checked = tavo("market", "work", "--market", "broken", "--check")
            assert (checked.code, f"'{near}'?" in checked.err) == (ExitCode.USAGE, True), checked


def test_who_cannot_vet_does_not_serve(tavo: Run, served: Served) -> None:
    words = ("--market", served.operated.directory, "--keys", "nokeys")
    checked = tavo("market", "work", *words, "--check")
    assert checked.code == ExitCode.FAILED
    assert "nokeys: no key files named <role>-<number>.key" in checked.err
    assert tavo("market", "work", *words[:2], "--check").code == 0  # control
    done = tavo("market", "serve", *words, "--port", "0")
    assert done.code == ExitCode.FAILED
    assert "the marketplace is not served, because its worker cannot start" in done.err


def test_nothing_is_run_for_others_unless_the_operator_says_so(
    tavo: Run, served: Served, token: Path
) -> None:
    done = tavo("registry", "execute", "acme/reach", "--target", "staging", "--at", served.url,
                "--token-file", token)  # fmt: skip
    assert done.code == ExitCode.REFUSED
    assert "this marketplace runs no plugins for others: cloud execution is off" in done.err
