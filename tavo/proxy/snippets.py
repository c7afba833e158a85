"""What a user changes in a client so that it asks through the proxy: one line for each."""

from __future__ import annotations

from tavo.proxy.config import ProxyConfig

__all__ = ["base_url", "snippets"]


def base_url(config: ProxyConfig, port: int) -> str:
    """Return the address that clients of this machine use."""
    listen = config.listen
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(listen.address, listen.address)  # noqa: S104
    if ":" in host and not host.startswith("["):
        host = f"[{host}]"
    return f"{'https' if listen.tls is not None else 'http'}://{host}:{port}"


def snippets(config: ProxyConfig, port: int) -> list[str]:
    """Return lines for a terminal: for each upstream, how the usual clients are told of us."""
    base = base_url(config, port)
    lines: list[str] = []
    for name, upstream in config.upstreams.items():
        at = base + (upstream.prefix or "")
        lines.append(f"{name}: {at} -> {upstream.url}")
    at = base + (next(iter(config.upstreams.values())).prefix or "")
    rows = {
        "OpenAI": f"OPENAI_BASE_URL={at}/v1",
        "Anthropic": f"ANTHROPIC_BASE_URL={at}",
        "Gemini": f"GOOGLE_GEMINI_BASE_URL={at}",
        "Ollama": f"OLLAMA_HOST={at}",
        "MCP": f"{at}/mcp",
    }
    lines += [f"  {client:<10}{line}" for client, line in rows.items()]
    if config.keys:
        lines.append("  and as API key one of the keys of this proxy, in place of the provider's")
    return lines
