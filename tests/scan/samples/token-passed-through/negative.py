import os

import httpx
from fastmcp import FastMCP
from fastmcp.server.dependencies import get_access_token, get_http_headers

mcp = FastMCP("tracker")
UPSTREAM = "https://tracker.example.com/api"


@mcp.tool()
def issues() -> str:
    """List issues."""
    token = exchange.for_upstream(get_access_token())
    # ok: token-passed-through
    return httpx.get(UPSTREAM, headers={"Authorization": f"Bearer {token}"}).text


@mcp.tool()
def projects() -> str:
    """List projects."""
    # ok: token-passed-through
    return httpx.get(UPSTREAM, headers={"Authorization": os.environ["TRACKER_TOKEN"]}).text


@mcp.tool()
def checked() -> str:
    """List projects of the user."""
    token = get_http_headers()["authorization"]
    verify_token_audience(token)
    # ok: token-passed-through
    return httpx.get(UPSTREAM, headers={"Authorization": token}).text


def call(token: str) -> str:
    # ok: token-passed-through
    return httpx.get(UPSTREAM, headers={"Authorization": token}).text
