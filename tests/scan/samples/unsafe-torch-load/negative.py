import torch
from safetensors.torch import load_file


def restore(path, options):
    # ok: unsafe-torch-load
    weights = torch.load(path, map_location="cpu", weights_only=True)
    # ok: unsafe-torch-load
    other = torch.load(path, **options)
    # ok: unsafe-torch-load
    return weights, other, load_file(path)


def unless_asked(path, weights_only=True, safe: bool = True):
    # ok: unsafe-torch-load
    first = torch.load(path, weights_only=weights_only)
    # ok: unsafe-torch-load
    return first, torch.load(path, weights_only=safe)


def in_options(path):
    options = {"map_location": "cpu", "weights_only": True}
    # ok: unsafe-torch-load
    return torch.load(path, **options)
