import aiohttp
import httpx
import requests
import urllib3
import websockets
from fastapi import FastAPI
from urllib.request import urlopen

app = FastAPI()


@app.get("/named")
def named(url: str):
    # ruleid: user-input-to-url
    return requests.get(url=url, timeout=5).text


@app.get("/requested")
def requested(url: str):
    # ruleid: user-input-to-url
    return requests.request(method="GET", url=url, timeout=5).text


@app.get("/opened")
def opened(url: str):
    # ruleid: user-input-to-url
    return urlopen(url=url).read()


@app.get("/kept")
def kept(url: str):
    session = requests.Session()
    # ruleid: user-input-to-url
    return session.get(url, timeout=5).text


@app.get("/stream")
async def stream(url: str):
    async with httpx.AsyncClient() as client:
        # ruleid: user-input-to-url
        async with client.stream("GET", url) as response:
            return await response.aread()


@app.get("/put")
async def put(url: str):
    async with aiohttp.ClientSession() as session:
        # ruleid: user-input-to-url
        async with session.put(url=url, data=b"") as response:
            return response.status


@app.get("/socket")
async def socket(url: str):
    # ruleid: user-input-to-url
    async with websockets.connect(url) as connection:
        return await connection.recv()


@app.get("/pool")
def pool(url: str):
    # ruleid: user-input-to-url
    return urllib3.PoolManager().request("GET", url).data


class Fetcher:
    def __init__(self, session):
        self.session = session

    async def fetch(self, image_url):
        # ruleid: user-input-to-url
        return await self.session.get(image_url)


fetcher = Fetcher(aiohttp.ClientSession())


@app.get("/image")
async def image(image_url: str):
    return await fetcher.fetch(image_url)
