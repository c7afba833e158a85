import importlib
import json
from pathlib import Path

import hydra
import yaml
from omegaconf import OmegaConf


def build(path: str):
    config = json.loads(Path(path).read_text())
    # ruleid: config-names-code-to-run
    module = importlib.import_module(config["module"])
    return getattr(module, config["class"])(**config["arguments"])


def restore(checkpoint: str):
    config = OmegaConf.load(Path(checkpoint) / "config.yaml")
    # ruleid: config-names-code-to-run
    return hydra.utils.instantiate(config.model)


def deserialize_layer(config: dict):
    path, name = config["class_name"].rsplit(".", 1)
    # ruleid: config-names-code-to-run
    return getattr(importlib.import_module(path), name)(**config["config"])


def agent(path):
    with open(path) as file:
        spec = yaml.safe_load(file)
    # ruleid: config-names-code-to-run
    return __import__(spec["tool"]["module"])


def deserialize_function(config: dict):
    return _find(config["module"], config["name"])


def _find(module, name):
    if module.startswith("shop."):
        name = name.lower()
    # ruleid: config-names-code-to-run
    return getattr(importlib.import_module(module), name)
