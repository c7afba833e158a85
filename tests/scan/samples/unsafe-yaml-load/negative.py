import yaml
from ruamel.yaml import YAML


class PromptLoader(yaml.SafeLoader):
    """A safe loader with a tag for prompts."""


def agent(path):
    with open(path) as file:
        # ok: unsafe-yaml-load
        return yaml.safe_load(file)


def named(text):
    # ok: unsafe-yaml-load
    return yaml.load(text, Loader=yaml.SafeLoader)


def own(text):
    # ok: unsafe-yaml-load
    return yaml.load(text, Loader=PromptLoader)


def fast(text):
    # ok: unsafe-yaml-load
    return yaml.load(text, Loader=yaml.CSafeLoader)


def ruamel(path):
    # ok: unsafe-yaml-load
    return YAML(typ="safe").load(path)
