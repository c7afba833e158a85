import torch


def detector():
    # ruleid: torch-hub-runs-repository-code
    return torch.hub.load("someone/detector", "small")


def trusted():
    # ruleid: torch-hub-runs-repository-code
    return torch.hub.load("someone/detector", "small", trust_repo=True, force_reload=True)


def branch():
    # ruleid: torch-hub-runs-repository-code
    return torch.hub.load(repo_or_dir="someone/detector:main", model="small") or torch.hub.load("someone/detector:main", "small")
