import chromadb
from fastapi import FastAPI
from flask import Flask, request
from langchain_chroma import Chroma

app = FastAPI()
web = Flask(__name__)
chroma = chromadb.HttpClient()


@app.get("/search")
def search(text: str, collection: str):
    # ruleid: user-chooses-vector-collection
    return chroma.get_collection(collection).query(query_texts=[text])


@web.route("/ask", methods=["POST"])
def ask():
    body = request.get_json()
    # ruleid: user-chooses-vector-collection
    store = Chroma(collection_name=body["collection"], client=chroma)
    return store.similarity_search(body["question"])


@app.delete("/collections/{name}")
async def remove(name: str):
    # ruleid: user-chooses-vector-collection
    chroma.delete_collection(name=name)
