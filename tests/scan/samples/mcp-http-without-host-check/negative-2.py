from fastmcp import FastMCP

mcp = FastMCP("graph")


async def main(port: int) -> None:
    # ok: mcp-http-without-host-check
    await mcp.run_http_async(host="127.0.0.1", port=port, middleware=CHECKS)


def serve() -> None:
    # ok: mcp-http-without-host-check
    mcp.run(transport="stdio")
