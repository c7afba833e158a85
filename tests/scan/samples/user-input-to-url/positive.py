import aiohttp
import httpx
import requests
from fastapi import FastAPI, Request
from flask import Flask, request
from langchain_community.document_loaders import RecursiveUrlLoader, WebBaseLoader

app = FastAPI()
web = Flask(__name__)
http_client = httpx.AsyncClient()


@app.post("/summarize")
def summarize(url: str, chain):
    # ruleid: user-input-to-url
    return chain.invoke(WebBaseLoader(url).load())


@web.route("/ingest", methods=["POST"])
def ingest():
    start = request.json["url"]
    # ruleid: user-input-to-url
    return RecursiveUrlLoader(url=start, max_depth=2).load()


@app.post("/describe")
async def describe(request: Request):
    body = await request.json()
    async with aiohttp.ClientSession() as session:
        # ruleid: user-input-to-url
        async with session.get(body["image_url"]) as response:
            return await response.read()


@web.route("/proxy")
def proxy():
    # ruleid: user-input-to-url
    return requests.get(request.args.get("target"), timeout=5).content


@app.get("/fetch")
async def fetch(address: str):
    # ruleid: user-input-to-url
    return (await http_client.get(address)).text


@app.get("/whose")
def whose(base: str, pipeline: str):
    # ruleid: user-input-to-url
    return requests.get(f"{base}/{pipeline}/valves", timeout=5).json()


@app.get("/joined")
def joined(pipeline: str):
    base = settings_of("pipelines")
    # ruleid: user-input-to-url
    return requests.get(f"{base}{pipeline}/valves", timeout=5).json()
