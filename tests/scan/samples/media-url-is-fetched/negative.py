import urllib.parse

import requests

MEDIA_HOSTS = {"images.example.com"}


def checked_host(image_url: str):
    if urllib.parse.urlsplit(image_url).hostname not in MEDIA_HOSTS:
        raise ValueError("media may not be fetched from there")
    # ok: media-url-is-fetched
    return requests.get(image_url, allow_redirects=False).content


def checked_by_name(part):
    url = part["image_url"]["url"]
    validate_url(url)
    # ok: media-url-is-fetched
    return requests.get(url).content


def own_service(self, prompt):
    # ok: media-url-is-fetched
    return requests.get(self.base_url + "/health").json()


def passed_on(image_url: str):
    # ok: media-url-is-fetched
    return {"type": "image_url", "image_url": {"url": image_url}}


def sent_as_data(client, image_url: str):
    # ok: media-url-is-fetched
    return client.post("https://api.example.com/v1/chat", json={"image_url": image_url})


def size_of_checked_image(image_url: str):
    try:
        from security import validate_safe_url

        validate_safe_url(image_url)
    except ImportError:
        logger.warning("not checked")
    # ok: media-url-is-fetched
    return httpx.get(image_url).content
