"""The system under test: what the user named, as something that takes a request and answers.

Rules this module keeps:
- credentials come from the environment by name, stay in this process, and are in no message, no
  record and no error;
- how a target is asked is known to its own module only: `http_target`, `programs`, `mcp.target`.

A target is an address of an OpenAI-compatible API (`http://localhost:8000/v1`), or a YAML file:

    kind: openai            # or anthropic, gemini, ollama, http, command, python, mcp
    url: https://api.example.com/v1
    model: small
    key: EXAMPLE_API_KEY    # the name of an environment variable
    headers: {X-Team: red}
    body: {input: "{{prompt}}", history: "{{messages}}"}     # http
    body: {instances: ["{{json}}"]}  # http: the prompt read as JSON, for what takes no text
    answer: $.output.text                                     # http
    command: [python3, agent.py]    # command: JSON with the messages on standard input
    call: package.module:answer     # python: takes a list of messages, returns text
    calls: careful          # mcp: or all, also tools that may destroy something
    leave_alone: [publish]  # mcp: tools that are never called
    timeout_s: 60
    application: true         # it has a system prompt and tools of its own: plant nothing
    secrets: [SPRING-77]      # what it must never tell, besides what is planted

Units: sizes in bytes, times in seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Meta

from tavo.errors import ConfigError, InputError
from tavo.llm.openai_chat import Usage
from tavo.plugins.values import ChatRequest, ChatResponse

__all__ = [
    "PASSING", "Target", "TargetFailedError", "TargetFile", "address_of", "check_headers",
    "concealed", "key_of", "named", "open_target", "read_target",
]  # fmt: skip

_LONGEST_FILE = 256 << 10
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may be answered later."""


class TargetFailedError(Exception):
    """The target gave no answer that could be used. The message is one sentence without secrets.

    `unreachable` tells that no connection could be made, `passing` that the same request may be
    answered later, `refused` that a guard in front of the model did not let it through, `denied`
    that who asks may not; `hint` is the next step, or empty.
    """

    def __init__(
        self,
        message: str,
        *,
        unreachable: bool = False,
        passing: bool = False,
        refused: bool = False,
        denied: bool = False,
        hint: str = "",
    ) -> None:
        super().__init__(f"{message}. {hint}" if hint else message)
        self.unreachable = unreachable
        self.passing = passing or unreachable
        self.refused = refused
        self.denied = denied
        self.hint = hint


class TargetFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A target's description, as a YAML file has it."""

    url: Annotated[str, Meta(max_length=2000)] = ""
    kind: Literal["openai", "anthropic", "gemini", "ollama", "http", "command", "python", "mcp"] = (
        "openai"
    )
    name: Annotated[str, Meta(max_length=100)] = ""
    model: Annotated[str, Meta(max_length=200)] = ""
    key: Annotated[str, Meta(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$|^$")] = ""
    headers: dict[str, str] = {}
    method: Literal["POST", "PUT"] = "POST"
    body: Any = None
    answer: str = ""
    command: tuple[str, ...] = ()
    call: Annotated[str, Meta(max_length=500)] = ""
    calls: Literal["careful", "all"] = "careful"
    leave_alone: tuple[str, ...] = ()
    timeout_s: Annotated[float, Meta(gt=0, le=600)] = 60.0
    application: bool = False
    secrets: tuple[Annotated[str, Meta(min_length=4, max_length=500)], ...] = ()


class Target(Protocol):
    """Something that takes a request and answers. May be used from several threads."""

    @property
    def name(self) -> str:
        """Return what findings call it."""

    @property
    def model(self) -> str:
        """Return the model that is asked for, or an empty text."""

    @property
    def application(self) -> bool:
        """Tell whether it has a system prompt and tools of its own."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return what it must never tell."""

    def send(self, request: ChatRequest) -> tuple[ChatResponse, Usage]:
        """Send one request; return the answer and the tokens. Raises TargetFailedError."""

    def close(self) -> None:
        """Give back what it holds."""


def concealed(value: Any, secret: str) -> Any:
    """Return JSON-able values without the credential, which a target may repeat."""
    if not secret:
        return value
    if isinstance(value, str):
        return value.replace(secret, "…")
    if isinstance(value, list):
        return [concealed(one, secret) for one in value]
    if isinstance(value, dict):
        return {concealed(key, secret): concealed(one, secret) for key, one in value.items()}
    return value


def open_target(name: str, environment: Mapping[str, str]) -> Target:
    """Return the target that the user named: an address, or a YAML file that describes one.

    Raises ConfigError, InputError.
    """
    described = read_target(name)
    if described.kind == "mcp":
        from tavo.attack.mcp.target import McpTarget

        return McpTarget(described, environment)
    if described.kind in {"command", "python"}:
        from tavo.attack.programs import CommandTarget, PythonTarget

        return CommandTarget(described) if described.kind == "command" else PythonTarget(described)
    from tavo.attack.http_target import HttpTarget

    return HttpTarget(described, environment)


def read_target(named: str) -> TargetFile:
    """Return the description of a target, without any credential. Raises as `open_target`."""
    if "://" in named:
        return TargetFile(url=named)
    path = Path(named)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"target: {named}: {error.strerror or error}",
            hint="Name an address like http://localhost:8000/v1, or a YAML file.",
        ) from error
    from marketplace_db.errors import ManifestError
    from marketplace_db.strict_yaml import load_yaml

    try:
        return msgspec.convert(load_yaml(data, name=named, limit=_LONGEST_FILE), TargetFile)
    except (ManifestError, msgspec.ValidationError) as error:
        raise ConfigError(
            f"target: {named}: {error}", hint="The user guide shows a complete target file."
        ) from error


def named(described: TargetFile, url: SplitResult) -> str:
    """Return what a target at an address is called in findings. Raises ConfigError."""
    if url.username or url.password:
        raise ConfigError(
            "target: the address holds a user or password",
            hint="Put the secret into an environment variable and name it as 'key' in a file.",
        )
    name = described.name or f"{url.hostname}{f':{url.port}' if url.port else ''}"
    if "/" in name or name in {".", ".."} or not name.isprintable():
        raise ConfigError(
            f"target: the name {name!r} cannot stand in findings",
            hint="Name it in the file without '/', for example `name: staging`.",
        )
    return name


def key_of(described: TargetFile, environment: Mapping[str, str]) -> str:
    """Return the credential that a target's file names, if it names one. Raises ConfigError."""
    if not described.key:
        return ""
    secret = environment.get(described.key, "")
    if not secret:
        raise ConfigError(
            f"target: the environment variable {described.key} is not set",
            hint="Set it in the shell that runs tavo.",
        )
    return secret


def address_of(text: str) -> SplitResult:
    """Take an address apart. Raises ConfigError for one that no request can go to."""
    try:
        url = urlsplit(text)
        good = url.scheme in {"http", "https"} and url.hostname and (url.port or 1) > 0
    except ValueError:  # a port above 65535, brackets that are not closed
        good = False
    if not good:
        raise ConfigError(
            f"target: {text!r} is no http or https address",
            hint="Name an address like http://localhost:8000/v1, or a YAML file.",
        )
    return url


def check_headers(headers: Mapping[str, str], *, secret: str) -> None:
    """Refuse what no header can hold before a library names it, whole, in an error.

    `secret` is the variable that the credential comes from. Raises ConfigError.
    """
    for name, value in headers.items():
        named = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
        if named and value.isascii() and value.isprintable() and value == value.strip():
            continue
        if name == "Authorization" and secret:
            raise ConfigError(
                f"target: the value of {secret} cannot be sent: it is not one line of plain text",
                hint="Often that is a line end behind it: export it without one.",
            )
        raise ConfigError(
            f"target: the header {name!r} cannot be sent",
            hint="Names are letters, digits and '-'; values are one line of plain ASCII.",
        )
