"""Names of servers that are nearly those of others: letters from elsewhere, one letter off.

Many people know the packages listed here; a name next to one of them is no accident often enough
to be looked at. The list says nothing about how good a package is.
"""

from __future__ import annotations

import re

__all__ = ["KNOWN", "lookalike_of"]

KNOWN = {
    "npm": frozenset(
        {
            *(
                f"@modelcontextprotocol/server-{name}"
                for name in (
                    "aws-kb-retrieval",
                    "brave-search",
                    "everart",
                    "everything",
                    "filesystem",
                    "gdrive",
                    "github",
                    "gitlab",
                    "google-maps",
                    "memory",
                    "postgres",
                    "puppeteer",
                    "redis",
                    "sequential-thinking",
                    "slack",
                    "sqlite",
                )
            ),
            "@modelcontextprotocol/inspector",
            "@modelcontextprotocol/sdk",
            "@playwright/mcp",
            "@upstash/context7-mcp",
            "@notionhq/notion-mcp-server",
            "@supabase/mcp-server-supabase",
            "@sentry/mcp-server",
            "@stripe/mcp",
            "@azure/mcp",
            "@azure-devops/mcp",
            "@heroku/mcp-server",
            "chrome-devtools-mcp",
            "firecrawl-mcp",
            "exa-mcp-server",
            "tavily-mcp",
            "mcp-remote",
            "figma-developer-mcp",
            "postmark-mcp",
            "@hubspot/mcp-server",
            "@brave/brave-search-mcp-server",
            "@executeautomation/playwright-mcp-server",
            "@browsermcp/mcp",
            "@cloudflare/mcp-server-cloudflare",
            "@mongodb-js/mongodb-mcp-server",
            "mongodb-mcp-server",
            "@elastic/mcp-server-elasticsearch",
        }
    ),
    "pypi": frozenset(
        {
            "mcp-server-fetch",
            "mcp-server-git",
            "mcp-server-time",
            "mcp-server-sqlite",
            "mcp-server-sentry",
            "mcp-atlassian",
            "mcp-server-qdrant",
            "mcp-proxy",
            "fastmcp",
            "awslabs.core-mcp-server",
            "awslabs.aws-documentation-mcp-server",
            "blender-mcp",
            "duckduckgo-mcp-server",
            "markitdown-mcp",
            "postgres-mcp",
            "serena-agent",
        }
    ),
}
_SIMILAR = str.maketrans({
    "0": "o", "1": "l", "I": "l", "|": "l", "5": "s", "а": "a", "с": "c", "е": "e", "о": "o",
    "р": "p", "х": "x", "у": "y", "і": "i", "ѕ": "s", "ԁ": "d", "ո": "n", "ɡ": "g", "ı": "i",
    "α": "a", "ο": "o", "ρ": "p", "ν": "v", "ӏ": "l", "ⅼ": "l", "‐": "-", "–": "-",
})  # fmt: skip


def lookalike_of(kind: str, name: str) -> str:
    """Return the known package that a name is nearly, or nothing."""
    known = KNOWN.get(kind, frozenset())
    if name in known or name.lower() in known:
        return ""
    drawn = name.translate(_SIMILAR).lower()
    plain = {one.translate(_SIMILAR).lower(): one for one in known}
    if drawn in plain:
        return plain[drawn]
    squeezed = re.sub(r"[-_.]", "", drawn)
    for other, one in plain.items():
        if re.sub(r"[-_.]", "", other) == squeezed:
            return one
        scope, _, rest = drawn.rpartition("/")
        its_scope, _, its_rest = other.rpartition("/")
        if (scope, rest) == (its_scope, its_rest):
            continue
        if scope == its_scope and _is_near(_own(rest), _own(its_rest), 7):
            return one
        if rest == its_rest and scope and its_scope and _is_near(scope, its_scope, 8):
            return one
    return ""


def _own(name: str) -> str:
    """Return the part of a name that tells it from others of its kind."""
    return re.sub(r"^(?:mcp-server-|server-|mcp-)|(?:-mcp-server|-mcp|-server)$", "", name)


def _is_near(one: str, other: str, shortest: int) -> bool:
    """Tell whether one letter was left out, added, replaced or changed places with the next."""
    if one == other or abs(len(one) - len(other)) > 1 or min(len(one), len(other)) < shortest:
        return False
    start = next((i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    if start is None:
        return True
    a, b = one[start:], other[start:]
    return a[1:] == b[1:] or a[1:] == b or a == b[1:] or (a[:2] == b[1::-1] and a[2:] == b[2:])
