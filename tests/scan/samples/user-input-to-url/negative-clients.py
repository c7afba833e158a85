import httpx
import requests
from fastapi import FastAPI

app = FastAPI()
http = httpx.Client(base_url="https://docs.example.com")


@app.get("/row")
def row(name: str):
    # ok: user-input-to-url
    return db.session.get(Page, name)


@app.get("/cached")
def cached(name: str):
    # ok: user-input-to-url
    return redis_client.get(name)


@app.get("/posted")
def posted(text: str):
    session = requests.Session()
    # ok: user-input-to-url
    return session.post("https://api.example.com/v1", json={"url": text}, timeout=5).json()


@app.get("/header")
def header(url: str):
    # ok: user-input-to-url
    return requests.get(url="https://api.example.com/v1", headers={"Referer": url}, timeout=5).text


@app.get("/sites")
def sites(url: str):
    # ok: user-input-to-url
    return http.get("/search", params={"site": url}).json()
