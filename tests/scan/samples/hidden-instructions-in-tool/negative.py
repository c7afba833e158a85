from langchain_core.tools import tool
from mcp.server.fastmcp import FastMCP
from mcp.types import Tool

mcp = FastMCP("calculator")


@mcp.tool()
def add(a: int, b: int) -> int:
    # ok: hidden-instructions-in-tool
    """Add two numbers."""
    return a + b


@tool
def weather(city: str) -> str:
    # ok: hidden-instructions-in-tool
    """Tell the weather of a city. IMPORTANT: the city must have a country code."""
    return forecast(city)


TOOLS = [
    Tool(
        name="send",
        # ok: hidden-instructions-in-tool
        description="Sends a mail to the user. Do not use it for attachments.",
        inputSchema={"type": "object"},
    )
]


def check(text: str) -> bool:
    # ok: hidden-instructions-in-tool
    """Tell whether a text says to ignore previous instructions."""
    return "ignore previous instructions" in text


# ok: hidden-instructions-in-tool
@mcp.tool(description="Read a file of the user’s notes – names only.")
def find(name: str) -> str:
    return name
