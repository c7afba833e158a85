import aiohttp
import httpx
import requests


def load(url: str) -> str:
    check_public_url(url)
    # ruleid: checked-url-follows-redirects
    return requests.get(url, timeout=10, allow_redirects=True).text


def fetch(self, url):
    if not self.is_allowed_url(url):
        raise ValueError(url)
    # ruleid: checked-url-follows-redirects
    with httpx.stream("GET", url, follow_redirects=True) as answer:
        return answer.read()


async def image(url):
    if is_private_address(url):
        return None
    async with httpx.AsyncClient(follow_redirects=True, timeout=5) as client:
        # ruleid: checked-url-follows-redirects
        return (await client.get(url)).content


async def page(url):
    validate_url(url)
    async with aiohttp.ClientSession() as session:
        # ruleid: checked-url-follows-redirects
        async with session.get(url, allow_redirects=True) as answer:
            return await answer.text()


def sizes(url):
    if cloud and is_private_url(url):
        return None
    # ruleid: checked-url-follows-redirects
    with requests.get(url, stream=True) as answer:
        return answer.headers
