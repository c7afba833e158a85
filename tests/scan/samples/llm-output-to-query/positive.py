import sqlite3
import pandas as pd
from sqlalchemy import text

connection = sqlite3.connect("shop.db")


def interpolated(question, llm):
    name = llm.invoke(f"Product name in: {question}").content
    cursor = connection.cursor()
    # ruleid: llm-output-to-query
    cursor.execute(f"SELECT price FROM products WHERE name = '{name}'")
    # ruleid: llm-output-to-query
    cursor.execute("DELETE FROM basket WHERE name = '" + name + "'")
    return cursor.fetchone()


def whole_query(question, client):
    response = client.responses.create(model="m", input=question)
    sql = response.output_text
    sql = sql.strip().removeprefix("```sql").removesuffix("```")
    # ruleid: llm-output-to-query
    return pd.read_sql(sql, connection)


def orm(question, client, session):
    response = client.chat.completions.create(model="m", messages=[])
    query, _ = response.choices[0].message.content.split(";")
    # ruleid: llm-output-to-query
    return session.execute(text(query)).all()


class CypherChain:
    def _call(self, inputs):
        generated = self.cypher_generation_chain.run(inputs)
        generated = extract_cypher(generated)
        if generated:
            # ruleid: llm-output-to-query
            return self.graph.query(generated)
        return []


def chain_database(question, sql_chain, db):
    # ruleid: llm-output-to-query
    return db.run(sql_chain.invoke({"question": question}))
