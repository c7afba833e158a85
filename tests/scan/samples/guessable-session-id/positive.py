import hashlib
import random
import string
import time
import uuid


class Sessions:
    def open(self) -> str:
        # ruleid: guessable-session-id
        session_id = str(random.randint(0, 999999))
        return session_id

    def key(self, user: str) -> str:
        # ruleid: guessable-session-id
        self.session_key = hashlib.md5(f"{user}{time.time()}".encode()).hexdigest()
        return self.session_key


def new_token() -> str:
    # ruleid: guessable-session-id
    access_token = "".join(random.choices(string.ascii_letters, k=32))
    return access_token


def connect() -> str:
    # ruleid: guessable-session-id
    mcp_session_id = str(uuid.uuid1())
    return mcp_session_id
