import urllib.request

import aiohttp
import httpx
import requests


def load_page(url: str) -> str:
    # ruleid: function-argument-to-url
    return requests.get(url, timeout=10).text


def image_to_base64(source):
    if source.startswith("http"):
        # ruleid: function-argument-to-url
        return encode(httpx.get(source).content)
    return encode(open(source, "rb").read())


class Loader:
    async def fetch_content(self, link):
        async with aiohttp.ClientSession() as session:
            # ruleid: function-argument-to-url
            async with session.get(link) as answer:
                return await answer.text()

    def download_file(self, file_url, target):
        # ruleid: function-argument-to-url
        urllib.request.urlretrieve(file_url, target)
