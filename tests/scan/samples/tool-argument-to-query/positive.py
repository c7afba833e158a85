import sqlite3

from langchain_core.tools import tool
from mcp.server.fastmcp import FastMCP

mcp = FastMCP("orders")
db = sqlite3.connect("orders.db")


@tool
def find_order(number: str) -> str:
    """Find an order."""
    # ruleid: tool-argument-to-query
    row = db.execute(f"SELECT * FROM orders WHERE number = '{number}'").fetchone()
    return str(row)


@mcp.tool()
def query(sql: str) -> list:
    """Run a query."""
    cursor = db.cursor()
    # ruleid: tool-argument-to-query
    cursor.execute(sql)
    return cursor.fetchall()


@mcp.tool()
def search(term: str, order_by: str = "name") -> list:
    """Search products."""
    statement = "SELECT * FROM products WHERE name LIKE ? ORDER BY %s" % order_by
    # ruleid: tool-argument-to-query
    return db.execute(statement, (term,)).fetchall()


class FinanceToolSpec(BaseToolSpec):
    spec_functions = ["run_sql_query"]

    def run_sql_query(self, query: str) -> str:
        # ruleid: tool-argument-to-query
        return self.connection.execute(text(query))


@mcp.tool()
def describe_table(table: str):
    query = f"{table} | getschema"
    # ruleid: tool-argument-to-query
    return get_kusto_client().execute(config.database, query)
