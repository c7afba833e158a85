TABLES = {"chunks", "documents"}


class VectorStore:
    def __init__(self, connection, table):
        self.connection = connection
        self.table = table

    def delete(self, doc_id: str) -> None:
        # ok: function-argument-to-query
        self.connection.execute("DELETE FROM chunks WHERE doc_id = %s", (doc_id,))

    def own_table(self, doc_id: str) -> None:
        # ok: function-argument-to-query
        self.connection.execute(f"DELETE FROM {self.table} WHERE doc_id = %s", (doc_id,))

    def many(self, ids: list):
        marks = ", ".join(["?"] * len(ids))
        # ok: function-argument-to-query
        return self.connection.execute(f"SELECT text FROM chunks WHERE id IN ({marks})", ids)

    def some(self, limit: int):
        # ok: function-argument-to-query
        return self.connection.execute(f"SELECT text FROM chunks LIMIT {limit} WHERE 1 = 1")

    def count(self, number):
        # ok: function-argument-to-query
        return self.connection.execute(f"SELECT text FROM chunks WHERE page = {int(number)}")

    def quoted(self, name: str):
        # ok: function-argument-to-query
        return self.connection.execute(f"SELECT text FROM chunks WHERE name = {quote_literal(name)}")


def prompt(question: str) -> str:
    # ok: function-argument-to-query
    return f"Select the best of these answers to the question: {question}"


def run(connection, query: str):
    # ok: function-argument-to-query
    return connection.execute(query)


def count_rows(connection, table: str) -> int:
    if table not in TABLES:
        raise ValueError(table)
    known_tables = TABLES
    assert table in known_tables
    # ok: function-argument-to-query
    return connection.execute(f"SELECT count(*) FROM {table} WHERE deleted = 0")


def copy(connection, table):
    # ok: function-argument-to-query
    return connection.execute(f'SELECT * FROM "{table.name}" WHERE deleted = 0')


def predicates(filters: dict) -> list[str]:
    parts = []
    for key, value in filters.items():
        _validate_filter_key(key)
        # ok: function-argument-to-query
        parts.append(f"json_extract(metadata, '$.{key}') = ?")
    return parts


def condition(key: str, operator: str, value) -> str:
    _validate_filter_key(key)
    if isinstance(value, (int, float)):
        # ok: function-argument-to-query
        return f"json_extract(value, '$.{key}') {operator} {value}"
    return "FALSE"


def heartbeat(logger, ids, replica):
    # ok: function-argument-to-query
    logger.info(f"Heartbeat: UPDATE affected {len(ids)} rows (WHERE id IN {ids} AND claimed_by={replica}")


@app.cell
def _(mo, parquet_path):
    # ok: function-argument-to-query
    return mo.sql(f"SELECT * FROM read_parquet('{parquet_path}') LIMIT 10")


def summary(table: str, column: str) -> str:
    # ok: function-argument-to-query
    return f"""
        SELECT COUNT("{column}") AS many,
               SUM(CASE WHEN "{column}" IS NULL THEN 1 ELSE 0 END) AS missing
        FROM {table}
    """
