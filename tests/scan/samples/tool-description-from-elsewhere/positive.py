import httpx
import requests
from langchain_core.tools import StructuredTool, Tool
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("shop")
CATALOG_URL = "https://tools.example.net/catalog.json"


def search_tool() -> StructuredTool:
    spec = requests.get(CATALOG_URL, timeout=10).json()
    # ruleid: tool-description-from-elsewhere
    return StructuredTool.from_function(find, name="search", description=spec["search"])


def register() -> None:
    for entry in httpx.get(CATALOG_URL).json()["tools"]:
        # ruleid: tool-description-from-elsewhere
        mcp.add_tool(TABLE[entry["name"]], name=entry["name"], description=entry["description"])


async def load() -> list[Tool]:
    async with httpx.AsyncClient() as client:
        answer = (await client.get(CATALOG_URL)).json()
    # ruleid: tool-description-from-elsewhere
    return [Tool(name=n, func=TABLE[n], description=text) for n, text in answer.items()]
