import httpx
import requests
from PIL import Image


def to_messages(messages):
    for message in messages:
        for part in message["content"]:
            if part["type"] == "image_url":
                # ruleid: media-url-is-fetched
                yield Image.open(requests.get(part["image_url"]["url"], stream=True).raw)


async def download(item, client):
    # ruleid: media-url-is-fetched
    response = await client.get(item.url, follow_redirects=True)
    return response.content


def audio_of(request):
    audio_url = request.audio_url
    # ruleid: media-url-is-fetched
    return httpx.get(audio_url).content


def load_image(image_url: str):
    if image_url.startswith("http"):
        # ruleid: media-url-is-fetched
        return requests.get(image_url, timeout=10).content
    return open(image_url, "rb").read()


def size_of(image_source):
    if _is_url(image_source):
        # ruleid: media-url-is-fetched
        response = httpx.get(image_source)
        return Image.open(BytesIO(response.content)).size
    return None


async def element_of(element):
    async with aiohttp.ClientSession() as session:
        # ruleid: media-url-is-fetched
        async with session.get(element.url) as response:
            return await response.read()
