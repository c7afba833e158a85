import urllib.request
import xml.etree.ElementTree as ET
from xml.dom import minidom

import requests


def papers(query: str):
    answer = requests.get("https://papers.example.com/api", params={"q": query}, timeout=10)
    # ruleid: fetched-xml-with-entities
    return ET.fromstring(answer.content)


class SitemapReader:
    def _load(self, url: str) -> bytes:
        answer = urllib.request.urlopen(url)
        return answer.read()

    def _parse(self, text: bytes) -> list:
        # ruleid: fetched-xml-with-entities
        return list(minidom.parseString(text).childNodes)

    def load_data(self, url: str) -> list:
        return self._parse(self._load(url))
