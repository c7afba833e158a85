import re

from fastapi import FastAPI
from mcp.server.fastmcp import FastMCP

app = FastAPI()
mcp = FastMCP("notes")


@app.get("/tools")
def tools(query: str):
    # ruleid: user-input-to-regex
    return [tool for tool in TOOLS if re.search(query, tool.name)]


@mcp.tool()
def search(pattern: str) -> list:
    "Search the notes."
    # ruleid: user-input-to-regex
    expression = re.compile(pattern, re.IGNORECASE)
    return [note for note in NOTES if expression.search(note)]
