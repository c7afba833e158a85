import urllib.parse
from urllib.parse import quote


def address(url: str, values: dict) -> str:
    for name, value in values.items():
        # ok: path-parameter-unquoted
        url = url.replace("{" + name + "}", urllib.parse.quote(str(value), safe=""))
    return url


def prompt(template, values):
    for name, value in values.items():
        # ok: path-parameter-unquoted
        template = template.replace("{" + name + "}", value)
    return template


def build(path, name, value):
    # ok: path-parameter-unquoted
    path = path.replace("\\", "/")
    # ok: path-parameter-unquoted
    return path.replace(f"{{{name}}}", quote(value, safe=""))
