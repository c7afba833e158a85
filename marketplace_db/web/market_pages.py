"""The pages of a served marketplace: home with facets, plugins, publishers, the queue, an account.

Rules this module keeps:
- every page works without a script and without a cookie; what a cookie adds is what its token may;
- a form changes something only if our own page sent it, and its answer is a redirect;
- what an operator sees is behind their token; reviewers still sign with their own keys elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import urlencode

import msgspec
from datasette import Response
from datasette.utils.asgi import Request
from markupsafe import Markup

from marketplace_db.archive import ArchiveLimits, read_archive
from marketplace_db.errors import MarketplaceError, PackageError
from marketplace_db.manifest import PLUGIN_TYPES
from marketplace_db.ratings import LONGEST_BODY, LONGEST_TITLE, Rating
from marketplace_db.scores import SCORES_NAME, Score, read_scores
from marketplace_db.web.api import forms
from marketplace_db.web.api.plugins import advisory_rows, question_of
from marketplace_db.web.chart import downloads_chart
from marketplace_db.web.desk import Desk
from marketplace_db.web.markdown import LONGEST, render
from marketplace_db.web.session import (
    FORM_COOKIE,
    TOKEN_COOKIE,
    Session,
    cookie,
    read_form,
    session_of,
)
from marketplace_db.web.shelf import SORTS, Question, cursor_of, read_cursor
from signing.digests import Digest
from signing.errors import SigningError
from signing.roles import blob_path, format_time, parse_time

__all__ = ["MarketPages", "more_about", "readme_of"]

_ON_A_PAGE = 24
_QUEUE = 50
_CHART_DAYS = 90
_LIMITS = ArchiveLimits(archive_bytes=64 << 20, entries=2000, total_bytes=256 << 20)
_SORT_NAMES = {
    "relevance": "Relevance", "name": "Name", "updated": "Newest", "rating": "Best rated",
    "downloads": "Most downloaded",
}  # fmt: skip
_PERMISSIONS = {
    "network": "the network", "files": "the project's files", "env": "environment variables",
    "subprocess": "other programs", "native_code": "compiled code", "target": "the tested target",
}  # fmt: skip

Page = Callable[..., Any]


class MarketPages:
    """The pages over one desk. `page` renders a template, `ask` does something on a thread."""

    def __init__(self, desk: Desk, page: Page, ask: Page) -> None:
        self.desk = desk
        self._page = page
        self._ask = ask

    async def _render(
        self, request: Request, template: str, values: dict[str, Any], session: Session,
        *, status: int = 200,
    ) -> Response:  # fmt: skip
        known = {"market": True, "session": session, "account": session.account}
        response = await self._page(request, template, {**known, **values}, status=status)
        known_cookie = session.account or request.cookies.get(FORM_COOKIE) == session.secret
        if "code" in values and not known_cookie:
            header = cookie(FORM_COOKIE, session.secret, secure=_secure(request), seconds=None)
            response.headers["set-cookie"] = header
        response.headers["cache-control"] = "private, no-store"
        return response

    async def _session(self, request: Request) -> Session:
        found: Session = await self._ask(lambda: session_of(self.desk, request))
        return found

    async def home(self, request: Request) -> Response:
        """Search with facets; the filters are those of the API."""
        session = await self._session(request)
        args = {name: request.args.get(name) or "" for name in (*_FILTERS, "q", "sort", "cursor")}
        problem = ""
        try:
            query = msgspec.convert(
                {name: value for name, value in args.items() if value}, forms.ListQuery,
                strict=False,
            )  # fmt: skip
            question = question_of(query)
            after = read_cursor(question.sort, args["cursor"]) if args["cursor"] else None
            page, facets = await self._ask(lambda: self._look(question, after))
        except (msgspec.ValidationError, ValueError):
            problem = "This is no search that can be answered: begin anew."
            question, args = Question(), dict.fromkeys(args, "")
            page, facets = await self._ask(lambda: self._look(Question(), None))
        here = {name: value for name, value in args.items() if value and name != "cursor"}
        more = None
        if page.next is not None:
            more = "/?" + urlencode({**here, "cursor": cursor_of(question.sort, page.next)})
        values = {
            "items": page.items, "total": page.total, "more": more, "facets": facets,
            "args": args, "here": here, "problem": problem, "standing": self.desk.standing,
            "no_rating": Rating(reviews=0, total=0), "sorts": [(s, _SORT_NAMES[s]) for s in SORTS],
            "types": PLUGIN_TYPES, "permissions": _PERMISSIONS,
            "link": lambda name, value: "/?" + urlencode({**here, name: value}),
            "without": lambda name: "/?" + urlencode({k: v for k, v in here.items() if k != name}),
        }  # fmt: skip
        return await self._render(
            request, "tavo_market.html", values, session, status=400 if problem else 200
        )

    def _look(self, question: Question, after: list[Any] | None) -> Any:
        shelf, standing = self.desk.edition.shelf, self.desk.standing
        page = shelf.page(question, standing, after=after, limit=_ON_A_PAGE)
        return page, shelf.facets(shelf.matching(question, standing))

    async def publisher(self, request: Request) -> Response:
        """Show a namespace and its plugins."""
        session = await self._session(request)
        name = request.url_vars["publisher"]

        def look() -> Any:
            shelf = self.desk.edition.shelf
            return (
                self.desk.market().publisher(name),
                shelf.matching(Question(publisher=name), self.desk.standing),
                self.desk.edition.publishers.namespaces.get(name),
            )

        row, items, namespace = await self._ask(look)
        if row is None or namespace is None:
            return await self._nothing(request, session, f"There is no publisher {name}.")
        values = {
            "name": name, "publisher": row, "items": items, "namespace": namespace,
            "standing": self.desk.standing, "no_rating": Rating(reviews=0, total=0),
        }  # fmt: skip
        return await self._render(request, "tavo_publisher.html", values, session)

    async def advisories(self, request: Request) -> Response:
        """List what was withdrawn or recalled."""
        session = await self._session(request)
        rows = await self._ask(lambda: list(advisory_rows(self.desk)))
        return await self._render(request, "tavo_advisories.html", {"rows": rows}, session)

    async def queue(self, request: Request) -> Response:
        """Show operators what waits: submissions with their checks, and reviews."""
        session = await self._session(request)
        if not session.may("operate"):
            return await self._sign_in_first(request, session, "The queue is for operators.")

        def look() -> Any:
            market = self.desk.market()
            waiting = [one for _, one in market.handed_in(None, before=None, limit=_QUEUE)
                       if one.state == "submitted"]  # fmt: skip
            return (
                [(one, list(market.latest_checks(one.uuid).values())) for one in waiting],
                self.desk.ratings().waiting(after=0, limit=_QUEUE),
            )

        submissions, reviews = await self._ask(look)
        values = {"submissions": submissions, "reviews": reviews, "code": session.code}
        return await self._render(request, "tavo_queue.html", values, session)

    async def moderate(self, request: Request) -> Response:
        """Show or hide a review."""
        session = await self._session(request)
        fields = await read_form(request, session)
        account = session.account
        if fields is None or account is None or not session.may("operate"):
            return await self._foreign(request, session)
        review, reason = fields.get("review", ""), fields.get("reason", "")
        shown = fields.get("state") == "published"
        try:
            await self._ask(
                lambda: self.desk.ratings().decide(
                    review, shown=shown, reason=reason, by=account.user, now=self.desk.clock()
                )
            )
        except MarketplaceError as error:
            return await self._nothing(request, session, str(error), status=409)
        return _to("/queue")

    async def review(self, request: Request) -> Response:
        """Write a review."""
        session = await self._session(request)
        fields = await read_form(request, session)
        account = session.account
        full_id = f"{request.url_vars['publisher']}/{request.url_vars['name']}"
        if fields is None or account is None or not session.may("review"):
            return await self._foreign(request, session)
        rating = fields.get("rating", "")
        if rating not in {"1", "2", "3", "4", "5"}:
            return await self._nothing(request, session, "A rating is 1 to 5.", status=400)
        try:
            await self._ask(
                lambda: self.desk.ratings().write(
                    account, full_id, fields.get("version", ""), rating=int(rating),
                    title=fields.get("title", ""), body=fields.get("body", ""),
                    now=self.desk.clock(),
                )
            )  # fmt: skip
        except MarketplaceError as error:
            return await self._nothing(request, session, str(error), status=409)
        return _to(f"/plugins/{full_id}#reviews")

    async def account(self, request: Request) -> Response:
        """Sign in, or say who is signed in and what they handed in."""
        session = await self._session(request)
        found = session.account
        submissions = []
        if found is not None:
            submissions = await self._ask(
                lambda: self.desk.market().handed_in(found.organization, before=None, limit=_QUEUE)
            )
        values = {"code": session.code, "submissions": [one for _, one in submissions],
                  "problem": ""}  # fmt: skip
        return await self._render(request, "tavo_account.html", values, session)

    async def sign_in(self, request: Request) -> Response:
        """Put a pasted token into a cookie."""
        session = await self._session(request)
        fields = await read_form(request, session)
        if fields is None:
            return await self._foreign(request, session)
        token = fields.get("token", "").strip()
        now = self.desk.clock()
        found = await self._ask(lambda: self.desk.accounts().authenticate(token, now=now))
        if found is None:
            values = {"code": session.code, "submissions": [],
                      "problem": "This token is unknown, over or revoked."}  # fmt: skip
            return await self._render(request, "tavo_account.html", values, session, status=403)
        left = int((parse_time(found.expires_at) - now) / timedelta(seconds=1))
        response = _to("/account")
        response.headers["set-cookie"] = cookie(
            TOKEN_COOKIE, token, secure=_secure(request), seconds=min(left, 30 * 86400)
        )
        return response

    async def sign_out(self, request: Request) -> Response:
        """Forget the cookie; the token stays valid."""
        session = await self._session(request)
        if await read_form(request, session) is None:
            return await self._foreign(request, session)
        response = _to("/account")
        response.headers["set-cookie"] = cookie(
            TOKEN_COOKIE, "", secure=_secure(request), seconds=0
        )
        return response

    async def _foreign(self, request: Request, session: Session) -> Response:
        text = "No page of ours sent this form, or your token has ended. Nothing was done."
        return await self._nothing(request, session, text, status=403)

    async def _sign_in_first(self, request: Request, session: Session, text: str) -> Response:
        status = 403 if session.account else 401
        return await self._nothing(request, session, f"{text} Sign in with such a token.",
                                   status=status)  # fmt: skip

    async def _nothing(
        self, request: Request, session: Session, problem: str, *, status: int = 404
    ) -> Response:
        title = "There is nothing here" if status == 404 else "This was not done"
        values = {"title": title, "problem": problem}
        return await self._render(request, "tavo_problem.html", values, session, status=status)


_FILTERS = ("type", "category", "tag", "pricing_tier", "permission", "without", "license",
            "publisher", "verified", "min_rating")  # fmt: skip


def more_about(desk: Desk, full_id: str, version: str, package: Digest) -> dict[str, Any]:
    """Return what the page of a plugin has here and a catalog alone has not."""
    now = desk.clock()
    since = format_time(now - timedelta(days=_CHART_DAYS - 1))[:10]
    days = desk.usage().by_day(full_id, since=since)
    recalled = desk.edition.publishers.recalls.packages.get(package)
    return {
        "readme": readme_of(desk, package),
        "scores": scores_of(desk, package),
        "rating": desk.ratings().summary_of(full_id),
        "reviews": desk.ratings().published(full_id, before=None, limit=20),
        "downloads": desk.standing.downloads.get(full_id, 0),
        "chart": Markup(downloads_chart(days, now.date(), _CHART_DAYS)) if days else None,  # noqa: S704
        "together": desk.usage().installed_together(full_id),
        "checks": desk.market().checks_of_release(full_id, version),
        "recalled": recalled,
        "longest": (LONGEST_TITLE, LONGEST_BODY),
    }


def readme_of(desk: Desk, package: Digest) -> Markup | None:
    """Return the README of a package as HTML, None where there is none to show."""
    return _shown(desk.repository / blob_path(package), package).readme


def scores_of(desk: Desk, package: Digest) -> tuple[Score, ...]:
    """Return what a package's publisher measured on data held out, none where there is none."""
    return _shown(desk.repository / blob_path(package), package).scores


class _Shown(NamedTuple):
    """What a page shows of a package's files."""

    readme: Markup | None = None
    scores: tuple[Score, ...] = ()


@lru_cache(maxsize=256)
def _shown(path: Any, package: Digest) -> _Shown:
    try:
        data = path.read_bytes()
        if Digest.of(data) != package:
            return _Shown()
        archive = read_archive(data, label="package", limits=_LIMITS, canonical=True)
        files = {
            one.name: archive.read(one)
            for one in archive.entries
            if one.name in {"README.md", SCORES_NAME}
        }
    except (OSError, PackageError, SigningError):
        return _Shown()
    text = files.get("README.md")
    readme = None
    if text is not None:
        html = render(text[: LONGEST * 4].decode("utf-8", "replace"))
        readme = Markup(html)  # noqa: S704  # `render` escapes every character
    return _Shown(readme=readme, scores=read_scores(files.get(SCORES_NAME, b"")))


def _secure(request: Request) -> bool:
    return bool(request.scheme == "https" or request.headers.get("x-forwarded-proto") == "https")


def _to(place: str) -> Response:
    return Response("", status=303, headers={"location": place, "cache-control": "no-store"})
