import httpx
import requests


def load(url: str) -> str:
    check_public_url(url)
    # ok: checked-url-follows-redirects
    return requests.get(url, timeout=10, allow_redirects=False).text


def not_checked(url: str) -> str:
    # ok: checked-url-follows-redirects
    return requests.get(url).text


async def image(url):
    assert_public_url(url)
    # ok: checked-url-follows-redirects
    return httpx.get(url).content


def other(url, name):
    check_public_name(name)
    # ok: checked-url-follows-redirects
    return requests.get(url)


def format_only(url):
    log_url(url)
    # ok: checked-url-follows-redirects
    return requests.get(url)
