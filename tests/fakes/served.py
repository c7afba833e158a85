"""A marketplace served by its own process on loopback, with people of three organisations."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

import httpx

from marketplace_db.accounts import SCOPES, Accounts
from marketplace_db.intake import Market
from marketplace_db.submission import write_submission
from tests.fakes.operated import Operated

ROOT = Path(__file__).parents[2]
SCRIPT = """
import sys, time
from datetime import datetime, timedelta
from pathlib import Path
from tavo.operator.service import log_as_json, serve

folder, begin = Path(sys.argv[1]), datetime.fromisoformat(sys.argv[2])
started = time.monotonic()
log_as_json()
serve(folder, host="127.0.0.1", port=0, worker=None, version="1.2.3",
      ready=lambda url: print(url, flush=True),
      clock=lambda: begin + timedelta(seconds=time.monotonic() - started))
print("ended in order", flush=True)
"""
HANDED_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Starts a command with a socket, as a service manager does: descriptor, then the command."""
LIMITS = """
[service]
reads_per_minute = 1000000
writes_per_minute = 1000000
submissions_per_hour = 1000000
"""
ORGANIZATIONS = ("acme-corp", "other-corp", "market-corp")
"""Whose namespace is acme, who has none, and the operator's own."""


class Served:
    """The operated marketplace in a folder, its tokens by name, and the process that serves it."""

    def __init__(self, operated: Operated, *, more: str = "", limits: str = LIMITS) -> None:
        self.operated = operated
        toml = operated.directory / "market.toml"
        toml.write_text(toml.read_text() + limits + more)
        self.tokens: dict[str, str] = {}
        everything = [scope for scope in SCOPES if scope != "operate"]
        with Market.open(operated.directory) as market:
            accounts = Accounts(market.connection)
            known = {one.name for one in accounts.organizations()}
            for name in set(ORGANIZATIONS) - known:
                accounts.add_organization(name, now=operated.now)
            accounts.give_namespace("acme-corp", "acme", now=operated.now)
            self.token("alice", "acme-corp", everything, market)
            self.token("bob", "other-corp", everything, market)
            self.token("carol", "market-corp", ["operate"], market)
            self.token("dave", "other-corp", ["install"], market)
        self.log = operated.folder / "serve.log"
        self.start()

    def token(self, user: str, organization: str, scopes: Sequence[str], market: Market) -> str:
        _, secret = Accounts(market.connection).new_token(
            user, organization, name="test", scopes=scopes,
            expires=self.operated.now + timedelta(days=90), now=self.operated.now,
        )  # fmt: skip
        self.tokens[user] = secret
        return secret

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", SCRIPT, str(self.operated.directory),
                 self.operated.now.isoformat()],
                env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE, stderr=log,
                text=True,
            )  # fmt: skip
        assert self.process.stdout is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, self.log.read_text()
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=30)

    def stop(self, number: int = signal.SIGTERM) -> str:
        """End the server; return what it printed since it began."""
        self.client.close()
        self.process.send_signal(number)
        assert self.process.stdout is not None
        printed = self.process.stdout.read()
        self.process.wait(30)
        return printed

    def ask(
        self,
        method: str,
        path: str,
        who: str | None = None,
        *,
        json: object = None,
        **more: object,
    ) -> httpx.Response:
        """Ask the API as somebody."""
        headers: dict[str, str] = dict(more.pop("headers", {}) or {})  # type: ignore[call-overload]
        if who is not None:
            headers["authorization"] = f"Bearer {self.tokens[who]}"
        return self.client.request(
            method,
            f"/api/v1{path}",
            headers=headers,
            json=json,
            **more,  # type: ignore[arg-type]
        )

    def hand_in(
        self, who: str, path: str = "/plugins", method: str = "POST", **package: object
    ) -> httpx.Response:
        """Hand in a package that is made of these values."""
        return self.ask(
            method, path, who, content=self.submission(**package),
            headers={"content-type": "application/vnd.tavo.submission"},
        )  # fmt: skip

    def submission(self, *, wheels: Mapping[str, Path] | None = None, **package: object) -> bytes:
        people = self.operated.people
        built = people.package(**package)
        return write_submission(built, people.sign(built), wheels or {})

    def lines(self) -> list[dict[str, object]]:
        """Return what the server logged."""
        return [json.loads(line) for line in self.log.read_text().splitlines()]


def marketplace(folder: Path, count: int = 3) -> Operated:
    """Return a released marketplace: `count` plugins of acme, one official, one that is hostile."""
    operated = Operated(folder)
    network = "permissions: {network: [api.example.com]}\npricing_tier: paid\n"
    submissions = [
        operated.hand_in(publisher="tavo", id="model-files", name="Model files"),
        operated.hand_in(id="hostile", name="<script>alert(1)</script>"),
        operated.hand_in(id="reach", name="Reach", more=network),
        operated.hand_in(id="reach", name="Reach", version="1.1.0", more=network),
        *(operated.hand_in(id=f"small-{one}", name=f"Small {one}") for one in range(count)),
    ]
    for submission in submissions:
        operated.approve(submission)
    with operated.open() as place:
        place.intake.yank("acme/reach", "1.0.0", reason="It <b>breaks</b>", now=operated.now)
    operated.release()
    return operated
