from langchain_community.agent_toolkits import create_sql_agent
from langchain_community.utilities import SQLDatabase

READ_ONLY_URL = "postgresql://reader@db/shop"


def agent(llm):
    db = SQLDatabase.from_uri(READ_ONLY_URL, include_tables=["products", "prices"])
    # ok: chain-writes-queries
    return create_sql_agent(llm, db=db)


def reader(llm, read_only_db):
    # ok: chain-writes-queries
    return create_sql_agent(llm, db=read_only_db)


def tables(url):
    # ok: chain-writes-queries
    return SQLDatabase.from_uri(url).get_usable_table_names()


def fixed(db, name):
    # ok: chain-writes-queries
    return db.run("SELECT price FROM products WHERE name = :name", parameters={"name": name})
