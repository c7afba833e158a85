import os

from langchain_core.tools import tool
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("settings")
ALLOWED_SETTINGS = {"LANG", "TZ"}


@mcp.tool()
def get_setting(name: str) -> str:
    """Read a setting."""
    if name not in ALLOWED_SETTINGS:
        raise ValueError(name)
    # ok: tool-argument-to-environment
    return os.environ.get(name, "")


@tool
def set_time_zone(zone: str) -> None:
    """Set the time zone."""
    # ok: tool-argument-to-environment
    os.environ["TZ"] = zone


@mcp.tool()
def feature(name: str) -> str:
    """Tell whether a feature is on."""
    if not name.startswith("FEATURE_"):
        raise ValueError(name)
    # ok: tool-argument-to-environment
    return os.getenv(name, "off")


def read(name: str) -> str:
    # ok: tool-argument-to-environment
    return os.environ[name]
