import urllib.parse
from urllib.parse import urlparse

ALLOWED = {"docs.example.com"}


def may_visit(url: str) -> bool:
    # ruleid: host-from-netloc
    return urlparse(url).netloc.split(":")[0] in ALLOWED


def may_follow(url: str) -> bool:
    parts = urllib.parse.urlsplit(url)
    domain = parts.netloc.lower()
    if ":" in domain:
        # ruleid: host-from-netloc
        domain = domain.split(":")[0]
    return any(domain == name or domain.endswith("." + name) for name in ALLOWED)
