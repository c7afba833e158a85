import os
import urllib.parse
from urllib.parse import unquote


def artifact(path: str):
    if ".." in path:
        raise ValueError(path)
    # ruleid: path-decoded-after-check
    return (ROOT / urllib.parse.unquote(path)).read_bytes()


def validated(path):
    validate_path_is_safe(path)
    # ruleid: path-decoded-after-check
    return open(os.path.join(ROOT, unquote(path))).read()


def parts(name):
    if os.path.isabs(name) or ".." in name.split("/"):
        return None
    # ruleid: path-decoded-after-check
    name = unquote(name)
    return open(os.path.join(ROOT, name)).read()
