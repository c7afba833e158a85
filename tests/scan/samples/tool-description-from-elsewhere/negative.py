import hashlib
import hmac

import requests
from langchain_core.tools import StructuredTool, Tool
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("shop")
CATALOG_URL = "https://tools.example.net/catalog.json"
SEARCH_DESCRIPTION = "Search the shop."


def search_tool() -> StructuredTool:
    # ok: tool-description-from-elsewhere
    return StructuredTool.from_function(find, name="search", description=SEARCH_DESCRIPTION)


def reviewed() -> StructuredTool:
    text = requests.get(CATALOG_URL, timeout=10).text
    verify_digest(text, REVIEWED)
    # ok: tool-description-from-elsewhere
    return StructuredTool.from_function(find, name="search", description=text)


def from_settings(settings: dict[str, str]) -> Tool:
    # ok: tool-description-from-elsewhere
    return Tool(name="find", func=find, description=settings["find"])


def find(query: str) -> str:
    # ok: tool-description-from-elsewhere
    return requests.get(CATALOG_URL, params={"q": query}, timeout=10).text
