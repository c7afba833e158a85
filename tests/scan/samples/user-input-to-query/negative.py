import sqlalchemy
import sqlite3

from fastapi import FastAPI
from flask import Flask, request

app = FastAPI()
site = Flask(__name__)
db = sqlite3.connect("runs.db")
ALLOWED_COLUMNS = {"name", "started"}


@app.get("/runs")
def runs(order: str):
    if order not in ALLOWED_COLUMNS:
        raise ValueError(order)
    # ok: user-input-to-query
    return db.execute(f"SELECT * FROM runs ORDER BY {order}").fetchall()


@site.route("/user")
def user():
    # ok: user-input-to-query
    return str(db.execute("SELECT * FROM users WHERE name = ?", (request.args["name"],)).fetchone())


@app.get("/run/{number}")
def run(number: int):
    # ok: user-input-to-query
    return db.execute(f"SELECT * FROM runs WHERE number = {int(number)}").fetchone()


@app.get("/count")
def count():
    # ok: user-input-to-query
    return db.execute("SELECT count(*) FROM runs").fetchone()


@app.get("/groups")
def groups(name: str):
    statement = sqlalchemy.select(Group).where(Group.name == name).limit(10)
    # ok: user-input-to-query
    return db.execute(statement.order_by(Group.name)).all()
