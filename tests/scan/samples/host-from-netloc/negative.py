import urllib.parse
from urllib.parse import urlparse

ALLOWED = {"docs.example.com"}


def may_visit(url: str) -> bool:
    # ok: host-from-netloc
    return urlparse(url).hostname in ALLOWED


def label(url: str) -> str:
    # ok: host-from-netloc
    return urllib.parse.urlsplit(url).netloc


def may_follow(url: str) -> bool:
    host = urlparse(url).netloc
    if "@" in host:
        return False
    # ok: host-from-netloc
    return host.split(":")[0] in ALLOWED
