import sqlite3

from sqlalchemy import text


def read(connection, query: str):
    if not query.strip().upper().startswith("SELECT"):
        raise ValueError("only SELECT")
    # ruleid: query-checked-by-first-word
    return connection.execute(query).fetchall()


async def run_query(pool, sql: str):
    normalized = sql.strip().lower()
    if not normalized.startswith("select"):
        return "Only read queries are allowed"
    # ruleid: query-checked-by-first-word
    rows = await pool.fetch(sql)
    return [dict(row) for row in rows]


class Database:
    def select(self, query):
        if not query.upper().startswith(("SELECT", "WITH")):
            raise PermissionError(query)
        with self.engine.connect() as connection:
            # ruleid: query-checked-by-first-word
            return connection.execute(text(query)).fetchall()

    def describe(self, query):
        if not query.lower().startswith("select") and not query.lower().startswith("explain"):
            return {"error": "read only"}
        # ruleid: query-checked-by-first-word
        return self.cursor.execute(query).fetchall()


def local(query):
    database = sqlite3.connect("shop.db")
    if not query.startswith("PRAGMA"):
        raise ValueError(query)
    # ruleid: query-checked-by-first-word
    return database.execute(query).fetchall()
