import urllib.request

import requests
import tensorflow as tf
import torch

WEIGHTS = "http://models.example.com/weights.pth"


def classifier():
    # ruleid: model-from-http
    urllib.request.urlretrieve("http://models.example.com/classifier.pt", "classifier.pt")


def constant():
    # ruleid: model-from-http
    return torch.hub.load_state_dict_from_url(WEIGHTS)


def archive():
    # ruleid: model-from-http
    return requests.get("http://data.example.com/corpus.tar.gz", timeout=60).content


def keras():
    # ruleid: model-from-http
    return tf.keras.utils.get_file("net.h5", origin="http://files.example.com/net.h5")
