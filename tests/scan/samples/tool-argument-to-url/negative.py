import urllib.parse

import httpx
import requests
from langchain_core.tools import tool
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("web")
ALLOWED_HOSTS = {"handbook.example.com"}


@mcp.tool()
def read_page(url: str) -> str:
    """Read a page of the handbook."""
    if urllib.parse.urlsplit(url).hostname not in ALLOWED_HOSTS:
        raise ValueError(url)
    # ok: tool-argument-to-url
    return requests.get(url, timeout=10).text


@mcp.tool()
def weather(city: str) -> str:
    """Tell the weather."""
    # ok: tool-argument-to-url
    return requests.get(f"https://api.weather.example.com/v1/{city}", timeout=10).text


@tool
def search(query: str) -> str:
    """Search the shop."""
    # ok: tool-argument-to-url
    return httpx.get("https://shop.example.com/search", params={"q": query}).text


@mcp.tool()
async def checked(url: str) -> str:
    """Read a page."""
    await ensure_public_url(url)
    async with httpx.AsyncClient() as client:
        # ok: tool-argument-to-url
        return (await client.get(url)).text


@mcp.tool()
def order(number: int) -> str:
    """Find an order."""
    # ok: tool-argument-to-url
    return requests.get(BASE_URL + f"/orders/{number}", timeout=5).text


@mcp.tool()
def issue(key: str) -> str:
    """Find an issue."""
    # ok: tool-argument-to-url
    return requests.get(f"{BASE_URL}/issues/{key}", timeout=5).text


@mcp.tool()
def read_one_of(url: str) -> str:
    if not any(url.startswith(prefix) for prefix in ALLOWED_PREFIXES):
        raise ValueError(url)
    # ok: tool-argument-to-url
    return requests.get(url, allow_redirects=False).text


@mcp.tool()
def read_guarded(url: str) -> str:
    if not _ssrf_guard(url):
        raise ValueError(url)
    # ok: tool-argument-to-url
    return requests.get(url, allow_redirects=False).text
