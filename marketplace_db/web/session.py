"""Who is signed in on the pages: a token in a cookie, and forms that only our own pages can send.

Rules this module keeps:
- the cookie is the token itself: no script reads it, no other site's request carries it, and it is
  worth nothing once the token has ended;
- a form carries a code made of that cookie, and a request that another site began is refused even
  with it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from datasette.utils.asgi import Request

from marketplace_db.accounts import Account
from marketplace_db.web.desk import Desk

__all__ = ["FORM_COOKIE", "TOKEN_COOKIE", "Session", "cookie", "read_form", "session_of"]

TOKEN_COOKIE = "tavo_session"  # noqa: S105  # a cookie's name
FORM_COOKIE = "tavo_form"
_COOKIE = re.compile(r"[A-Za-z0-9_-]{1,80}")
_MOST_FIELDS = 16


class Session(NamedTuple):
    """Who asks, if they are signed in, and what their forms carry; `secret` is their cookie."""

    account: Account | None
    secret: str

    @property
    def code(self) -> str:
        """Return what a form of this session carries."""
        return hmac.new(self.secret.encode(), b"tavo form", hashlib.sha256).hexdigest()

    def may(self, scope: str) -> bool:
        """Tell whether who asks has a token for something."""
        return self.account is not None and scope in self.account.scopes


def session_of(desk: Desk, request: Request) -> Session:
    """Return the session of a request; a new one, signed in by nobody, without a valid cookie."""
    token = request.cookies.get(TOKEN_COOKIE, "")
    if token:
        account = desk.accounts().authenticate(token, now=desk.clock())
        if account is not None:
            return Session(account=account, secret=token)
    given = request.cookies.get(FORM_COOKIE, "")
    return Session(
        account=None, secret=given if _COOKIE.fullmatch(given) else secrets.token_urlsafe(24)
    )


async def read_form(request: Request, session: Session) -> dict[str, str] | None:
    """Return the fields of a form that our own page sent, None for one that it did not."""
    headers = request.headers
    site, origin = headers.get("sec-fetch-site", ""), headers.get("origin", "")
    if site not in {"", "same-origin"}:
        return None
    own = urlsplit(origin).netloc.lower() == headers.get("host", "").lower()
    # Browsers say null where a page sends no referrer, as ours do; then they say where from, too.
    if origin and not own and not (origin == "null" and site == "same-origin"):
        return None
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        return None
    try:
        body = (await request.post_body()).decode("ascii")
        fields = dict(parse_qsl(body, keep_blank_values=True, max_num_fields=_MOST_FIELDS,
                                errors="strict"))  # fmt: skip
    except (UnicodeDecodeError, ValueError):
        return None
    code = fields.pop("code", "")
    if not code.isascii() or not hmac.compare_digest(code, session.code):
        return None
    return fields


def cookie(name: str, value: str, *, secure: bool, seconds: int | None) -> str:
    """Return a Set-Cookie header; 0 seconds deletes it, None keeps it until the browser ends."""
    age = "" if seconds is None else f"; Max-Age={seconds}"
    return f"{name}={value}; Path=/; HttpOnly; SameSite=Strict{age}{'; Secure' if secure else ''}"
