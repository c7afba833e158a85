import os
import ssl

import aiohttp
import httpx
import litellm
import requests
from openai import OpenAI


def client():
    # ruleid: tls-verification-off
    return OpenAI(http_client=httpx.Client(verify=False))


def download(url):
    # ruleid: tls-verification-off
    return requests.get(url, stream=True, verify=False, timeout=60)


def everywhere():
    # ruleid: tls-verification-off
    os.environ["CURL_CA_BUNDLE"] = ""
    # ruleid: tls-verification-off
    litellm.ssl_verify = False
    # ruleid: tls-verification-off
    ssl._create_default_https_context = ssl._create_unverified_context


def connector():
    # ruleid: tls-verification-off
    return aiohttp.TCPConnector(ssl=False)


def session():
    session = requests.Session()
    # ruleid: tls-verification-off
    session.verify = False
    return session
