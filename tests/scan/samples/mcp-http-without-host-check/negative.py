import uvicorn
from mcp.server import Server
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.routing import Mount

server = Server("notes")
# ok: mcp-http-without-host-check
SECURITY = TransportSecuritySettings(
    enable_dns_rebinding_protection=True, allowed_hosts=["127.0.0.1:*", "localhost:*"]
)


def serve_sse(port: int) -> None:
    # ok: mcp-http-without-host-check
    transport = SseServerTransport("/messages/", security_settings=SECURITY)
    app = Starlette(routes=[Mount("/messages/", app=transport.handle_post_message)])
    uvicorn.run(app, host="127.0.0.1", port=port)


def serve_http(port: int) -> None:
    # ok: mcp-http-without-host-check
    manager = StreamableHTTPSessionManager(app=server, security_settings=SECURITY)
    app = Starlette(routes=[Mount("/mcp", app=manager.handle_request)], lifespan=manager.run)
    uvicorn.run(app, host="127.0.0.1", port=port)


def serve_behind_check(port: int) -> None:
    # ok: mcp-http-without-host-check
    manager = StreamableHTTPSessionManager(app=server)
    app = Starlette(routes=[Mount("/mcp", app=manager.handle_request)], lifespan=manager.run)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=["localhost"])
    uvicorn.run(app, host="127.0.0.1", port=port)


class Wrapper:
    """A library: whoever uses it decides."""

    def __init__(self, path: str) -> None:
        # ok: mcp-http-without-host-check
        self.transport = SseServerTransport(path)
