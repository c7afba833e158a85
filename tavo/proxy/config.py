"""proxy.yaml: where the proxy listens, what stands behind it, who may use it, and within what.

    proxy: 1
    listen: {address: 127.0.0.1, port: 8080}
    upstreams:
      openai: {url: https://api.openai.com, credential: {env: OPENAI_API_KEY}}
      anthropic: {url: https://api.anthropic.com, credential: {env: ANTHROPIC_API_KEY}}
    keys:
      team-a: {env: TEAM_A_KEY, models: ["gpt-*"], budget: {requests_per_minute: 60}}
    audit: {file: audit.jsonl}

Rules this module keeps:
- unknown keys are errors with the nearest right name; every error says file, place and expectation;
- a secret comes from the environment or a file that others cannot read; in clear text only under
  the name `unsafe_value`;
- what cannot work is refused here, before anything listens.

Units: sizes in bytes, times in seconds, prices in US dollars for a million tokens.
"""

from __future__ import annotations

import difflib
import ipaddress
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_type_hints
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from marketplace_db.errors import MarketplaceError
from marketplace_db.strict_yaml import load_yaml
from tavo.errors import ConfigError, InputError
from tavo.llm.prices import Money, Price
from tavo.proxy.http.limits import Limits

__all__ = [
    "Admin",
    "Audit",
    "Budget",
    "Key",
    "Listen",
    "Price",
    "ProxyConfig",
    "Run",
    "Secret",
    "Telemetry",
    "Tls",
    "Upstream",
    "is_loopback",
    "load_config",
    "read_config",
    "secret_of",
    "simple_config",
]

_LARGEST = 1 << 20
_Name = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$")]
_Count = Annotated[int, Meta(ge=1, le=1 << 50)]
_Port = Annotated[int, Meta(ge=0, le=65535)]
_Text = Annotated[str, Meta(min_length=1, max_length=1024)]


_S = TypeVar("_S", bound=msgspec.Struct)


class _Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Every section is strict."""


class Secret(_Section, frozen=True, kw_only=True):
    """A secret: a variable of the environment, a file, or in clear, which is asked for by name."""

    env: _Text | None = None
    file: _Text | None = None
    unsafe_value: _Text | None = None
    header: Annotated[str, Meta(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")] | None = None


class Upstream(_Section, frozen=True, kw_only=True):
    """A provider. `prefix` is how clients reach it, `dialects` what it is asked in without one."""

    url: _Text
    prefix: Annotated[str, Meta(pattern=r"^/[A-Za-z0-9._~/-]*[A-Za-z0-9_~-]$")] | None = None
    dialects: list[_Name] = []
    credential: Secret | None = None
    certificates: str | None = None
    unsafe_unverified: bool = False


class Budget(_Section, frozen=True, kw_only=True):
    """What a key may use; looked at before a request, charged after its answer."""

    requests_per_minute: _Count | None = None
    requests_per_day: _Count | None = None
    tokens_per_minute: _Count | None = None
    tokens_per_day: _Count | None = None
    cost_per_day: Money | None = None


class Key(_Section, frozen=True, kw_only=True):
    """A virtual key: its secret or the SHA-256 of it, and what it may be used for."""

    env: _Text | None = None
    file: _Text | None = None
    sha256: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")] | None = None
    upstreams: list[_Name] | None = None
    models: list[_Text] | None = None
    budget: Budget = Budget()


class Tls(_Section, frozen=True, kw_only=True):
    """Files in PEM of the certificate that clients see, and of its key."""

    certificate: _Text
    key: _Text


class Listen(_Section, frozen=True, kw_only=True):
    """Where clients come in. `origins` are the web pages that may, by default none."""

    address: _Text = "127.0.0.1"
    port: _Port = 8080
    tls: Tls | None = None
    origins: list[_Text] = []


class Admin(_Section, frozen=True, kw_only=True):
    """The admin port, on loopback alone; the token stands in a file that others cannot read."""

    port: _Port = 0
    token_file: str | None = None
    off: bool = False


class Audit(_Section, frozen=True, kw_only=True):
    """The log of all exchanges. `on_failure`: what happens when it cannot be written."""

    file: _Text
    texts: bool = False
    on_failure: Literal["block", "pass"] = "block"
    sync: bool = False


class Telemetry(_Section, frozen=True, kw_only=True):
    """Export to an OpenTelemetry collector; `endpoint` is that of OTLP over HTTP, without /v1."""

    endpoint: _Text
    headers: Annotated[dict[_Text, Secret], Meta(max_length=32)] = {}
    service: _Text = "tavo-proxy"
    traces: bool = True
    metrics: bool = True
    texts: bool = False
    queue: Annotated[int, Meta(ge=1, le=1_000_000)] = 4096
    every_s: Annotated[float, Meta(gt=0, le=3600)] = 5


class Run(_Section, frozen=True, kw_only=True):
    """For `tavo proxy run`: hosts to the upstream asked for them, and what passes unseen."""

    hosts: Annotated[dict[_Text, _Name], Meta(max_length=1000)] = {}
    tunnel: Annotated[list[_Text], Meta(max_length=1000)] = []


class ProxyConfig(_Section, frozen=True, kw_only=True):
    """A whole proxy.yaml. `filters` and `mcp_paths` are read by the chain."""

    proxy: Literal[1]
    upstreams: Annotated[dict[_Name, Upstream], Meta(min_length=1, max_length=1000)]
    listen: Listen = Listen()
    workers: Annotated[int, Meta(ge=1, le=256)] = 1
    keys: Annotated[dict[_Name, Key], Meta(max_length=4096)] = {}
    models: list[_Text] | None = None
    unknown_paths: Literal["block", "pass", "record"] = "block"
    observe: bool = False
    filters: list[dict[str, Any]] = []
    prices: dict[_Text, Price] = {}
    limits: Limits = Limits()
    admin: Admin = Admin()
    audit: Audit | None = None
    secret_file: _Text | None = None
    telemetry: Telemetry | None = None
    run: Run = Run()


def read_config(path: Path) -> bytes:
    """Return the bytes of a configuration. Raises InputError."""
    try:
        with path.open("rb") as stream:
            return stream.read(_LARGEST + 1)
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read: {error.strerror or error}",
            hint="`tavo proxy serve --upstream URL` needs no file.",
        ) from error


def load_config(data: bytes, name: str, folder: Path | None = None) -> ProxyConfig:
    """Read and check a configuration. Paths in it are relative to `folder`. Raises ConfigError."""
    try:
        value = load_yaml(data, name=name, limit=_LARGEST)
    except MarketplaceError as error:
        raise ConfigError(str(error), hint="Write plain YAML: no anchors, no tags.") from None
    if isinstance(value, dict) and "model_list" in value and "proxy" not in value:
        raise ConfigError(
            f"{name}: is a configuration of LiteLLM",
            hint="`tavo proxy serve --litellm FILE` starts from it, and --print-config shows how.",
        )
    try:
        config = msgspec.convert(value, ProxyConfig)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: {_worded(str(error))}", hint=_hint(str(error))) from None
    _check(config, name)
    return _anchored(config, (folder or Path.cwd()).absolute())


def simple_config(url: str, **changes: Any) -> ProxyConfig:
    """Return the configuration of one upstream. Raises ConfigError."""
    config = ProxyConfig(proxy=1, upstreams={"upstream": Upstream(url=url)}, **changes)
    _check(config, "--upstream")
    return config


def secret_of(secret: Secret | Key, where: str, environment: Mapping[str, str]) -> str:
    """Return the text of a secret. Raises ConfigError; the message never holds it."""
    if secret.env is not None:
        value = environment.get(secret.env, "")
        if not value:
            raise ConfigError(
                f"{where}: the variable {secret.env} is not set",
                hint=f"Set it where the proxy is started: export {secret.env}=...",
            )
    elif secret.file is not None:
        value = _secret_file(Path(secret.file), where)
    else:
        value = (secret.unsafe_value or "") if isinstance(secret, Secret) else ""
    if not value.isascii() or not value.isprintable() or " " in value or not value:
        raise ConfigError(f"{where}: the secret is empty, or holds blanks or controls")
    return value


# -- inside


def _secret_file(path: Path, where: str) -> str:
    try:
        status = path.stat()
        text = path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: {path} cannot be read: {error}") from None
    if hasattr(path, "owner") and stat.S_IMODE(status.st_mode) & 0o077 and stat.S_ISREG(
        status.st_mode
    ):  # fmt: skip
        raise ConfigError(
            f"{where}: others may read {path}", hint=f"Make it yours alone: chmod 600 {path}"
        )
    return text.strip()


def _anchored(config: ProxyConfig, folder: Path) -> ProxyConfig:
    """Return the configuration with all its paths absolute."""
    replace = msgspec.structs.replace

    def at(section: _S, *names: str) -> _S:
        given = {name: getattr(section, name) for name in names}
        return replace(section, **{k: str(folder / v) for k, v in given.items() if v is not None})

    listen, audit = config.listen, config.audit
    return replace(
        config,
        upstreams={
            name: replace(
                at(one, "certificates"),
                credential=at(one.credential, "file") if one.credential is not None else None,
            )
            for name, one in config.upstreams.items()
        },
        keys={name: at(one, "file") for name, one in config.keys.items()},
        filters=[
            {**one, "file": str(folder / one["file"])} if isinstance(one.get("file"), str) else one
            for one in config.filters
        ],
        listen=replace(listen, tls=at(listen.tls, "certificate", "key"))
        if listen.tls is not None
        else listen,
        admin=at(config.admin, "token_file"),
        telemetry=replace(
            config.telemetry,
            headers={name: at(one, "file") for name, one in config.telemetry.headers.items()},
        )
        if config.telemetry is not None
        else None,
        audit=at(audit, "file") if audit is not None else None,
        **({} if config.secret_file is None else {"secret_file": str(folder / config.secret_file)}),
    )


def _check(config: ProxyConfig, name: str) -> None:
    for key, upstream in config.upstreams.items():
        where = f"{name}: upstreams.{key}"
        _check_url(upstream.url, f"{where}.url")
        if upstream.credential is not None:
            _one_source(upstream.credential, f"{where}.credential", ("env", "file", "unsafe_value"))
        elif config.keys:
            raise ConfigError(
                f"{where}: has no credential, so it would be sent the virtual keys of clients",
                hint="Add credential: {env: NAME}, the provider's own key.",
            )
    _check_ways(config, name)
    if config.telemetry is not None:
        _check_url(config.telemetry.endpoint, f"{name}: telemetry.endpoint")
        for header, secret in config.telemetry.headers.items():
            where = f"{name}: telemetry.headers.{header}"
            _one_source(secret, where, ("env", "file", "unsafe_value"))
    for key, virtual in config.keys.items():
        where = f"{name}: keys.{key}"
        _one_source(virtual, where, ("env", "file", "sha256"))
        for other in virtual.upstreams or ():
            if other not in config.upstreams:
                raise ConfigError(
                    f"{where}.upstreams: there is no upstream {other!r}",
                    hint=_nearest(other, list(config.upstreams)),
                )
    holds = [key for key, one in config.upstreams.items() if one.credential is not None]
    if holds and not config.keys and not is_loopback(config.listen.address):
        raise ConfigError(
            f"{name}: upstreams.{holds[0]} has a credential, and whoever reaches"
            f" {config.listen.address} could use it",
            hint="Add keys for your clients, or listen on 127.0.0.1.",
        )


def _check_ways(config: ProxyConfig, name: str) -> None:
    """Refuse a configuration in which it is not clear where a request goes."""
    prefixes: dict[str, str] = {}
    dialects: dict[str, str] = {}
    fallback = ""
    for key, upstream in config.upstreams.items():
        where = f"{name}: upstreams.{key}"
        if upstream.prefix is not None:
            if upstream.prefix in prefixes:
                raise ConfigError(f"{where}.prefix: {prefixes[upstream.prefix]} has it as well")
            prefixes[upstream.prefix] = key
        for dialect in upstream.dialects:
            if dialect in dialects:
                raise ConfigError(f"{where}.dialects: {dialects[dialect]} has {dialect} as well")
            dialects[dialect] = key
        if upstream.prefix is None and not upstream.dialects:
            if fallback:
                raise ConfigError(
                    f"{where}: {fallback} takes every request already",
                    hint=f"Give one of them a prefix, such as prefix: /{key}, or dialects.",
                )
            fallback = key


def _check_url(url: str, where: str) -> None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigError(f"{where}: {url!r} is no address: {error}") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ConfigError(f"{where} is {url!r}, expected http://HOST[:PORT] or https://HOST[:PORT]")
    if parts.query or parts.fragment or parts.username or parts.password or not url.isascii():
        raise ConfigError(
            f"{where}: {url!r} has more than host, port and path",
            hint="A credential belongs to `credential`, where no log shows it.",
        )


def _one_source(secret: Secret | Key, where: str, names: tuple[str, ...]) -> None:
    given = [one for one in names if getattr(secret, one) is not None]
    if len(given) != 1:
        found = " and ".join(given) or "none"
        raise ConfigError(f"{where}: has {found}, expected one of {', '.join(names)}")


def is_loopback(address: str) -> bool:
    """Tell whether an address is one of this machine alone."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _worded(message: str) -> str:
    """Turn msgspec's sentence around: the place first."""
    what, _, place = message.partition(" - at `$")
    what = what.replace("Object contains unknown field", "unknown key").replace("`", "'")
    what = what.replace("Object missing required field", "there is no")
    where = place.removesuffix("`").lstrip(".").replace("[...]", "")
    return f"{where}: {what}" if where else what


def _hint(message: str) -> str:
    if "unknown field" not in message:
        return "docs/proxy.md shows a complete proxy.yaml."
    unknown = message.split("`")[1]
    every = sorted(_all_keys(ProxyConfig, set()))
    if difflib.get_close_matches(unknown, every, n=1):
        return _nearest(unknown, every)
    place = message.partition("`$")[2].replace("[...]", "").strip("`.")
    own = get_type_hints(ProxyConfig) if not place else get_type_hints(_section_at(place))
    return f"Known there: {', '.join(name for name in own if not name.startswith('_'))}."


def _section_at(place: str) -> Any:
    """Return the section that msgspec speaks of, such as `keys.budget`."""
    kind: Any = ProxyConfig
    for step in place.split("."):
        hint = get_type_hints(kind)[step]
        structs = [one for one in _all_kinds(hint) if issubclass(one, msgspec.Struct)]
        kind = structs[0] if structs else kind
    return kind


def _all_kinds(hint: Any) -> list[type]:
    if isinstance(hint, type) and not get_args(hint):
        return [hint]
    return [kind for part in get_args(hint) for kind in _all_kinds(part)]


def _all_keys(kind: Any, seen: set[Any]) -> set[str]:
    if kind in seen:
        return set()
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        seen.add(kind)
        hints = get_type_hints(kind, include_extras=True)
        found = {name for name in hints if not name.startswith("_")}
        return found.union(*(_all_keys(hint, seen) for hint in hints.values()))
    return set().union(*(_all_keys(part, seen) for part in get_args(kind)))


def _nearest(name: str, known: list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."
