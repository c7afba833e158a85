import sqlite3

connection = sqlite3.connect("shop.db")
QUERIES = {"orders": "SELECT * FROM orders"}
ALLOWED_TABLES = frozenset({"orders", "products"})


def bound(question, llm):
    name = llm.invoke(question).content
    # ok: llm-output-to-query
    return connection.execute("SELECT price FROM products WHERE name = ?", (name,)).fetchone()


def table(question, llm):
    name = llm.invoke(question).content
    # ok: llm-output-to-query
    return connection.execute(QUERIES[name]).fetchall()


def allowed(question, llm):
    name = llm.invoke(question).content
    if name in ALLOWED_TABLES:
        # ok: llm-output-to-query
        return connection.execute(f"SELECT * FROM {name}").fetchall()
    return []


def number(question, llm):
    limit = int(llm.invoke(question).content)
    # ok: llm-output-to-query
    return connection.execute(f"SELECT * FROM orders LIMIT {limit}").fetchall()


def rows_into_model(llm):
    rows = connection.execute("SELECT * FROM products").fetchall()
    # ok: llm-output-to-query
    return llm.invoke(str(rows))


class Chain:
    allow_dangerous_requests: bool = False

    def call(self, inputs):
        generated = self.cypher_generation_chain.run(inputs)
        # ok: llm-output-to-query
        return self.graph.query(generated)


def other_execute(question, llm, tool):
    # ok: llm-output-to-query
    return tool.execute(llm.invoke(question).content)
