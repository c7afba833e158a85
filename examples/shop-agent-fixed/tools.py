"""The tools that the agent may call, served over MCP."""

from contextlib import closing

from mcp.server.fastmcp import FastMCP

import store
from settings import MANUALS

mcp = FastMCP("shop")

ORDERINGS = {
    "name": "SELECT * FROM products WHERE name LIKE ? ORDER BY name",
    "price": "SELECT * FROM products WHERE name LIKE ? ORDER BY price",
}


@mcp.tool()
def order_status(number: str) -> str:
    """Tell the status of an order."""
    with closing(store.connect()) as connection:
        row = connection.execute("SELECT status FROM orders WHERE number = ?", (number,)).fetchone()
    return row["status"] if row else "unknown order"


@mcp.tool()
def search_products(words: str, order_by: str = "name") -> list[dict]:
    """Search products by words in their name, ordered by name or price."""
    statement = ORDERINGS[order_by]
    with closing(store.connect()) as connection:
        rows = connection.execute(statement, (f"%{words}%",)).fetchall()
    return [dict(row) for row in rows]


@mcp.tool()
def read_manual(name: str) -> str:
    """Return the manual of a product."""
    path = (MANUALS / f"{name}.md").resolve()
    if not path.is_relative_to(MANUALS):
        raise ValueError(f"{name!r} is not the name of a manual")
    return path.read_text(encoding="utf-8")


@mcp.tool()
def search_manuals(words: str) -> str:
    """Return the lines of all manuals that contain the words."""
    found = []
    for manual in sorted(MANUALS.glob("*.md")):
        lines = manual.read_text(encoding="utf-8").splitlines()
        found += [f"{manual.stem}: {line}" for line in lines if words.lower() in line.lower()]
    return "\n".join(found)


@mcp.tool()
def stock(product_id: int) -> int:
    """Tell how many pieces of a product are in stock."""
    return int(store.product(product_id).get("stock", 0))


if __name__ == "__main__":
    mcp.run()
