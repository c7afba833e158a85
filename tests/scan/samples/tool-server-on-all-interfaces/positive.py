import uvicorn
from mcp.server.fastmcp import FastMCP

# ruleid: tool-server-on-all-interfaces
files = FastMCP("files", host="0.0.0.0", port=8000)
notes = FastMCP("notes")
shell = FastMCP("shell")
mail = FastMCP("mail")


def serve_notes() -> None:
    # ruleid: tool-server-on-all-interfaces
    notes.run(transport="sse", host="0.0.0.0", port=8001)


def serve_shell() -> None:
    app = shell.streamable_http_app()
    # ruleid: tool-server-on-all-interfaces
    uvicorn.run(app, host="0.0.0.0", port=8002)


def serve_mail() -> None:
    # ruleid: tool-server-on-all-interfaces
    mail.settings.host = "0.0.0.0"
    mail.run(transport="streamable-http")


def serve_mail_elsewhere() -> None:
    # ruleid: tool-server-on-all-interfaces
    uvicorn.run(mail.sse_app(), host="::", port=8003)
