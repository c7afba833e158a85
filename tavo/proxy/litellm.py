"""A LiteLLM configuration as a starting point for proxy.yaml: its models, addresses and keys.

LiteLLM translates between providers and we do not: a model is reached in its provider's own
dialect. So each provider of its `model_list` becomes an upstream, reached below a prefix of its
own unless it is the only one, and its models become the list of what may be asked for.

Rules this module keeps:
- what has no counterpart is named in a note, and never silently left out;
- a key stays a reference to the environment; one that stands in the file in clear becomes one, and
  the note says which variable to set;
- data in, data out.
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
    "xai": ("https://api.x.ai", "XAI_API_KEY"),
    "ollama": ("http://127.0.0.1:11434", ""),
    "ollama_chat": ("http://127.0.0.1:11434", ""),
}
_LARGEST = 4 << 20
_KNOWN = frozenset({"model_list"})


def converted(data: bytes, name: str) -> tuple[dict[str, Any], list[str]]:
    """Return a proxy.yaml as plain values, and notes. Raises ConfigError."""
    try:
        value = load_yaml(data, name=name, limit=_LARGEST)
    except MarketplaceError as error:
        raise ConfigError(str(error), hint="Write plain YAML: no anchors, no tags.") from None
    entries = value.get("model_list") if isinstance(value, dict) else None
    if not isinstance(entries, list) or not entries:
        raise ConfigError(f"{name}: has no list model_list, as configurations of LiteLLM have")
    upstreams: dict[str, dict[str, Any]] = {}
    models: list[str] = []
    notes: list[str] = []
    for number, entry in enumerate(entries):
        where = f"model_list[{number}]"
        parameters = entry.get("litellm_params") if isinstance(entry, dict) else None
        model = parameters.get("model") if isinstance(parameters, dict) else None
        if not isinstance(parameters, dict) or not isinstance(model, str):
            raise ConfigError(f"{name}: {where}: has no litellm_params.model, expected a text")
        _add(where, str(entry.get("model_name") or model), model, parameters, upstreams, models,
             notes)  # fmt: skip
    if not upstreams:
        raise ConfigError(
            f"{name}: no provider of it is known here", hint="; ".join(notes) or "Write upstreams."
        )
    notes += [
        f"{key} is not taken over; proxy.yaml has its own ways for keys, budgets and filters"
        for key in value
        if key not in _KNOWN
    ]
    if len(upstreams) > 1:
        for key, one in upstreams.items():
            one["prefix"] = f"/{key}"
    out: dict[str, Any] = {"proxy": 1, "upstreams": upstreams}
    if "*" not in models:
        out["models"] = models
    return out, notes


def yaml_of(value: Mapping[str, Any]) -> str:
    """Return plain values as YAML of the kind that proxy.yaml is."""
    return "\n".join(_lines(value, 0)) + "\n"


# -- inside


def _add(
    where: str, alias: str, model: str, parameters: Mapping[str, Any],
    upstreams: dict[str, dict[str, Any]], models: list[str], notes: list[str],
) -> None:  # fmt: skip
    provider, slash, bare = model.partition("/")
    if not slash:
        provider, bare = "openai", model
    base = parameters.get("api_base")
    known = _PROVIDERS.get(provider)
    if known is None and not isinstance(base, str):
        notes.append(f"{where}: {alias} is left out: the address of {provider!r} is not known here")
        return
    url = base if isinstance(base, str) else (known or ("", ""))[0]
    if url.startswith("os.environ/"):
        notes.append(f"{where}: {alias} is left out: its api_base comes from the environment")
        return
    key = _name(provider, url, upstreams)
    upstream = upstreams.setdefault(key, {"url": url})
    secret = parameters.get("api_key")
    variable = known[1] if known is not None else f"{key.upper().replace('-', '_')}_API_KEY"
    if isinstance(secret, str) and secret.startswith("os.environ/"):
        variable = secret.removeprefix("os.environ/")
    elif isinstance(secret, str) and secret:
        notes.append(f"{where}: the key in clear is not taken over: set {variable} instead")
    if variable and (secret or known is not None):
        upstream.setdefault("credential", {"env": variable})
    if bare not in models:
        models.append(bare)
    if alias != bare:
        notes.append(f"{where}: clients ask for {bare!r}; the alias {alias!r} is not translated")
    left = sorted(set(parameters) - {"model", "api_base", "api_key"})
    if left:
        notes.append(f"{where}: {', '.join(left)} of {alias} is not taken over")


def _name(provider: str, url: str, upstreams: Mapping[str, Mapping[str, Any]]) -> str:
    plain = "".join(c if c.isalnum() or c in "-_" else "-" for c in provider.lower()).strip("-_")
    name = plain or "upstream"
    if name in upstreams and upstreams[name]["url"] != url:
        host = "".join(c if c.isalnum() else "-" for c in (urlsplit(url).netloc or "other"))
        name = f"{name}-{host.lower()}"[:60]
    return name


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
