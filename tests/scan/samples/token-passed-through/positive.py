import httpx
import requests
from fastmcp import FastMCP
from fastmcp.server.dependencies import get_access_token, get_http_headers

mcp = FastMCP("tracker")
UPSTREAM = "https://tracker.example.com/api"


@mcp.tool()
def issues() -> str:
    """List issues."""
    token = get_http_headers()["authorization"]
    # ruleid: token-passed-through
    return httpx.get(UPSTREAM, headers={"Authorization": token}).text


@mcp.tool()
async def projects() -> str:
    """List projects."""
    headers = get_http_headers()
    async with httpx.AsyncClient() as client:
        # ruleid: token-passed-through
        return (await client.get(UPSTREAM, headers=headers)).text


@mcp.tool()
def people() -> str:
    """List people."""
    token = get_access_token()
    # ruleid: token-passed-through
    return requests.get(UPSTREAM, headers={"Authorization": f"Bearer {token.token}"}).text


@mcp.custom_route("/sync", methods=["POST"])
async def sync(request):
    authorization = request.headers.get("Authorization")
    # ruleid: token-passed-through
    return httpx.post(UPSTREAM, headers={"Authorization": authorization})
