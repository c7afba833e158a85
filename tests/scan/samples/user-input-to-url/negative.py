import urllib.parse

import requests
from fastapi import FastAPI, HTTPException, Request
from flask import Flask, request
from langchain_community.document_loaders import WebBaseLoader

app = FastAPI()
web = Flask(__name__)
ALLOWED_HOSTS = {"docs.example.com"}
SITES = {"docs": "https://docs.example.com"}


@app.post("/summarize")
def summarize(url: str, chain):
    if urllib.parse.urlsplit(url).hostname not in ALLOWED_HOSTS:
        raise HTTPException(400, "this site is not supported")
    # ok: user-input-to-url
    return chain.invoke(WebBaseLoader(url).load())


@app.post("/checked")
def checked(url: str, chain):
    validate_public_url(url)
    # ok: user-input-to-url
    return chain.invoke(WebBaseLoader(url).load())


@web.route("/known")
def known():
    # ok: user-input-to-url
    return requests.get(SITES[request.args["site"]], timeout=5).text


@web.route("/search")
def search():
    words = request.args["q"]
    # ok: user-input-to-url
    return requests.get("https://search.example.com", params={"q": words}, timeout=5).json()


@app.get("/upstream")
def upstream(request: Request):
    # ok: user-input-to-url
    return requests.get(request.app.state.upstream, timeout=5).json()


@app.get("/valves/{pipeline}")
def valves(pipeline: str):
    base = settings_of("pipelines")
    # ok: user-input-to-url
    return requests.get(f"{base}/{pipeline}/valves?full={pipeline}", timeout=5).json()
