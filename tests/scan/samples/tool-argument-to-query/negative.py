import sqlite3

from langchain_core.tools import tool
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("orders")
db = sqlite3.connect("orders.db")
VALID_COLUMNS = ("name", "price")


@tool
def find_order(number: str) -> str:
    """Find an order."""
    # ok: tool-argument-to-query
    row = db.execute("SELECT * FROM orders WHERE number = ?", (number,)).fetchone()
    return str(row)


@mcp.tool()
def newest(limit: int) -> list:
    """Newest orders."""
    # ok: tool-argument-to-query
    return db.execute(f"SELECT * FROM orders ORDER BY id DESC LIMIT {limit}").fetchall()


@mcp.tool()
def search(term: str, order_by: str = "name") -> list:
    """Search products."""
    if order_by not in VALID_COLUMNS:
        raise ValueError(order_by)
    # ok: tool-argument-to-query
    return db.execute(f"SELECT * FROM products ORDER BY {order_by}").fetchall()


def internal(table: str) -> list:
    # ok: tool-argument-to-query
    return db.execute(f"SELECT * FROM {table}").fetchall()


@mcp.tool()
def describe_table(table: str):
    _validate_table_name(table)
    # ok: tool-argument-to-query
    return get_kusto_client().execute(config.database, f"{table} | getschema")


@mcp.tool()
def sample_table(table: str):
    if table not in TABLES:
        raise ValueError(table)
    # ok: tool-argument-to-query
    return db.execute(f"SELECT * FROM {table} LIMIT 10").fetchall()
