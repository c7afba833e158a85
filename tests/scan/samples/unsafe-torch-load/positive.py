import torch
from torch import load as load_weights


def restore(path):
    # ruleid: unsafe-torch-load
    weights = torch.load(path)
    # ruleid: unsafe-torch-load
    other = torch.load(path, map_location="cpu", weights_only=False)
    # ruleid: unsafe-torch-load
    return weights, other, load_weights(path)
