import torch
from safetensors.torch import load_file


def restore(path, options):
    # ok: unsafe-torch-load
    weights = torch.load(path, map_location="cpu", weights_only=True)
    # ok: unsafe-torch-load
    other = torch.load(path, **options)
    # ok: unsafe-torch-load
    return weights, other, load_file(path)
