from fastmcp import Client
from langchain_mcp_adapters.client import MultiServerMCPClient
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamablehttp_client


async def tools() -> list[object]:
    # ok: agent-traffic-without-tls
    async with sse_client("https://tools.example.com/sse") as streams:
        return await list_tools(streams)


async def search(query: str) -> str:
    # ok: agent-traffic-without-tls
    async with streamablehttp_client(url="http://localhost:8000/mcp") as streams:
        return await ask(streams, query)


# ok: agent-traffic-without-tls
remote = Client("http://127.0.0.1:8000/mcp")
# ok: agent-traffic-without-tls
inside = Client("http://tools:8000/mcp")


def connect(url: str) -> Client:
    # ok: agent-traffic-without-tls
    return Client(url)


client = MultiServerMCPClient(
    # ok: agent-traffic-without-tls
    {"orders": {"url": "http://localhost:3000/mcp", "transport": "streamable_http"}}
)
