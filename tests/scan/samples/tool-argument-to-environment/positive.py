import os

from langchain_core.tools import tool
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("settings")


@mcp.tool()
def get_setting(name: str) -> str:
    """Read a setting."""
    # ruleid: tool-argument-to-environment
    return os.environ.get(name, "")


@tool
def show_variable(key: str) -> str:
    """Show a variable."""
    # ruleid: tool-argument-to-environment
    return os.getenv(key.upper()) or "not set"


@mcp.tool()
def set_variable(name: str, value: str) -> None:
    """Set a variable."""
    # ruleid: tool-argument-to-environment
    os.environ[name] = value


@mcp.tool()
def configure(variables: dict[str, str]) -> None:
    """Set variables."""
    # ruleid: tool-argument-to-environment
    os.environ.update(variables)
