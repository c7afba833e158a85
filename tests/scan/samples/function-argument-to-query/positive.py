class VectorStore:
    def __init__(self, connection, table):
        self.connection = connection
        self.table = table

    def delete(self, doc_id: str) -> None:
        # ruleid: function-argument-to-query
        self.connection.execute(f"DELETE FROM chunks WHERE doc_id = '{doc_id}'")

    def by_source(self, source: str):
        # ruleid: function-argument-to-query
        query = "SELECT text FROM chunks WHERE source = '%s'" % source
        return self.connection.execute(query).fetchall()

    def by_filter(self, filters: dict):
        parts = []
        for key, value in filters.items():
            # ruleid: function-argument-to-query
            parts.append(f" WHERE metadata->>'{key}' = '{value}'")
        return self.connection.execute("SELECT * FROM chunks" + "".join(parts))


def neighbours(graph, entity: str):
    # ruleid: function-argument-to-query
    return graph.query("MATCH (n {name: '" + entity + "'})--(m) RETURN m")


def history(session, session_id: str):
    # ruleid: function-argument-to-query
    statement = "SELECT message FROM history WHERE session = '{}'".format(session_id)
    return session.run(statement)


def clause(filter_):
    # ruleid: function-argument-to-query
    return f"metadata->>'{filter_.key}' = '{filter_.value}'"


def two_values(connection, user: str, topic: str):
    # ruleid: function-argument-to-query
    return connection.execute(f"SELECT * FROM notes WHERE user = '{user}' AND topic = '{topic}'")


def predicates(filters: dict) -> list[str]:
    parts = []
    for key, value in filters.items():
        # ruleid: function-argument-to-query
        parts.append(f"json_extract(metadata, '$.{key}') = ?")
    return parts


def rename(name: str, doc_id: str) -> str:
    # ruleid: function-argument-to-query
    return f"""
        UPDATE documents SET name = "{name}"
        WHERE doc_id = {doc_id}
    """
