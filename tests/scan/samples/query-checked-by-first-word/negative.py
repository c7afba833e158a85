import sqlite3


def read(query: str):
    with sqlite3.connect("file:shop.db?mode=ro", uri=True) as connection:
        # ok: query-checked-by-first-word
        return connection.execute(query).fetchall()


def rows(cursor, query):
    # ok: query-checked-by-first-word
    cursor.execute(query)
    if query.strip().upper().startswith("SELECT"):
        return cursor.fetchall()
    return cursor.rowcount


def only_http(client, query):
    if not query.startswith("https://"):
        raise ValueError(query)
    # ok: query-checked-by-first-word
    return client.fetch(query)


def in_transaction(cursor, query):
    if not query.upper().startswith("SELECT"):
        raise ValueError(query)
    cursor.execute("SET TRANSACTION READ ONLY")
    # ok: query-checked-by-first-word
    return cursor.execute(query)
