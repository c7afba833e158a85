from langchain_community.agent_toolkits import SQLDatabaseToolkit, create_sql_agent
from langchain_community.utilities import SQLDatabase
from langchain_experimental.sql import SQLDatabaseChain
from llama_index.core.query_engine import NLSQLTableQueryEngine


def agent(llm, url):
    db = SQLDatabase.from_uri(url)
    # ruleid: chain-writes-queries
    return create_sql_agent(llm, db=db)


def chain(llm, db):
    # ruleid: chain-writes-queries
    return SQLDatabaseChain.from_llm(llm, db, verbose=True)


def tools(llm, db):
    # ruleid: chain-writes-queries
    return SQLDatabaseToolkit(db=db, llm=llm).get_tools()


def engine(sql_database):
    # ruleid: chain-writes-queries
    return NLSQLTableQueryEngine(sql_database=sql_database)
