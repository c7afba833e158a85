import os
from typing import Annotated

from langchain_core.tools import InjectedToolArg, tool
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("data")


@mcp.tool()
# ok: secret-as-tool-argument
def query(sql: str) -> str:
    """Run a query."""
    return connect(os.environ["DATABASE_PASSWORD"]).run(sql)


@tool
# ok: secret-as-tool-argument
def create_issue(title: str, access_token: Annotated[str, InjectedToolArg]) -> str:
    """Create an issue."""
    return tracker(access_token).create(title)


@mcp.tool()
# ok: secret-as-tool-argument
def write(text: str, max_tokens: int) -> str:
    """Write a text."""
    return model.write(text, max_tokens)


@mcp.tool()
# ok: secret-as-tool-argument
def next_page(page_token: str) -> str:
    """Read the next page."""
    return pages.after(page_token)


# ok: secret-as-tool-argument
def connect(password: str) -> object:
    return driver(password)
