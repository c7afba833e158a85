import yaml


def card(path):
    with open(path) as file:
        # ruleid: full-loader-for-yaml
        return yaml.load(file, Loader=yaml.FullLoader)


def several(text):
    # ruleid: full-loader-for-yaml
    return list(yaml.load_all(text, Loader=yaml.FullLoader))


def short(text):
    # ruleid: full-loader-for-yaml
    return yaml.full_load(text)


def by_place(text):
    # ruleid: full-loader-for-yaml
    return yaml.load(text, yaml.FullLoader)
