import importlib.util
import subprocess
import urllib.request
from pathlib import Path

import httpx
import requests

PLUGIN_URL = "https://plugins.example.net/search.py"


def plugin() -> None:
    # ruleid: downloaded-code-is-run
    exec(requests.get(PLUGIN_URL, timeout=10).text)


def setup() -> None:
    script = urllib.request.urlopen("https://plugins.example.net/setup").read().decode()
    # ruleid: downloaded-code-is-run
    subprocess.run(script, shell=True, check=True)


def tool(name: str) -> object:
    source = httpx.get(f"https://plugins.example.net/{name}").text
    # ruleid: downloaded-code-is-run
    Path("tools/loaded.py").write_text(source)
    return importlib.util.spec_from_file_location(name, "tools/loaded.py")
