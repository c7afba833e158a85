"""The system under test: what the user named, as something that takes a request and answers.

Rules this module keeps:
- credentials come from the environment by name, stay in this process, and are in no message, no
  record and no error; what a header's name says is one counts as one, wherever it comes from;
- redirects are not followed: a target is what the user named and nothing else;
- an answer is hostile: bounded in size and time, and its text is data; where it repeats
  credentials that it was sent, they are taken out before anybody sees them.

A target is an address of an OpenAI-compatible API (`http://localhost:8000/v1`), or a YAML file:

    kind: openai            # or anthropic, gemini, ollama, http, command, python, mcp
    url: https://api.example.com/v1
    model: small
    key: EXAMPLE_API_KEY    # the name of an environment variable
    headers: {X-Team: red, X-Api-Key: {env: EXAMPLE_API_KEY}}
    body: {session: "{{session}}", talk: "{{messages}}"}      # http; `http_api` has all places
    message: {who: "{{role}}", text: "{{content}}"}           # http: how one of {{messages}} is
    roles: {assistant: bot}                                   # http: what it calls who speaks
    answer: $.output.text                                     # http; of a stream, in each piece
    answers: events           # http: or lines, json, text; without it what the server says
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

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Protocol, get_args
from urllib.parse import SplitResult, urlsplit

import msgspec
from msgspec import Meta

from tavo.attack.http_api import Form
from tavo.errors import ConfigError, InputError
from tavo.llm.openai_chat import Usage
from tavo.plugins.values import ChatRequest, ChatResponse

__all__ = [
    "PASSING", "FromEnvironment", "Target", "TargetFailedError", "TargetFile", "address_of",
    "check_headers", "concealed", "headers_of", "key_of", "named", "open_target", "read_target",
]  # fmt: skip

_LONGEST_FILE = 256 << 10
_HALF = re.compile("[\ud800-\udfff]")

PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses after which the same request may be answered later."""

Kind = Literal["openai", "anthropic", "gemini", "ollama", "http", "command", "python", "mcp"]
Send = Callable[[ChatRequest], tuple[ChatResponse, Usage]]


class TargetFailedError(Exception):
    """The target gave no answer that could be used. The message is one sentence without secrets.

    `unreachable` tells that no connection could be made, `passing` that the same request may be
    answered later, `refused` that a guard in front of the model did not let it through, `denied`
    that who asks may not, `gone` that whoever was spoken with is not there any more; `hint` is the
    next step, or empty; `wait_s` is for how long it asked to
    be left alone.
    """

    def __init__(
        self,
        message: str,
        *,
        unreachable: bool = False,
        passing: bool = False,
        refused: bool = False,
        denied: bool = False,
        gone: bool = False,
        hint: str = "",
        wait_s: float = 0.0,
    ) -> None:
        super().__init__(f"{message}. {hint}" if hint else message)
        self.unreachable = unreachable
        self.passing = passing or unreachable
        self.refused = refused
        self.denied = denied
        self.gone = gone
        self.hint = hint
        self.wait_s = wait_s


_NAMED_CREDENTIAL = re.compile(r"(?i)auth|key|token|secret|cookie|passw|credential|session")
_SHORTEST_CREDENTIAL = 6
_ENV = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$"


class FromEnvironment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A header's value that stands in an environment variable."""

    env: Annotated[str, Meta(pattern=_ENV)]


class TargetFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A target's description, as a YAML file has it."""

    url: Annotated[str, Meta(max_length=2000)] = ""
    kind: Kind = "openai"
    name: Annotated[str, Meta(max_length=100)] = ""
    model: Annotated[str, Meta(max_length=200)] = ""
    key: Annotated[str, Meta(pattern=rf"{_ENV}|^$")] = ""
    headers: dict[str, str | FromEnvironment] = {}
    method: Literal["POST", "PUT"] = "POST"
    body: Any = None
    message: Any = None
    roles: dict[Literal["system", "developer", "user", "assistant", "tool"], str] = {}
    answer: str = ""
    answers: Form = ""
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


def concealed(value: Any, secrets: Sequence[str]) -> Any:
    """Return JSON-able values without the credentials, which a target may repeat.

    Half characters, which JSON can spell and no file and no terminal can hold, are replaced.
    """
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, "…")
        return _HALF.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, list):
        return [concealed(one, secrets) for one in value]
    if isinstance(value, dict):
        return {concealed(key, secrets): concealed(one, secrets) for key, one in value.items()}
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
        raise ConfigError(f"target: {named}: {error}", hint=_next_step(str(error))) from error


def _next_step(error: str) -> str:
    """Return what to write instead of what msgspec refused, as far as that can be known."""
    if (unknown := re.fullmatch(r"Object contains unknown field `([^`]*)`", error)) and (
        near := difflib.get_close_matches(unknown[1], TargetFile.__struct_fields__, n=1)
    ):
        return f"Did you mean {near[0]}?"
    if " - at `$.kind`" in error:
        return f"A kind is one of {', '.join(get_args(Kind))}."
    if " - at `$.answers`" in error:
        return f"Answers are one of {', '.join(filter(None, get_args(Form)))}."
    if "$.headers" in error:
        return "A header is a text, or {env: NAME} for one that an environment variable holds."
    return "docs/attack.md shows a complete target file."


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


def headers_of(
    described: TargetFile, environment: Mapping[str, str]
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the headers of a target's file, and what of them is a credential.

    A credential is what comes from the environment, and what the name of a header says is one; of
    `Basic abc` that is the whole and `abc`. Raises ConfigError.
    """
    headers: dict[str, str] = {}
    secrets: set[str] = set()
    for name, given in described.headers.items():
        value = given if isinstance(given, str) else _variable(given.env, environment)
        headers[name] = value
        if isinstance(given, FromEnvironment) or _NAMED_CREDENTIAL.search(name):
            found = {value, value.rpartition(" ")[2]}
            secrets |= {one for one in found if len(one) >= _SHORTEST_CREDENTIAL}
    return headers, tuple(sorted(secrets, key=len, reverse=True))


def key_of(described: TargetFile, environment: Mapping[str, str]) -> str:
    """Return the credential that a target's file names, if it names one. Raises ConfigError."""
    return _variable(described.key, environment) if described.key else ""


def _variable(name: str, environment: Mapping[str, str]) -> str:
    value = environment.get(name, "")
    if not value:
        raise ConfigError(
            f"target: the environment variable {name} is not set",
            hint="Set it in the shell that runs tavo.",
        )
    return value


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
