from crewai_tools import NL2SQLTool, PGSearchTool
from langchain_community.utilities import SQLDatabase
from sqlalchemy import create_engine

# ruleid: agent-has-database-admin
db = SQLDatabase.from_uri("postgresql+psycopg2://postgres:secret@db:5432/shop")
# ruleid: agent-has-database-admin
legacy = SQLDatabase(create_engine("mysql+pymysql://root@legacy/shop"))
# ruleid: agent-has-database-admin
question = NL2SQLTool(db_uri="postgresql://admin:admin@db/shop")
# ruleid: agent-has-database-admin
search = PGSearchTool(db_uri="postgresql://postgres@db/shop", table_name="products")
