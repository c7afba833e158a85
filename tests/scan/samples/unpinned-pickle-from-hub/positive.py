import os
import pickle

import joblib
import torch
from huggingface_hub import hf_hub_download, snapshot_download


def classifier():
    path = hf_hub_download("someone/model", "classifier.joblib")
    # ruleid: unpinned-pickle-from-hub
    return joblib.load(path)


def vectors():
    folder = snapshot_download(repo_id="someone/model")
    with open(os.path.join(folder, "vectors.pkl"), "rb") as file:
        # ruleid: unpinned-pickle-from-hub
        return pickle.load(file)


def weights():
    # ruleid: unpinned-pickle-from-hub
    return torch.load(hf_hub_download(repo_id="someone/model", filename="pytorch_model.bin"))
