import pickle

import cloudpickle
import dill
import joblib
import numpy as np
import pandas as pd


def recommender(path):
    with open(path, "rb") as file:
        # ruleid: unsafe-model-deserialization
        return pickle.load(file)


def index(data):
    # ruleid: unsafe-model-deserialization
    vectors, documents = pickle.loads(data)
    # ruleid: unsafe-model-deserialization
    model = joblib.load("model.joblib")
    # ruleid: unsafe-model-deserialization
    function = dill.loads(data)
    # ruleid: unsafe-model-deserialization
    other = cloudpickle.load(open("f", "rb"))
    # ruleid: unsafe-model-deserialization
    frame = pd.read_pickle("frame.pkl")
    # ruleid: unsafe-model-deserialization
    array = np.load("array.npy", allow_pickle=True)
    return vectors, documents, model, function, other, frame, array


def by_default(path, allow_pickle=True):
    # ruleid: unsafe-model-deserialization
    return np.load(path, allow_pickle=allow_pickle)


class Reader:
    def __init__(self, dtype=None, allow_pickle=True):
        self.dtype = dtype
        self.allow_pickle = allow_pickle

    def read(self, stream):
        # ruleid: unsafe-model-deserialization
        return np.load(stream, allow_pickle=self.allow_pickle)


def in_options(path):
    options = dict(mmap_mode="r", allow_pickle=True)
    # ruleid: unsafe-model-deserialization
    return np.load(path, **options)
