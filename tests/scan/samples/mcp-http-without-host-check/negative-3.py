from fastmcp import FastMCP

mcp = FastMCP("graph", auth=verifier)


def serve() -> None:
    # ok: mcp-http-without-host-check
    mcp.run(transport="http", port=8000)
