from agents import function_tool
from langchain_core.tools import tool
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("data")


@mcp.tool()
# ruleid: secret-as-tool-argument
def query(sql: str, password: str) -> str:
    """Run a query."""
    return connect(password).run(sql)


@tool
# ruleid: secret-as-tool-argument
def create_issue(title: str, access_token: str) -> str:
    """Create an issue."""
    return tracker(access_token).create(title)


@function_tool
def upload(
    name: str,
    # ruleid: secret-as-tool-argument
    api_key: str | None = None,
) -> str:
    """Upload a file."""
    return storage(api_key).put(name)
