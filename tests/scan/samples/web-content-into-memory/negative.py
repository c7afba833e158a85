import requests
from mem0 import Memory

memory = Memory()
seen = set()


def tell(message: str, user: str) -> None:
    # ok: web-content-into-memory
    memory.add(message, user_id=user)


def learn(url: str) -> None:
    page = requests.get(url, timeout=10).text
    # ok: web-content-into-memory
    documents.add_page(page, source=url)


def screened(url: str, user: str) -> None:
    page = requests.get(url, timeout=10).text
    # ok: web-content-into-memory
    memory.add(sanitize_text(page), user_id=user)


def count(url: str, user: str) -> None:
    response = requests.get(url, timeout=10)
    # ok: web-content-into-memory
    memory.add(response.status_code, user_id=user)
    # ok: web-content-into-memory
    seen.add(response.text)
