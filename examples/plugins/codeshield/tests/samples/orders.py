"""A query as a model wrote it."""

import sqlite3


def find_orders(database: sqlite3.Connection, customer: str) -> list[tuple[str, int]]:
    cursor = database.cursor()
    cursor.execute(f"SELECT number, total FROM orders WHERE customer = '{customer}'")
    return cursor.fetchall()
