import os
from pathlib import Path

from langchain_core.tools import tool
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("notes")
NOTES = Path("notes")


@tool
def read_note(name: str) -> str:
    """Read a note."""
    # ruleid: tool-argument-to-path
    return open(os.path.join("notes", name)).read()


@mcp.tool()
async def write_note(name: str, text: str) -> str:
    """Write a note."""
    path = NOTES / f"{name}.md"
    # ruleid: tool-argument-to-path
    path.write_text(text)
    return "written"


@mcp.resource("notes://{name}")
def note(name: str) -> str:
    # ruleid: tool-argument-to-path
    with open(f"notes/{name}") as file:
        return file.read()


@mcp.tool(name="delete")
def delete(name: str) -> None:
    """Delete a note."""
    target = NOTES.joinpath(name)
    # ruleid: tool-argument-to-path
    target.unlink()


@mcp.tool()
def stage(files: list[str]) -> str:
    """Stage files."""
    repo = Repo(".")
    # ruleid: tool-argument-to-path
    repo.index.add(files)
    return "staged"
