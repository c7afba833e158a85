from mcp.server.fastmcp import FastMCP

mcp = FastMCP("records")


@mcp.tool()
def create(kind: str, data: dict) -> dict:
    "Create a record."
    # ruleid: tool-argument-picks-method
    return getattr(client, kind)(data)


@mcp.tool()
def read(kind: str, number: int) -> dict:
    "Read a record."
    # ruleid: tool-argument-picks-method
    table = getattr(client, kind)
    result = table.get(number)
    return result


@mcp.tool()
def run(action: str, data: dict) -> dict:
    "Run an action."
    # ruleid: tool-argument-picks-method
    method = getattr(client, "do_" + action, None)
    result = method(data)
    return {"result": result}
