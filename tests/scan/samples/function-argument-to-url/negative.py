import urllib.parse

import requests


def load_page(url: str) -> str:
    check_public_url(url)
    # ok: function-argument-to-url
    return requests.get(url, timeout=10, allow_redirects=False).text


def load_document(url: str) -> str:
    if urllib.parse.urlsplit(url).hostname not in HOSTS:
        raise ValueError(url)
    # ok: function-argument-to-url
    return requests.get(url).text


def fetch_page(page: str) -> str:
    # ok: function-argument-to-url
    return requests.get(f"https://docs.example.com/{page}").text


def send(url, message):
    # ok: function-argument-to-url
    return requests.post(url, json=message)


def load_settings(path):
    # ok: function-argument-to-url
    return requests.get("https://example.com/settings", params={"path": path}).json()
