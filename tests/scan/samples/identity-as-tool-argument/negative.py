from typing import Annotated

from fastapi import Depends
from langchain_core.tools import InjectedToolArg, tool
from mcp.server.fastmcp import Context, FastMCP

mcp = FastMCP("billing")


@mcp.tool()
# ok: identity-as-tool-argument
def list_invoices(ctx: Context) -> list[dict]:
    """List invoices."""
    return invoices.of(tenant_of(ctx.request_context.request))


@tool
# ok: identity-as-tool-argument
def orders(since: str, current_user: Annotated[str, InjectedToolArg]) -> list[dict]:
    """List the orders of the user."""
    return database.orders(current_user, since)


@mcp.tool()
# ok: identity-as-tool-argument
def find_user(user_name: str) -> dict:
    """Find somebody in the public directory."""
    return directory.find(user_name)


# ok: identity-as-tool-argument
def for_tenant(tenant_id: str) -> list[dict]:
    return invoices.of(tenant_id)


@app.get("/invoices")
# ok: identity-as-tool-argument
def page(tenant_id: str) -> list[dict]:
    return invoices.of(tenant_id)
