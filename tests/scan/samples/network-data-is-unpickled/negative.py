import hashlib
import io
import json
import pickle

import msgspec
import requests
import torch
import zmq

context = zmq.Context()


def worker(port):
    socket = context.socket(zmq.PULL)
    while True:
        # ok: network-data-is-unpickled
        yield msgspec.msgpack.decode(socket.recv())


def weights(url):
    response = requests.get(url, timeout=60)
    # ok: network-data-is-unpickled
    return torch.load(io.BytesIO(response.content), weights_only=True)


def index(url, expected):
    data = requests.get(url, timeout=60).content
    if hashlib.sha256(data).hexdigest() != expected:
        raise ValueError("another file than the published one")
    # ok: network-data-is-unpickled
    return pickle.loads(data)


def local(path):
    with open(path, "rb") as file:
        # ok: network-data-is-unpickled
        return pickle.load(file)


def settings(url):
    # ok: network-data-is-unpickled
    return json.loads(requests.get(url, timeout=60).text)
