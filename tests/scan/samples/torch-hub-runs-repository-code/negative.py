import torch


def pinned():
    # ok: torch-hub-runs-repository-code
    return torch.hub.load("someone/detector:3f2c9d1a7b5e8c04f6a1d2b3c4e5f60718293a4b", "small")


def local():
    # ok: torch-hub-runs-repository-code
    return torch.hub.load("vendor/detector", "small", source="local")


def weights():
    # ok: torch-hub-runs-repository-code
    return torch.hub.load_state_dict_from_url("https://example.com/weights.pth")


def passed_on(repository, name):
    # ok: torch-hub-runs-repository-code
    return torch.hub.load(repository, name)
