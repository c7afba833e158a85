import sqlalchemy
import sqlite3

from fastapi import FastAPI
from flask import Flask, request

app = FastAPI()
site = Flask(__name__)
db = sqlite3.connect("runs.db")


@app.get("/runs")
def runs(order: str):
    # ruleid: user-input-to-query
    return db.execute(f"SELECT * FROM runs ORDER BY {order}").fetchall()


@site.route("/user")
def user():
    name = request.args.get("name")
    # ruleid: user-input-to-query
    return str(db.execute("SELECT * FROM users WHERE name = '" + name + "'").fetchone())


@app.post("/search")
async def search(body: dict):
    return find(body["text"])


def find(text):
    query = "SELECT * FROM documents WHERE body LIKE '%%%s%%'" % text
    # ruleid: user-input-to-query
    return db.execute(query).fetchall()


@app.get("/groups")
def groups(name: str):
    # ruleid: user-input-to-query
    statement = sqlalchemy.select(Group).where(sqlalchemy.text(f"name = '{name}'"))
    return db.execute(statement).all()
