import urllib.request

import requests
import torch


def classifier():
    # ok: model-from-http
    urllib.request.urlretrieve("https://models.example.com/classifier.pt", "classifier.pt")


def local():
    # ok: model-from-http
    return requests.get("http://localhost:8000/classifier.onnx", timeout=60).content


def loopback():
    # ok: model-from-http
    return requests.get("http://127.0.0.1:9000/classifier.onnx", timeout=60).content


def page():
    # ok: model-from-http
    return requests.get("http://example.com/index.html", timeout=60).text


def weights():
    # ok: model-from-http
    return torch.hub.load_state_dict_from_url("https://models.example.com/weights.pth", check_hash=True)
