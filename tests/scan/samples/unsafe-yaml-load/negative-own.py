from shop.formats import yaml


def own_module(text):
    # ok: unsafe-yaml-load
    return yaml.load(text)
