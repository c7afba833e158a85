import urllib.parse
from urllib.parse import unquote


def artifact(path: str):
    # ok: path-decoded-after-check
    file = (ROOT / urllib.parse.unquote(path)).resolve()
    if not file.is_relative_to(ROOT):
        raise ValueError(path)
    return file.read_bytes()


def decoded_first(path):
    # ok: path-decoded-after-check
    path = unquote(path)
    if ".." in path:
        raise ValueError(path)
    return (ROOT / path).read_bytes()


def another(path, query):
    if ".." in path:
        raise ValueError(path)
    # ok: path-decoded-after-check
    return path, unquote(query)


def text(title):
    # ok: path-decoded-after-check
    return unquote(title)
