import os
import ssl

import aiohttp
import httpx
import requests
from openai import OpenAI


def client():
    # ok: tls-verification-off
    return OpenAI(http_client=httpx.Client(verify="company-ca.pem"))


def download(url):
    # ok: tls-verification-off
    return requests.get(url, stream=True, timeout=60)


def passed_on(url, verify=True):
    # ok: tls-verification-off
    return requests.get(url, verify=verify, timeout=60)


def bundle():
    # ok: tls-verification-off
    os.environ["REQUESTS_CA_BUNDLE"] = "company-ca.pem"


def connector():
    # ok: tls-verification-off
    return aiohttp.TCPConnector(ssl=ssl.create_default_context())


def token(jwt, text):
    # ok: tls-verification-off
    return jwt.decode(text, verify=False)
