"""A marketplace that runs plugins for organisations: a real one of the kit, and real targets."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path

from marketplace_db.accounts import Account, Accounts
from marketplace_db.execution_limits import ExecutionLimits
from marketplace_db.executions import Execution, Executions, Question
from marketplace_db.intake import Market
from marketplace_db.package import build_package
from marketplace_db.targets import Targets
from tavo.operator.execution import Resolve
from tavo.operator.executors import Executors
from tests.fakes.authors import author_plugin
from tests.fakes.operated import Operated
from tests.fakes.served import ORGANIZATIONS

LOOPBACK = ("127.0.0.0/8",)
ENABLED = "\n[execution]\nenabled = true\n"
PRICES = {"version": "2026-11", "currency": "EUR", "per_run": 0.01, "per_cpu_s": 0.5,
          "per_gb_s": 0.001, "per_request": 0.002, "per_1000_tokens": 0.25}  # fmt: skip


def hand_in_folder(operated: Operated, source: Path) -> str:
    """Take in a plugin's folder; return the submission's id."""
    package = source.with_suffix(".zip")
    build_package(source, package)
    with operated.open() as place:
        return place.intake.submit(
            package, operated.people.sign(package), publishers=place.publishers(), now=operated.now
        )


def add_dynamic(
    operated: Operated, name: str = "prober", *, instead: Mapping[str, str] | None = None,
    **files: str,
) -> None:  # fmt: skip
    """Release a dynamic plugin of acme as the kit writes it.

    `files` replaces some of its files, `instead` texts of its plugin.yaml.
    """
    folder = author_plugin(operated.folder / f"source-{name}", "dynamic", name=name, **files)
    manifest = folder / "plugin.yaml"
    for old, new in (instead or {}).items():
        assert old in manifest.read_text()
        manifest.write_text(manifest.read_text().replace(old, new))
    operated.approve(hand_in_folder(operated, folder))
    operated.release()


class Executed:
    """The market of `operated` with two organisations, and what does their runs."""

    def __init__(self, operated: Operated, limits: ExecutionLimits | None = None) -> None:
        self.operated = operated
        self.limits = limits or ExecutionLimits(enabled=True)
        self.market = Market.open(operated.directory, any_thread=True)
        self.executions = Executions(self.market.connection)
        self.targets = Targets(self.market.connection)
        known = {one.name for one in Accounts(self.market.connection).organizations()}
        for name in ORGANIZATIONS:
            if name not in known:
                Accounts(self.market.connection).add_organization(name, now=operated.now)
        self.count = 0

    def target(
        self, url: str, name: str = "staging", *, networks: tuple[str, ...] = LOOPBACK,
        organization: str = "other-corp", **more: object,
    ) -> None:  # fmt: skip
        """Register a target for an organisation."""
        self.targets.add(
            organization, name, url=url, description=json.dumps({"url": url, **more}),
            networks=networks, now=self.operated.now,
        )  # fmt: skip

    def ask(
        self, plugin: str = "acme/prober", *, target: str = "staging", key: str = "",
        organization: str = "other-corp", config: Mapping[str, object] | None = None,
        version: str = "0.1.0",
    ) -> Execution:  # fmt: skip
        self.count += 1
        run, _ = self.executions.ask(
            account(organization), version, question=Question(
                plugin=plugin, version="", target=target, key=key or f"key-{self.count:08}",
                config=config or {},
            ),
            limits=self.limits, now=self.operated.now,
        )  # fmt: skip
        return run

    def again(self, run: Execution) -> Execution:
        """Return a run as it is now."""
        return self.executions.execution(run.organization, run.uuid)

    def executors(
        self, *, resolve: Resolve | None = None, lease_s: float = 60.0,
        environment: Mapping[str, str] | None = None, stopped: threading.Event | None = None,
    ) -> Executors:  # fmt: skip
        return Executors(
            self.operated.directory, self.limits, clock=lambda: self.operated.now,
            stopped=stopped or threading.Event(), environment=environment or {}, resolve=resolve,
            lease_s=lease_s,
        )  # fmt: skip

    def do(self, run: Execution, **options: object) -> Execution:
        """Do what waits; return this run as it is then."""
        executors = self.executors(**options)  # type: ignore[arg-type]
        while executors.once(self.executions, "test"):
            pass
        return self.again(run)


def account(organization: str, user: str = "bob") -> Account:
    return Account(
        token="t", user=user, organization=organization, scopes=frozenset({"execute"}),
        namespaces=frozenset(), expires_at="2099-01-01T00:00:00Z",
    )  # fmt: skip
