import uvicorn
from mcp.server import Server
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.routing import Mount, Route

server = Server("notes")
# ruleid: mcp-http-without-host-check
OPEN = TransportSecuritySettings(enable_dns_rebinding_protection=False)
# ruleid: mcp-http-without-host-check
ANY = TransportSecuritySettings(allowed_hosts=["*"], allowed_origins=["https://notes.example.com"])


def serve_sse(port: int) -> None:
    # ruleid: mcp-http-without-host-check
    transport = SseServerTransport("/messages/")

    async def handle(request):
        async with transport.connect_sse(request.scope, request.receive, request._send) as streams:
            await server.run(streams[0], streams[1], server.create_initialization_options())

    app = Starlette(
        routes=[
            Route("/sse", endpoint=handle),
            Mount("/messages/", app=transport.handle_post_message),
        ]
    )
    uvicorn.run(app, host="127.0.0.1", port=port)


def serve_http(port: int) -> None:
    # ruleid: mcp-http-without-host-check
    manager = StreamableHTTPSessionManager(app=server, stateless=True)
    app = Starlette(routes=[Mount("/mcp", app=manager.handle_request)], lifespan=manager.run)
    uvicorn.run(app, host="127.0.0.1", port=port)
