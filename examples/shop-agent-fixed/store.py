"""Orders and products in SQLite."""

import sqlite3
from contextlib import closing

from settings import DATABASE

SCHEMA = """
CREATE TABLE IF NOT EXISTS products (id INTEGER PRIMARY KEY, name TEXT, price REAL, stock INTEGER);
CREATE TABLE IF NOT EXISTS orders (number TEXT PRIMARY KEY, customer TEXT, product INTEGER, status TEXT);
"""


def connect() -> sqlite3.Connection:
    connection = sqlite3.connect(DATABASE)
    connection.row_factory = sqlite3.Row
    connection.executescript(SCHEMA)
    return connection


def product(product_id: int) -> dict:
    with closing(connect()) as connection:
        row = connection.execute("SELECT * FROM products WHERE id = ?", (product_id,)).fetchone()
    return dict(row) if row else {}


def orders_of(customer: str) -> list[dict]:
    with closing(connect()) as connection:
        rows = connection.execute("SELECT * FROM orders WHERE customer = ?", (customer,)).fetchall()
    return [dict(row) for row in rows]
