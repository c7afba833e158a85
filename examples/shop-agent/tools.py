"""The tools that the agent may call, served over MCP."""

import subprocess
from contextlib import closing

from mcp.server.fastmcp import FastMCP

import store
from settings import MANUALS

mcp = FastMCP("shop")


@mcp.tool()
def order_status(number: str) -> str:
    """Tell the status of an order."""
    with closing(store.connect()) as connection:
        row = connection.execute(
            f"SELECT status FROM orders WHERE number = '{number}'"
        ).fetchone()
    return row["status"] if row else "unknown order"


@mcp.tool()
def search_products(words: str, order_by: str = "name") -> list[dict]:
    """Search products by words in their name."""
    statement = "SELECT * FROM products WHERE name LIKE ? ORDER BY " + order_by
    with closing(store.connect()) as connection:
        rows = connection.execute(statement, (f"%{words}%",)).fetchall()
    return [dict(row) for row in rows]


@mcp.tool()
def read_manual(name: str) -> str:
    """Return the manual of a product."""
    path = MANUALS / f"{name}.md"
    return path.read_text(encoding="utf-8")


@mcp.tool()
def search_manuals(words: str) -> str:
    """Return the lines of all manuals that contain the words."""
    command = f"grep -ri '{words}' {MANUALS}"
    found = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    return found.stdout


@mcp.tool()
def stock(product_id: int) -> int:
    """Tell how many pieces of a product are in stock."""
    return int(store.product(product_id).get("stock", 0))


if __name__ == "__main__":
    mcp.run()
