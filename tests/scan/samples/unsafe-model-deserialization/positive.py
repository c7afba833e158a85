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
