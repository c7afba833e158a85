import importlib
import json
from pathlib import Path

import hydra
import yaml

LAYERS = {"Dense": dict}
MODULES = {"dense": "shop.layers.dense"}
ALLOWED_MODULES = {"shop.tools"}


def build(path: str):
    config = json.loads(Path(path).read_text())
    # ok: config-names-code-to-run
    return LAYERS[config["class"]](**config["arguments"])


def known(path: str):
    config = json.loads(Path(path).read_text())
    # ok: config-names-code-to-run
    return importlib.import_module(MODULES[config["class"]])


def deserialize_layer(config: dict):
    module = config["module"]
    if not module.startswith("shop.layers."):
        raise ValueError(module)
    # ok: config-names-code-to-run
    return importlib.import_module(module)


def agent(path):
    with open(path) as file:
        name = yaml.safe_load(file)["tool"]
    if name not in ALLOWED_MODULES:
        raise ValueError(name)
    # ok: config-names-code-to-run
    return importlib.import_module(name)


def lazy(name):
    # ok: config-names-code-to-run
    return importlib.import_module(name)


def composed(cfg):
    # ok: config-names-code-to-run
    return hydra.utils.instantiate(cfg.model)


def from_config(config: dict):
    package = config["module"].split(".", maxsplit=1)[0]
    if package in {"shop", "shop_tools"}:
        # ok: config-names-code-to-run
        return importlib.import_module(config["module"])
    raise ValueError(package)
