from fastapi import FastAPI
from flask import Flask, request
from pymilvus import MilvusClient

app = FastAPI()
web = Flask(__name__)
milvus = MilvusClient()
FILTERS = {"new": "year > 2024"}


@app.get("/search")
def search(text: str, author: str):
    # ok: user-input-to-vector-filter
    return milvus.search("docs", data=[embed(text)], filter="author == {author}", filter_params={"author": author})


@app.get("/object")
def by_object(text: str, author: str):
    # ok: user-input-to-vector-filter
    return vector_store.similarity_search(text, k=4, filter={"author": author, "tenant": tenant()})


@app.get("/named")
def named(text: str, name: str):
    # ok: user-input-to-vector-filter
    return collection.query(expr=FILTERS[name], output_fields=["text"])


@web.route("/question")
def question():
    # ok: user-input-to-vector-filter
    return vector_store.similarity_search(request.args["q"], k=4, filter={"public": True})


@app.get("/number")
def number(text: str, year: int):
    # ok: user-input-to-vector-filter
    return collection.query(expr=f"year == {int(year)}")
