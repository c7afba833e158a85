import os

from crewai_tools import NL2SQLTool
from langchain_community.utilities import SQLDatabase
from sqlalchemy import create_engine

# ok: agent-has-database-admin
db = SQLDatabase.from_uri("postgresql+psycopg2://agent_readonly:secret@db:5432/shop")
# ok: agent-has-database-admin
local = SQLDatabase.from_uri("sqlite:///Chinook.db")
# ok: agent-has-database-admin
configured = SQLDatabase.from_uri(os.environ["AGENT_DATABASE"])
# ok: agent-has-database-admin
question = NL2SQLTool(db_uri="postgresql://reports@db/shop")
# ok: agent-has-database-admin
engine = create_engine("mysql+pymysql://root@localhost/test")
