import chromadb
from fastapi import Depends, FastAPI
from flask import Flask, request

app = FastAPI()
web = Flask(__name__)
chroma = chromadb.HttpClient()
COLLECTIONS = {"manual": "docs-manual"}


@app.get("/search")
def search(text: str, user: User = Depends(signed_in)):
    # ok: user-chooses-vector-collection
    return chroma.get_collection(f"docs-{user.tenant}").query(query_texts=[text])


@app.get("/known")
def known(text: str, name: str):
    # ok: user-chooses-vector-collection
    return chroma.get_collection(COLLECTIONS[name]).query(query_texts=[text])


@app.get("/checked")
def checked(text: str, name: str, user: User = Depends(signed_in)):
    check_access(user, name)
    # ok: user-chooses-vector-collection
    return chroma.get_collection(name).query(query_texts=[text])


@web.route("/ask", methods=["POST"])
def ask():
    # ok: user-chooses-vector-collection
    return chroma.get_collection("docs").query(query_texts=[request.get_json()["question"]])
