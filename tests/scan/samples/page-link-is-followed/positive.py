import re
import urllib.request
from urllib.parse import urljoin

import requests
from bs4 import BeautifulSoup


def crawl(url: str):
    page = BeautifulSoup(requests.get(url).text, "html.parser")
    for link in page.find_all("a"):
        # ruleid: page-link-is-followed
        yield requests.get(link["href"]).text


def pictures(html, base):
    soup = BeautifulSoup(html, "lxml")
    for image in soup.find_all("img", src=True):
        address = urljoin(base, image.get("src"))
        # ruleid: page-link-is-followed
        urllib.request.urlretrieve(address, "picture.png")


class Loader:
    def links(self, html):
        return re.findall(r'href="([^"]+)"', html)

    def load(self, html):
        # ruleid: page-link-is-followed
        return [requests.get(link).text for link in self.links(html)]
