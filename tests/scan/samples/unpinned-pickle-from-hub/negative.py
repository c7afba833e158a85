import joblib
import skops.io
import torch
from huggingface_hub import hf_hub_download
from safetensors.torch import load_file

TESTED_COMMIT = "3f2c9d1a7b5e8c04f6a1d2b3c4e5f60718293a4b"


def classifier():
    path = hf_hub_download("someone/model", "classifier.skops", revision=TESTED_COMMIT)
    # ok: unpinned-pickle-from-hub
    return skops.io.load(path, trusted=[])


def pinned():
    # ok: unpinned-pickle-from-hub
    return joblib.load(hf_hub_download("someone/model", "a.joblib", revision=TESTED_COMMIT))


def tensors():
    # ok: unpinned-pickle-from-hub
    return load_file(hf_hub_download("someone/model", "model.safetensors"))


def weights():
    path = hf_hub_download("someone/model", "pytorch_model.bin")
    # ok: unpinned-pickle-from-hub
    return torch.load(path, weights_only=True)


def local(path):
    # ok: unpinned-pickle-from-hub
    return joblib.load(path)
