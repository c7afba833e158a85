import xml.etree.ElementTree as ET

import defusedxml.ElementTree as DET
import requests


def papers(query: str):
    answer = requests.get("https://papers.example.com/api", params={"q": query}, timeout=10)
    # ok: fetched-xml-with-entities
    return DET.fromstring(answer.content)


def settings(path):
    # ok: fetched-xml-with-entities
    return ET.fromstring(path.read_text())
