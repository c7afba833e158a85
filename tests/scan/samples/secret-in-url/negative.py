import os

import httpx
import requests

BASE = "https://models.example.com/v1"


def generate(model, body, api_key):
    headers = {"x-goog-api-key": api_key}
    # ok: secret-in-url
    return requests.post(f"{BASE}/models/{model}:generate", json=body, headers=headers, timeout=60)


def search(query):
    base = os.environ["SEARCH_URL"]
    # ok: secret-in-url
    return httpx.get(f"{base}/?q={query}").json()


class Client:
    def models(self):
        # ok: secret-in-url
        return requests.get(f"{BASE}/models", headers={"Authorization": self.access_token}, timeout=60)


def job(client, api_key):
    number = client(api_key).start()
    # ok: secret-in-url
    return requests.get(f"{BASE}/jobs/{number}", timeout=60)
