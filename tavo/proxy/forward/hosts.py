"""What happens to a host that a program asks for: judged, let through unseen, or blocked.

Rules this module keeps:
- a host is judged if an upstream of the configuration is there, or is named for it in `run.hosts`;
- one that `run.tunnel` names is let through unseen, at port 443 or the one that is named;
- everything else is blocked, as unknown paths are: traffic that nobody judges is asked for by name;
- decisions only, no I/O.

Units: none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from tavo.errors import ConfigError
from tavo.proxy.config import ProxyConfig, Upstream

__all__ = ["PROVIDERS", "Hosts", "Judged", "forwarding", "known_providers"]

PROVIDERS = {
    "openai": "https://api.openai.com",
    "anthropic": "https://api.anthropic.com",
    "gemini": "https://generativelanguage.googleapis.com",
    "mistral": "https://api.mistral.ai",
    "groq": "https://api.groq.com/openai",
    "deepseek": "https://api.deepseek.com",
    "openrouter": "https://openrouter.ai/api",
    "together": "https://api.together.xyz",
    "xai": "https://api.x.ai",
    "cohere": "https://api.cohere.com",
    "perplexity": "https://api.perplexity.ai",
    "fireworks": "https://api.fireworks.ai/inference",
}
"""Where models are asked, for who gives no configuration."""

_HTTPS = 443


class Judged(NamedTuple):
    """A host that is judged; `before` stands before each path, so that the door finds the way."""

    upstream: str
    before: bytes


class Hosts:
    """Decides for one configuration. Raises ConfigError for a host that is named for both."""

    def __init__(self, judged: Mapping[tuple[str, int], Judged], tunnel: Iterable[str]) -> None:
        self._judged = dict(judged)
        self._tunnel: list[tuple[str, int]] = []
        for pattern in tunnel:
            host, port = _split(pattern)
            if any(host == known for known, _ in self._judged):
                raise ConfigError(
                    f"run.tunnel: {host} is judged, and cannot be let through unseen",
                    hint="Leave it out there, or give a configuration without that upstream.",
                )
            self._tunnel.append((host, port))

    @property
    def judged(self) -> list[str]:
        """The names of all that are judged."""
        return sorted({host for host, _ in self._judged})

    @property
    def all_else_passes(self) -> bool:
        """Tell whether every other host is let through."""
        return any(host == "*" for host, _ in self._tunnel)

    @property
    def tunnelled(self) -> list[str]:
        """The patterns of what is let through unseen."""
        return [host if port == _HTTPS else f"{host}:{port}" for host, port in self._tunnel]

    def decide(self, host: str, port: int) -> Judged | bool:
        """Return how a host is judged, True for one let through, False for a blocked one."""
        host = host.lower().rstrip(".")
        found = self._judged.get((host, port))
        if found is not None:
            return found
        if any(host == known for known, _ in self._judged):
            return False  # at another port nobody would judge it
        return any(port == at and fnmatchcase(host, pattern) for pattern, at in self._tunnel)


def forwarding(config: ProxyConfig) -> tuple[ProxyConfig, Hosts]:
    """Return a configuration as `tavo proxy run` serves it, and its hosts. Raises ConfigError.

    Each upstream gets a prefix of its own, which is put before the paths of the hosts that it
    stands for; so the door, the metrics and the audit log work as they do for a reverse proxy.
    """
    judged: dict[tuple[str, int], Judged] = {}
    upstreams: dict[str, Upstream] = {}
    paths: dict[str, str] = {}
    for name, one in config.upstreams.items():
        parts = urlsplit(one.url)
        paths[name] = parts.path.rstrip("/")
        upstreams[name] = msgspec.structs.replace(one, prefix=f"/{name}{paths[name]}", dialects=[])
        if parts.scheme == "https" and parts.hostname:
            place = parts.hostname.lower(), parts.port or _HTTPS
            judged.setdefault(place, Judged(name, f"/{name}".encode("ascii")))
    for pattern, name in config.run.hosts.items():
        if name not in upstreams:
            raise ConfigError(
                f"run.hosts: {pattern} is to be asked at {name!r}, and there is no such upstream",
                hint=f"There are {', '.join(upstreams)}.",
            )
        judged[_split(pattern)] = Judged(name, f"/{name}{paths[name]}".encode("ascii"))
    if not judged:
        raise ConfigError(
            "tavo proxy run: no upstream is at https://, so there is no host to judge",
            hint="Name one with --judge HOST, or in run.hosts of the configuration.",
        )
    hosts = Hosts(judged, config.run.tunnel)
    return msgspec.structs.replace(config, upstreams=upstreams, workers=1), hosts


def known_providers(more: Iterable[str]) -> dict[str, Upstream]:
    """Return the upstreams for who gives no configuration, and those of `more` hosts."""
    found = {name: Upstream(url=url) for name, url in PROVIDERS.items()}
    places = {urlsplit(url).hostname: name for name, url in PROVIDERS.items()}
    for host in more:
        if host.lower() not in places:
            found[host.lower().replace(":", "-")] = Upstream(url=f"https://{host}")
    return found


def _split(text: str) -> tuple[str, int]:
    host, colon, port = text.lower().rpartition(":")
    if not colon:
        return text.lower().rstrip("."), _HTTPS
    if not port.isdigit() or not 0 < int(port) < 65536 or not host:
        raise ConfigError(f"run: {text!r} is no host, expected HOST or HOST:PORT")
    return host.rstrip("."), int(port)
