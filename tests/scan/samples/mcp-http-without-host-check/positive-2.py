from fastmcp import FastMCP

mcp: FastMCP = FastMCP("graph", stateless_http=True)


async def main(transport: str, port: int) -> None:
    if transport == "http":
        # ruleid: mcp-http-without-host-check
        await mcp.run_http_async(host="127.0.0.1", port=port, path="/mcp/")
    elif transport == "sse":
        # ruleid: mcp-http-without-host-check
        await mcp.run_sse_async(host="127.0.0.1", port=port)
    else:
        await mcp.run_stdio_async()


def serve() -> None:
    # ruleid: mcp-http-without-host-check
    mcp.run(transport="streamable-http", port=8000)
