from agents.mcp import MCPServerSse
from fastmcp import Client
from langchain_mcp_adapters.client import MultiServerMCPClient
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamablehttp_client


async def tools() -> list[object]:
    # ruleid: agent-traffic-without-tls
    async with sse_client("http://tools.example.com/sse") as streams:
        return await list_tools(streams)


async def search(query: str) -> str:
    # ruleid: agent-traffic-without-tls
    async with streamablehttp_client(url="http://10.2.3.4:8000/mcp", headers=HEADERS) as streams:
        return await ask(streams, query)


# ruleid: agent-traffic-without-tls
remote = Client("http://agents.example.com/mcp")
# ruleid: agent-traffic-without-tls
server = MCPServerSse(params={"url": "http://mcp.example.com:8080/sse"})
client = MultiServerMCPClient(
    # ruleid: agent-traffic-without-tls
    {"orders": {"url": "http://orders.example.com/mcp", "transport": "streamable_http"}}
)
