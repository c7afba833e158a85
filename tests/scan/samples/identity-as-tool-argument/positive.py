from langchain_core.tools import tool
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("billing")


@mcp.tool()
# ruleid: identity-as-tool-argument
def list_invoices(tenant_id: str) -> list[dict]:
    """List invoices."""
    return invoices.of(tenant_id)


@tool
def close_account(
    account: str,
    # ruleid: identity-as-tool-argument
    is_admin: bool = False,
) -> str:
    """Close an account."""
    return accounts.close(account, force=is_admin)


@mcp.tool(name="orders")
# ruleid: identity-as-tool-argument
async def orders(current_user_id: int, since: str) -> list[dict]:
    """List the orders of the user."""
    return await database.orders(current_user_id, since)
