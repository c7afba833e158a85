"""An MCP server as a target: what opens sessions with it, with its key and without.

Rules this module keeps:
- a session is one attempt's own, so that what a server remembers of one does not change another;
- what a tool may destroy is not called unless the user said so;
- credentials come from the environment by name, and are in nothing that is given back.
"""

from __future__ import annotations

import ipaddress
import re
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tavo.attack.mcp.canary import Canary
from tavo.attack.mcp.wire import HttpWire, Session, StdioWire, Wire
from tavo.attack.targets import (
    TargetFailedError,
    TargetFile,
    address_of,
    check_headers,
    headers_of,
    key_of,
    named,
)
from tavo.errors import ConfigError
from tavo.host.bounded_http import BoundedClient
from tavo.llm.openai_chat import Usage
from tavo.plugins.values import ChatRequest, ChatResponse

if TYPE_CHECKING:
    from tavo.attack.probes import Probe

__all__ = ["McpTarget"]

_DESTROYS = re.compile(
    r"(?i)(?:^|[^a-z])(?:delete|remove|drop|destroy|purge|erase|wipe|truncate|format|kill"
    r"|terminate|shut_?down|reboot|uninstall|pay|refund|transfer|purchase|buy|order_now|send|email"
    r"|post|publish|deploy|merge|push|reset|revoke|overwrite|write|update|create|insert|move"
    r"|rename)(?:[^a-z]|$)"
)
_CAMEL = re.compile(r"([a-z0-9])([A-Z])")


class McpTarget:
    """An MCP server. May be used from several threads; close it when done.

    `left_alone` are the tools that were not called, because of what they may destroy.
    """

    model = ""
    application = True

    def __init__(self, described: TargetFile, environment: Mapping[str, str]) -> None:
        """Prepare; nothing is sent or started yet. Raises ConfigError."""
        if bool(described.url) == bool(described.command):
            raise ConfigError(
                "target: an MCP server is named by a url or by a command, one of them",
                hint="Write `url: http://localhost:8000/mcp`, or `command: [python3, server.py]`.",
            )
        self.secrets = described.secrets
        self._described = described
        self._headers, self._secrets = headers_of(described, environment)
        self.left_alone: set[str] = set()
        self._canary: Canary | None = None
        self._lock = threading.Lock()
        self._client: BoundedClient | None = None
        if described.url:
            url = address_of(described.url)
            self.name = named(described, url)
            if secret := key_of(described, environment):
                self._headers["Authorization"] = f"Bearer {secret}"
                self._secrets = (secret, *self._secrets)
            check_headers(self._headers, secret=described.key)
            self._client = BoundedClient(headers={"User-Agent": "tavo"})
            self.is_here = _is_loopback(url.hostname or "")
        else:
            if described.key or described.headers:
                raise ConfigError(
                    "target: a command takes no key and no headers",
                    hint="It has the environment of tavo: set there what it needs.",
                )
            self.name = described.name or Path(described.command[0]).name
            self.is_here = True

    def close(self) -> None:
        """Close the connections and the listener."""
        if self._client is not None:
            self._client.close()
        if self._canary is not None:
            self._canary.close()

    def send(self, request: ChatRequest) -> tuple[ChatResponse, Usage]:
        """Refuse: a server of tools is not spoken to. Raises TargetFailedError."""
        raise TargetFailedError(
            f"{self.name}: is an MCP server, which answers no chat",
            hint="Attack it with `tavo attack` and the built-in probes for servers",
        )

    def lacks(self, probe: Probe) -> str:
        """Return why a probe cannot be tried here; empty if it can."""
        server = probe.server
        if server in {"without-key", "foreign-page"} and self._client is None:
            return "the server is a program here, which no stranger can ask"
        if server == "url" and not self.is_here:
            return "the server is not on this machine, whose listener it would have to reach"
        return ""

    def session(self, *, key: bool = True, origin: str = "") -> Session:
        """Open a session, which `begin` begins. Raises TargetFailedError.

        Without `key` nothing goes along that says who asks; `origin` says which page asks.
        """
        return Session(self._wire(key=key, origin=origin), self.name)

    def _wire(self, *, key: bool, origin: str) -> Wire:
        described = self._described
        if self._client is None:
            return StdioWire(described.command, name=self.name, timeout_s=described.timeout_s)
        headers = {**(self._headers if key else {}), **({"Origin": origin} if origin else {})}
        return HttpWire(
            self._client, described.url, name=self.name, headers=headers, secrets=self._secrets,
            timeout_s=described.timeout_s,
        )  # fmt: skip

    def canary(self) -> Canary:
        """Return the listener on this machine."""
        with self._lock:
            if self._canary is None:
                self._canary = Canary()
            return self._canary

    def may_call(self, tool: Mapping[str, Any]) -> bool:
        """Tell whether a tool is called; one that is not is noted."""
        name = tool["name"]
        careful = self._described.calls == "careful"
        hints = tool.get("annotations")
        hints = hints if isinstance(hints, dict) else {}
        destroys = hints.get("destructiveHint") is True or _DESTROYS.search(
            _CAMEL.sub(r"\1_\2", name)
        )
        if name in self._described.leave_alone or (
            careful and destroys and hints.get("readOnlyHint") is not True
        ):
            self.left_alone.add(name)
            return False
        return True


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
