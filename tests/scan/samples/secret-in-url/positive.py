import os

import httpx
import requests

BASE = "https://models.example.com/v1"


def generate(model, body, api_key):
    # ruleid: secret-in-url
    return requests.post(f"{BASE}/models/{model}:generate?key={api_key}", json=body, timeout=60)


def search(query):
    url = "https://search.example.com/?q=" + query + "&api_key=" + os.environ["SEARCH_API_KEY"]
    # ruleid: secret-in-url
    return httpx.get(url).json()


class Client:
    def models(self):
        url = "{}/models?token={}".format(BASE, self.access_token)
        # ruleid: secret-in-url
        return requests.get(url, timeout=60).json()
