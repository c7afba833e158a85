import copyreg
import hmac
import json
import pickle

import numpy as np
from safetensors.numpy import load_file


def opted_in(data, allow_dangerous_deserialization=False):
    if not allow_dangerous_deserialization:
        raise ValueError("set allow_dangerous_deserialization to load this file")
    # ok: unsafe-model-deserialization
    return pickle.loads(data)


def signed(data, signature, expected):
    if not hmac.compare_digest(signature, expected):
        raise ValueError("wrong signature")
    # ok: unsafe-model-deserialization
    return pickle.loads(data)


def copy(model):
    # ok: unsafe-model-deserialization
    return pickle.loads(pickle.dumps(model))


def safe(path):
    # ok: unsafe-model-deserialization
    array = np.load("array.npy")
    # ok: unsafe-model-deserialization
    return json.load(open(path)), load_file(path), pickle.dumps(array)


def unless_asked(path, allow_pickle=False):
    # ok: unsafe-model-deserialization
    return np.load(path, allow_pickle=allow_pickle)


class Reader:
    def __init__(self, allow_pickle=False):
        self.allow_pickle = allow_pickle

    def read(self, stream):
        # ok: unsafe-model-deserialization
        return np.load(stream, allow_pickle=self.allow_pickle)


def in_options(path, **kwargs):
    # ok: unsafe-model-deserialization
    return np.load(path, **kwargs)


def asked_for(path, *, trusted=None, allow_pickle: bool = False):
    if trusted:
        return load_file(path)
    elif allow_pickle:
        # ok: unsafe-model-deserialization
        return pickle.load(open(path, "rb"))
    raise ValueError("allow_pickle is off")


def switched_on(path, *, allow_pickle: bool = False):
    if not allow_pickle:
        raise ValueError("say allow_pickle=True if you trust the file")
    with open(path, "rb") as file:
        # ok: unsafe-model-deserialization
        return pickle.load(file)
