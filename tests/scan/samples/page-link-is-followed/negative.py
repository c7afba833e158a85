import urllib.parse

import requests
from bs4 import BeautifulSoup

HOSTS = {"docs.example.com"}


def crawl(url: str):
    page = BeautifulSoup(requests.get(url).text, "html.parser")
    for link in page.find_all("a"):
        if urllib.parse.urlsplit(link["href"]).hostname in HOSTS:
            # ok: page-link-is-followed
            yield requests.get(link["href"], allow_redirects=False).text


def checked(page):
    for link in page.find_all("a"):
        address = link["href"]
        assert_public_url(address)
        # ok: page-link-is-followed
        yield requests.get(address).text


def titles(page):
    for heading in page.find_all("h2"):
        # ok: page-link-is-followed
        yield requests.get("https://docs.example.com/search", params={"q": heading.text})


def listed(page):
    # ok: page-link-is-followed
    return [link["href"] for link in page.find_all("a")]
