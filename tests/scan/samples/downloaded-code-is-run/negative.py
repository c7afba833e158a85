import hashlib
import json
from pathlib import Path

import requests

PLUGIN_URL = "https://plugins.example.net/search.py"
REVIEWED = "0" * 64


def plugin() -> None:
    source = requests.get(PLUGIN_URL, timeout=10).content
    if hashlib.sha256(source).hexdigest() != REVIEWED:
        raise ValueError("not the reviewed one")
    # ok: downloaded-code-is-run
    exec(source)


def prices() -> dict:
    # ok: downloaded-code-is-run
    return json.loads(requests.get("https://shop.example.com/prices", timeout=10).text)


def keep() -> None:
    # ok: downloaded-code-is-run
    Path("sample.py").write_text(requests.get(PLUGIN_URL, timeout=10).text)


def own() -> None:
    # ok: downloaded-code-is-run
    exec(Path("tools/own.py").read_text())
