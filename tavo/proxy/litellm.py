"""A LiteLLM configuration as a starting point for proxy.yaml: its models, addresses and keys.

LiteLLM translates between providers and we do not: a model is reached in its provider's own
dialect. So each provider of its `model_list` becomes an upstream, reached below a prefix of its
own unless it is the only one, and its models become the list of what may be asked for. MCP servers
over HTTP become upstreams, credentials of `credential_list` are found, and prices are taken over.

Rules this module keeps:
- what has no counterpart is named, each key and entry on a line of its own, with where it could be
  said here; nothing is silently left out;
- a key stays a reference to the environment; one that stands in the file in clear becomes one, and
  the note says which variable to set;
- what comes out is a proxy.yaml that loads; data in, data out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from marketplace_db.errors import MarketplaceError
from marketplace_db.strict_yaml import load_yaml
from tavo.errors import ConfigError

__all__ = ["converted", "yaml_of"]

_PROVIDERS = {
    "openai": ("https://api.openai.com", "OPENAI_API_KEY"),
    "anthropic": ("https://api.anthropic.com", "ANTHROPIC_API_KEY"),
    "gemini": ("https://generativelanguage.googleapis.com", "GEMINI_API_KEY"),
    "mistral": ("https://api.mistral.ai", "MISTRAL_API_KEY"),
    "groq": ("https://api.groq.com/openai", "GROQ_API_KEY"),
    "deepseek": ("https://api.deepseek.com", "DEEPSEEK_API_KEY"),
    "openrouter": ("https://openrouter.ai/api", "OPENROUTER_API_KEY"),
    "together_ai": ("https://api.together.xyz", "TOGETHERAI_API_KEY"),
    "fireworks_ai": ("https://api.fireworks.ai/inference", "FIREWORKS_API_KEY"),
    "deepinfra": ("https://api.deepinfra.com/v1/openai", "DEEPINFRA_API_KEY"),
    "perplexity": ("https://api.perplexity.ai", "PERPLEXITYAI_API_KEY"),
    "cerebras": ("https://api.cerebras.ai", "CEREBRAS_API_KEY"),
    "nvidia_nim": ("https://integrate.api.nvidia.com", "NVIDIA_NIM_API_KEY"),
    "xai": ("https://api.x.ai", "XAI_API_KEY"),
    "ollama": ("http://127.0.0.1:11434", ""),
    "ollama_chat": ("http://127.0.0.1:11434", ""),
}
_LARGEST = 4 << 20
_TAKEN = frozenset({"model", "api_base", "base_url", "api_key", "litellm_credential_name",
                    "input_cost_per_token", "output_cost_per_token",
                    "cache_read_input_token_cost"})  # fmt: skip
_PRICES = {"input_cost_per_token": "input", "output_cost_per_token": "output",
           "cache_read_input_token_cost": "cached"}  # fmt: skip
_ENVIRONMENT = "os.environ/"
_HERE = {
    "general_settings.master_key": "here each client gets a key of its own: keys",
    "general_settings.port": "here: listen.port, or --port",
    "general_settings.host": "here: listen.address",
    "general_settings.custom_auth": "here: keys",
    "general_settings.pass_through_endpoints": "here: an upstream with a prefix",
    "general_settings.allowed_routes": "here: unknown_paths, which blocks by default",
    "general_settings.database_url": "here nothing is kept in a database",
    "litellm_settings.cache": "answers are not cached here",
    "litellm_settings.cache_params": "answers are not cached here",
    "litellm_settings.callbacks": "here: telemetry, /metrics for Prometheus, audit",
    "litellm_settings.success_callback": "here: telemetry and audit",
    "litellm_settings.failure_callback": "here: telemetry and audit",
    "litellm_settings.drop_params": "requests go on as they are",
    "litellm_settings.fallbacks": "a failure is told to the client, which may try again",
    "litellm_settings.context_window_fallbacks": "a failure is told to the client",
    "litellm_settings.num_retries": "a failure is told to the client, which may try again",
    "litellm_settings.request_timeout": "here: limits.upstream_head_s",
    "litellm_settings.max_budget": "here: keys with a budget: cost_per_day",
    "litellm_settings.turn_off_message_logging": "texts are not logged unless audit.texts asks",
    "router_settings.fallbacks": "a failure is told to the client, which may try again",
    "router_settings.num_retries": "a failure is told to the client, which may try again",
    "router_settings.timeout": "here: limits.upstream_head_s",
    "router_settings.model_group_alias": "names of models are not translated",
    "environment_variables": "set them where the proxy is started",
    "include": "convert that file on its own",
}
_FILTERS = {
    "presidio": "pii", "hide-secrets": "secrets", "hide_secrets": "secrets", "lakera": "injection",
    "lakera_v2": "injection", "prompt_injection": "injection", "tool_permission": "tools",
    "litellm_content_filter": "content", "openai_moderation": "content", "noma": "injection",
}  # fmt: skip


def converted(data: bytes, name: str) -> tuple[dict[str, Any], list[str]]:
    """Return a proxy.yaml as plain values, and notes. Raises ConfigError."""
    try:
        value = load_yaml(data, name=name, limit=_LARGEST)
    except MarketplaceError as error:
        raise ConfigError(str(error), hint="Write plain YAML: no anchors, no tags.") from None
    entries = value.get("model_list") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(entries, list) or not entries:
        raise ConfigError(f"{name}: has no list model_list, as configurations of LiteLLM have")
    made = _Made(_credentials(value.get("credential_list")))
    for number, entry in enumerate(entries):
        where = f"model_list[{number}]"
        parameters = entry.get("litellm_params") if isinstance(entry, dict) else None
        model = parameters.get("model") if isinstance(parameters, dict) else None
        if not isinstance(parameters, dict) or not isinstance(model, str):
            raise ConfigError(f"{name}: {where}: has no litellm_params.model, expected a text")
        made.model(where, entry, model, parameters)
    made.servers(value.get("mcp_servers"))
    if not made.upstreams:
        raise ConfigError(
            f"{name}: no provider of it is known here",
            hint="; ".join(made.notes) or "Write upstreams.",
        )
    for key, section in value.items():
        if key not in ("model_list", "credential_list", "mcp_servers"):
            made.notes += _left(str(key), section)
    if len(made.upstreams) > 1:
        for key, one in made.upstreams.items():
            one["prefix"] = f"/{key}"
    out: dict[str, Any] = {"proxy": 1, "upstreams": made.upstreams}
    if "*" not in made.models:
        out["models"] = made.models
    if made.prices:
        out["prices"] = made.prices
    return out, made.notes


def yaml_of(value: Mapping[str, Any]) -> str:
    """Return plain values as YAML of the kind that proxy.yaml is."""
    return "\n".join(_lines(value, 0)) + "\n"


# -- inside


class _Made:
    """What is made of a list of models."""

    def __init__(self, credentials: Mapping[str, Mapping[str, Any]]) -> None:
        self.upstreams: dict[str, dict[str, Any]] = {}
        self.models: list[str] = []
        self.prices: dict[str, dict[str, float]] = {}
        self.notes: list[str] = []
        self._credentials = credentials

    def model(
        self, where: str, entry: Mapping[str, Any], model: str, parameters: Mapping[str, Any]
    ) -> None:
        """Take one entry of model_list."""
        alias = str(entry.get("model_name") or model)
        named = parameters.get("litellm_credential_name")
        given = dict(self._credentials.get(str(named), {})) if named is not None else {}
        if named is not None and not given:
            self.notes.append(f"{where}: the credential {named!r} is not in credential_list")
        given |= parameters
        provider, slash, bare = model.partition("/")
        if not slash:
            provider, bare = "openai", model
        known = _PROVIDERS.get(provider)
        base = given.get("api_base", given.get("base_url"))
        url = base if isinstance(base, str) else (known or ("", ""))[0]
        why = ""
        if url.startswith(_ENVIRONMENT):
            why = f"its api_base comes from the environment ({url.removeprefix(_ENVIRONMENT)})"
        elif not url:
            why = f"the address of {provider!r} is not known here"
        elif not _is_address(url):
            why = f"its api_base {url[:80]!r} is no address"
        if why:
            self.notes.append(f"{where}: {alias} is left out: {why}")
            return
        own = known is None or url.rstrip("/") not in (known[0], f"{known[0]}/v1")
        upstream = self._upstream(provider, url, own=own and known is not None)
        self._key(
            where, alias, given.get("api_key"), "" if own else (known or ("", ""))[1], upstream
        )
        if bare not in self.models:
            self.models.append(bare)
        if alias != bare:
            self.notes.append(
                f"{where}: clients ask for {bare!r}; the alias {alias!r} is not translated"
            )
        if provider == "azure":
            self.notes.append(
                f"{where}: {alias}: clients ask with Azure's own paths,"
                f" /openai/deployments/{bare}/... and api-version"
            )
        info = entry.get("model_info")
        self._price(bare, {**(info if isinstance(info, dict) else {}), **given})
        self._rest(where, alias, entry, given)

    def servers(self, servers: Any) -> None:
        """Take mcp_servers: those over HTTP are upstreams."""
        for name, one in servers.items() if isinstance(servers, dict) else ():
            url = one.get("url") if isinstance(one, dict) else None
            if not isinstance(url, str) or not _is_address(url):
                self.notes.append(
                    f"mcp_servers.{name}: is left out: only servers at http(s):// pass here"
                )
                continue
            self._upstream(f"mcp-{name}", url, own=False)
            for key in sorted(set(one) - {"url", "transport"}):
                self.notes.append(f"mcp_servers.{name}.{key} is not taken over")

    def _upstream(self, provider: str, url: str, *, own: bool) -> str:
        """Return the name of the upstream at an address, a new one if there is none yet.

        `own`: it is not the provider's own address, so it does not get its name alone either.
        """
        plain = "".join(c if (c.isascii() and c.isalnum()) or c in "-_" else "-"
                        for c in provider.lower()).strip("-_") or "upstream"  # fmt: skip
        host = "".join(c if c.isalnum() else "-" for c in (urlsplit(url).netloc or "other").lower())
        names = [plain[:40], f"{plain}-{host}"[:56].rstrip("-"),
                 *(f"{plain[:40]}-{number}" for number in range(2, 1000))]  # fmt: skip
        for name in names[own:]:
            if self.upstreams.setdefault(name, {"url": url})["url"] == url:
                return name
        raise ConfigError(f"model_list: {provider} has too many addresses")

    def _key(self, where: str, alias: str, secret: Any, usual: str, name: str) -> None:
        """Set the credential of an upstream; a usual key goes to its provider's address only."""
        variable = usual or f"{name.upper().replace('-', '_').replace('.', '_')}_API_KEY"
        if isinstance(secret, str) and secret.startswith(_ENVIRONMENT):
            variable = secret.removeprefix(_ENVIRONMENT)
        elif isinstance(secret, str) and secret:
            self.notes.append(
                f"{where}: the key in clear of {alias} is not taken over: set {variable} instead"
            )
        if not secret and not usual:
            return
        held = self.upstreams[name].setdefault("credential", {"env": variable})
        if held["env"] != variable:
            self.notes.append(
                f"{where}: the key {variable} of {alias} is not taken over: {name} is asked with"
                f" {held['env']}"
            )

    def _price(self, model: str, values: Mapping[str, Any]) -> None:
        found = {
            ours: round(float(values[theirs]) * 1_000_000, 6)
            for theirs, ours in _PRICES.items()
            if isinstance(values.get(theirs), int | float)
        }
        if found:
            self.prices.setdefault(model, found)

    def _rest(
        self, where: str, alias: str, entry: Mapping[str, Any], given: Mapping[str, Any]
    ) -> None:
        for key in sorted(set(given) - _TAKEN):
            hint = "; here: keys with a budget" if key in ("rpm", "tpm", "max_budget") else ""
            self.notes.append(f"{where}: {key} of {alias} is not taken over{hint}")
        for key in sorted(set(entry) - {"model_name", "litellm_params", "model_info"}):
            self.notes.append(f"{where}: {key} of {alias} is not taken over")
        info = entry.get("model_info")
        for key in sorted(set(info if isinstance(info, dict) else ()) - _TAKEN):
            self.notes.append(f"{where}: model_info.{key} of {alias} is not taken over")


def _credentials(value: Any) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for one in value if isinstance(value, list) else ():
        values = one.get("credential_values") if isinstance(one, dict) else None
        if isinstance(values, dict):
            found[str(one.get("credential_name"))] = values
    return found


def _left(name: str, section: Any) -> list[str]:
    """Return a note for each part of a section that is not taken over."""
    if name in _HERE:
        return [f"{name} is not taken over: {_HERE[name]}"]
    if isinstance(section, dict):
        return [f"{name}.{key} is not taken over" + _hint(f"{name}.{key}") for key in section] or [
            f"{name} is not taken over"
        ]
    if isinstance(section, list):
        return [_entry(f"{name}[{number}]", one) for number, one in enumerate(section)] or [
            f"{name} is not taken over"
        ]
    return [f"{name} is not taken over"]


def _entry(where: str, one: Any) -> str:
    if not isinstance(one, dict):
        return f"{where} is not taken over"
    names = (one.get(key) for key in ("guardrail_name", "name", "custom_llm_provider", "path"))
    called = next((f" ({one})" for one in names if isinstance(one, str)), "")
    parameters = one.get("litellm_params")
    kind = parameters.get("guardrail") if isinstance(parameters, dict) else None
    hint = ""
    if isinstance(kind, str):
        ours = _FILTERS.get(kind)
        hint = f": the filter {ours} is nearest" if ours else f": {kind} is not asked here"
    return f"{where}{called} is not taken over{hint}"


def _hint(name: str) -> str:
    return f": {_HERE[name]}" if name in _HERE else ""


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        fine = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    return fine and url.isascii() and not (parts.query or parts.fragment or parts.username)


def _lines(value: Mapping[str, Any], depth: int) -> Iterator[str]:
    blank = "  " * depth
    for key, item in value.items():
        if isinstance(item, dict):
            yield f"{blank}{key}:"
            yield from _lines(item, depth + 1)
        elif isinstance(item, list):
            yield f"{blank}{key}:"
            yield from (f"{blank}  - {_scalar(one)}" for one in item)
        else:
            yield f"{blank}{key}: {_scalar(item)}"


def _scalar(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, int | float):
        return str(value)
    escaped = "".join(
        f"\\{c}" if c in '"\\' else c if c.isprintable() else f"\\u{ord(c):04x}" for c in str(value)
    )
    return f'"{escaped}"'
