from mcp.server.fastmcp import FastMCP

mcp = FastMCP("records")
KINDS = {"note", "task"}


@mcp.tool()
def from_table(kind: str, data: dict) -> dict:
    "Create a record."
    # ok: tool-argument-picks-method
    return FOR_AGENTS[kind](client, data)


@mcp.tool()
def allowed(kind: str, number: int) -> dict:
    "Read a record."
    if kind not in KINDS:
        raise ValueError(kind)
    # ok: tool-argument-picks-method
    table = getattr(client, kind)
    result = table.get(number)
    return result


@mcp.tool()
def field(name: str) -> str:
    "Read a field."
    # ok: tool-argument-picks-method
    return str(getattr(SETTINGS, name, ""))


def not_a_tool(kind: str, data: dict) -> dict:
    # ok: tool-argument-picks-method
    return getattr(client, kind)(data)
