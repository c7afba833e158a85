import yaml
from ruamel.yaml import YAML
from yaml import Loader


def agent(path):
    with open(path) as file:
        # ruleid: unsafe-yaml-load
        return yaml.load(file, Loader=yaml.Loader)


def imported(path):
    with open(path) as file:
        # ruleid: unsafe-yaml-load
        return yaml.load(file, Loader=Loader)


def named(text):
    # ruleid: unsafe-yaml-load
    return yaml.unsafe_load(text)


def old(text):
    # ruleid: unsafe-yaml-load
    return yaml.load(text)


def ruamel(path):
    # ruleid: unsafe-yaml-load
    return YAML(typ="unsafe").load(path)
