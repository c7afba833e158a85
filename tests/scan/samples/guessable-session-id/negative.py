import random
import secrets
import time
import uuid


class Sessions:
    def open(self) -> str:
        # ok: guessable-session-id
        session_id = secrets.token_urlsafe(32)
        return session_id


def connect() -> str:
    # ok: guessable-session-id
    mcp_session_id = str(uuid.uuid4())
    return mcp_session_id


def pick(keys: list[str]) -> str:
    # ok: guessable-session-id
    seed = random.randint(0, 10)
    return keys[seed]


def started() -> float:
    # ok: guessable-session-id
    session_start = time.time()
    return session_start


def system_random() -> str:
    # ok: guessable-session-id
    access_token = "".join(secrets.choice("abc") for _ in range(32))
    return access_token
