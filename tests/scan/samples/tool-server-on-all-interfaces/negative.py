import uvicorn
from mcp.server.fastmcp import FastMCP

# ok: tool-server-on-all-interfaces
files = FastMCP("files", host="127.0.0.1", port=8000)
# ok: tool-server-on-all-interfaces
guarded = FastMCP("guarded", host="0.0.0.0", auth=settings, token_verifier=verifier)
notes = FastMCP("notes", auth=settings, token_verifier=verifier)
shell = FastMCP("shell")


def serve_notes() -> None:
    # ok: tool-server-on-all-interfaces
    notes.run(transport="sse", host="0.0.0.0", port=8001)


def serve_shell() -> None:
    app = shell.streamable_http_app()
    app.add_middleware(BearerAuth, keys=KEYS)
    # ok: tool-server-on-all-interfaces
    uvicorn.run(app, host="0.0.0.0", port=8002)


def serve_local() -> None:
    # ok: tool-server-on-all-interfaces
    shell.run(transport="stdio")


def serve(host: str) -> None:
    # ok: tool-server-on-all-interfaces
    shell.run(transport="sse", host=host)
