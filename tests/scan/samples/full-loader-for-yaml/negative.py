import yaml

from tools import config


def card(path):
    with open(path) as file:
        # ok: full-loader-for-yaml
        return yaml.safe_load(file)


def by_name(text):
    # ok: full-loader-for-yaml
    return yaml.load(text, Loader=yaml.SafeLoader)


def fast(text):
    # ok: full-loader-for-yaml
    return yaml.load(text, Loader=yaml.CSafeLoader)


def own(text):
    # ok: full-loader-for-yaml
    return config.full_load(text)
