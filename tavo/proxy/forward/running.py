"""One run of one program: proxy, authority and child, from its start to what is said at the end.

Units: times in seconds.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from tavo.printable import counted
from tavo.proxy.app import App, event_loop_factory, raise_file_limit
from tavo.proxy.config import Listen, ProxyConfig
from tavo.proxy.forward.authority import Authority
from tavo.proxy.forward.child import Child, environment_for, usual_authorities
from tavo.proxy.forward.front import Front
from tavo.proxy.forward.hosts import forwarding
from tavo.proxy.judging import WorkerOf
from tavo.proxy.sharing import Shared

__all__ = ["run_behind"]

_LONGEST_END_S = 2.0


def run_behind(
    command: Sequence[str], config: ProxyConfig, *, say: Callable[[str], None], shared: Shared,
    environment: Mapping[str, str] | None = None, worker_of: WorkerOf | None = None,
) -> int:  # fmt: skip
    """Run a program behind a proxy of its own; return its exit code. Raises TavoError."""
    config, hosts = forwarding(config)
    limits = msgspec.structs.replace(
        config.limits, drain_s=min(config.limits.drain_s, _LONGEST_END_S)
    )
    config = msgspec.structs.replace(config, limits=limits, listen=Listen(port=0))
    raise_file_limit()
    given = os.environ if environment is None else environment

    async def main(folder: Path) -> int:
        front = Front(hosts, Authority(hosts.judged, folder))
        app = App(config, shared, environment=given, worker_of=worker_of, front=front)
        await app.start()
        try:
            for line in _beginning(front, config, given):
                say(line)
            ours, bundle = folder / "authority.pem", folder / "authorities.pem"
            ours.write_bytes(front.authority.pem)
            bundle.write_bytes(front.authority.pem + b"\n" + usual_authorities(given))
            child = Child(command, environment_for(
                given, port=app.port, secret=front.secret, ours=ours, bundle=bundle,
                clear=not hosts.all_else_passes,
            ))  # fmt: skip
            try:
                code = await child.ended()
            finally:
                child.end()
        finally:
            await app.stop()
        for line in _ending(front, app):
            say(line)
        return code

    with (
        tempfile.TemporaryDirectory(prefix="tavo-run-") as name,
        asyncio.Runner(loop_factory=event_loop_factory()) as runner,
    ):
        return runner.run(main(Path(name)))


# -- inside


def _beginning(front: Front, config: ProxyConfig, environment: Mapping[str, str]) -> list[str]:
    hosts = front.hosts
    names = hosts.judged
    shown = (
        ", ".join(names) if len(names) <= 3 else f"{', '.join(names[:2])} and {len(names) - 2} more"
    )
    verb = "watched" if config.observe else "judged" if config.filters else "metered, not judged"
    if hosts.all_else_passes:
        rest = "all other hosts pass UNSEEN (--tunnel '*')"
    elif hosts.tunnelled:
        rest = f"{', '.join(hosts.tunnelled)} pass UNSEEN, all other hosts are blocked"
    else:
        rest = "all other hosts are blocked (--tunnel HOST lets one through unseen)"
    lines = [f"tavo proxy run: https to {shown} is {verb}; {rest}"]
    if config.audit is None:
        lines.append("  nothing is written down: --audit FILE keeps an audit log")
    if environment.get("HTTPS_PROXY") or environment.get("https_proxy"):
        lines.append("  HTTPS_PROXY of this shell is not used on the way to providers")
    return lines


def _ending(front: Front, app: App) -> list[str]:
    def by_host(hosts: Mapping[str, int]) -> str:
        found = sorted(hosts.items(), key=lambda item: -item[1])
        more = f" and {len(found) - 5} more" if len(found) > 5 else ""
        return ", ".join(f"{host} ({count})" for host, count in found[:5]) + more

    total, refused = 0, 0
    for *labels, values in app.snapshot()["series"]:
        total += values["count"]
        refused += values["count"] if labels[-1] in ("refused", "blocked") else 0
    lines = [f"tavo proxy run: {counted(total, 'exchange')}, {refused} refused or blocked"]
    if front.blocked:
        lines.append(f"  blocked hosts: {by_host(front.blocked)}")
    if front.tunnelled:
        lines.append(f"  let through unseen: {by_host(front.tunnelled)}")
    if front.distrusted:
        lines.append(
            "  the program did not trust the certificate of this run for"
            f" {by_host(front.distrusted)}: it has a list of authorities of its own, see"
            " docs/proxy.md"
        )  # fmt: skip
    return lines
