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
