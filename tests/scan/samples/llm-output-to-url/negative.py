import requests
from urllib.parse import urlsplit

ALLOWED_HOSTS = {"docs.python.org"}
PAGES = {"python": "https://docs.python.org/3/"}


def checked(topic, llm):
    url = llm.invoke(topic).content
    parts = urlsplit(url)
    if parts.scheme != "https" or parts.hostname not in ALLOWED_HOSTS:
        raise ValueError(url)
    # ok: llm-output-to-url
    return requests.get(url, timeout=10).text


def table(topic, llm):
    choice = llm.invoke(topic).content
    # ok: llm-output-to-url
    return requests.get(PAGES[choice], timeout=10).text


def as_data(topic, llm):
    text = llm.invoke(topic).content
    # ok: llm-output-to-url
    return requests.post("https://example.org/notes", json={"text": text}, timeout=10)
