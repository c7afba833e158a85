import io
import pickle
import urllib.request

import cloudpickle
import requests
import torch
import zmq
from fastapi import FastAPI, Request

app = FastAPI()
context = zmq.Context()


def worker(port):
    socket = context.socket(zmq.PULL)
    socket.bind(f"tcp://*:{port}")
    while True:
        # ruleid: network-data-is-unpickled
        task = socket.recv_pyobj()
        task.run()


class Broadcast:
    def receive(self):
        frames = self.remote_socket.recv_multipart()
        # ruleid: network-data-is-unpickled
        return pickle.loads(frames[0])


@app.post("/generate")
async def generate(request: Request):
    body = await request.body()
    # ruleid: network-data-is-unpickled
    return cloudpickle.loads(body)


def weights(url):
    response = requests.get(url, timeout=60)
    # ruleid: network-data-is-unpickled
    return torch.load(io.BytesIO(response.content))


def index(url):
    with urllib.request.urlopen(url) as answer:
        # ruleid: network-data-is-unpickled
        return pickle.loads(answer.read())


class Servicer:
    def Execute(self, request, context):
        # ruleid: network-data-is-unpickled
        return pickle.loads(request.payload)
