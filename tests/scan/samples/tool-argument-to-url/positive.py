import httpx
import requests
from agents import function_tool
from langchain_core.tools import tool
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("web")


@mcp.tool()
def read_page(url: str) -> str:
    """Read a web page."""
    # ruleid: tool-argument-to-url
    return requests.get(url, timeout=10).text


@tool
async def summarize(address: str) -> str:
    """Summarize a page."""
    async with httpx.AsyncClient() as client:
        # ruleid: tool-argument-to-url
        response = await client.get(address)
    return response.text


@function_tool
def post_webhook(host: str, body: str) -> str:
    """Tell a system about an event."""
    # ruleid: tool-argument-to-url
    return httpx.post(f"https://{host}/hooks", json={"body": body}).text


def fetch(target):
    # ruleid: tool-argument-to-url
    return requests.get(target, timeout=10).content


@mcp.tool(name="download")
def download(link: str) -> bytes:
    """Download a file."""
    return fetch(link)


@mcp.tool()
def read_web(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError(url)
    # ruleid: tool-argument-to-url
    return requests.get(url).text
