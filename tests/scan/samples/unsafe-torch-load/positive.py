import torch
from torch import load as load_weights


def restore(path):
    # ruleid: unsafe-torch-load
    weights = torch.load(path)
    # ruleid: unsafe-torch-load
    other = torch.load(path, map_location="cpu", weights_only=False)
    # ruleid: unsafe-torch-load
    return weights, other, load_weights(path)


def by_default(path, weights_only=False):
    # ruleid: unsafe-torch-load
    return torch.load(path, weights_only=weights_only)


def in_options(path):
    options = {"map_location": "cpu", "weights_only": False}
    # ruleid: unsafe-torch-load
    first = torch.load(path, **options)
    more = dict(weights_only=False)
    # ruleid: unsafe-torch-load
    return first, torch.load(path, **more)
