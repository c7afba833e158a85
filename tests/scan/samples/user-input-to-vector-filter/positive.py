from fastapi import FastAPI
from flask import Flask, request
from pymilvus import MilvusClient

app = FastAPI()
web = Flask(__name__)
milvus = MilvusClient()


@app.get("/search")
def search(text: str, author: str):
    # ruleid: user-input-to-vector-filter
    return milvus.search("docs", data=[embed(text)], filter=f"author == '{author}'")


@web.route("/lance")
def lance():
    year = request.args["year"]
    # ruleid: user-input-to-vector-filter
    return table.search(embed("x")).where("year = " + year).to_list()


@web.route("/store", methods=["POST"])
def store():
    # ruleid: user-input-to-vector-filter
    return vector_store.similarity_search("x", k=4, filter=request.get_json()["filter"])


@app.get("/expression")
def expression(text: str, expr: str):
    # ruleid: user-input-to-vector-filter
    return collection.query(expr=expr, output_fields=["text"])
