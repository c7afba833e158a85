import os
from pathlib import Path

from langchain_core.tools import tool
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("notes")
NOTES = Path("notes").resolve()


@tool
def read_note(name: str) -> str:
    """Read a note."""
    path = (NOTES / name).resolve()
    if not path.is_relative_to(NOTES):
        raise ValueError(name)
    # ok: tool-argument-to-path
    return path.read_text()


@mcp.tool()
def base_name(name: str) -> str:
    """Read a note."""
    # ok: tool-argument-to-path
    return open(os.path.join("notes", os.path.basename(name))).read()


@mcp.tool()
def append(text: str) -> str:
    """Append to the log."""
    # ok: tool-argument-to-path
    with open("log.txt", "a") as file:
        file.write(text)
    return "written"


def helper(path: str) -> str:
    # ok: tool-argument-to-path
    return open(path).read()


@mcp.tool()
def read_in_one_of(name: str) -> str:
    file = Path(name).resolve()
    if not any(file.is_relative_to(root) for root in ROOTS):
        raise ValueError(name)
    # ok: tool-argument-to-path
    return file.read_text()


@mcp.tool()
def read_known(name: str) -> str:
    if name not in os.listdir("/srv/notes"):
        raise ValueError(name)
    # ok: tool-argument-to-path
    return open(f"/srv/notes/{name}").read()
