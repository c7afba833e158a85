"""What people and organisations say: reviews, installations, who they are."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from marketplace_db.ratings import Rating, UserReview
from marketplace_db.usage import InstallationRow
from marketplace_db.web.api import forms
from marketplace_db.web.api.plugins import full_id_of
from marketplace_db.web.api.problem import ProblemError
from marketplace_db.web.api.routes import Answer, Ask
from marketplace_db.web.desk import Desk
from marketplace_db.web.shelf import cursor_of, read_cursor

__all__ = [
    "account", "after_number", "chosen_version", "install", "installed", "moderate",
    "next_number", "review", "reviews", "waiting_reviews",
]  # fmt: skip


def account(desk: Desk, ask: Ask) -> Answer:
    """Say who a token speaks for."""
    who = ask.who
    return Answer(
        value=forms.AccountAnswer(
            user=who.user,
            organization=who.organization,
            scopes=sorted(who.scopes),
            namespaces=sorted(who.namespaces),
            expires_at=who.expires_at,
        )
    )


def reviews(desk: Desk, ask: Ask) -> Answer:
    """List the shown reviews of a plugin, the newest first."""
    query: forms.PageQuery = ask.query
    full_id = full_id_of(desk, ask)
    found = desk.ratings().published(
        full_id, before=after_number(query, "reviews"), limit=query.limit + 1
    )
    rating = desk.ratings().summary_of(full_id)
    return Answer(value=_page(found, query, rating, "reviews"))


def waiting_reviews(desk: Desk, ask: Ask) -> Answer:
    """List the reviews that wait to be read, the oldest first."""
    query: forms.PageQuery = ask.query
    found = desk.ratings().waiting(after=after_number(query, "queue") or 0, limit=query.limit + 1)
    return Answer(value=_page(found, query, Rating(reviews=0, total=0), "queue"))


def review(desk: Desk, ask: Ask) -> Answer:
    """Write or replace your review of a version; it is shown when an operator has read it."""
    body: forms.ReviewBody = ask.body
    full_id = full_id_of(desk, ask)
    written = desk.ratings().write(
        ask.who,
        full_id,
        chosen_version(desk, full_id, body.version),
        rating=body.rating,
        title=body.title,
        body=body.body,
        now=ask.now,
    )
    return Answer(value=_review(written))


def moderate(desk: Desk, ask: Ask) -> Answer:
    """Show a review, or hide it with a reason."""
    body: forms.ModerateBody = ask.body
    decided = desk.ratings().decide(
        ask.values["review"],
        shown=body.state == "published",
        reason=body.reason,
        by=ask.who.user,
        now=ask.now,
    )
    return Answer(value=_review(decided))


def install(desk: Desk, ask: Ask) -> Answer:
    """Tell that your organisation has installed a version; telling it twice counts once."""
    body: forms.InstallBody = ask.body
    full_id = full_id_of(desk, ask)
    row, _ = desk.usage().add_installation(
        ask.who.organization,
        full_id,
        chosen_version(desk, full_id, body.version),
        key=body.key,
        client_version=body.client_version,
        now=ask.now,
    )
    return Answer(value=_installation(row))


def installed(desk: Desk, ask: Ask) -> Answer:
    """List what your organisation told that it has installed, the oldest first."""
    query: forms.PageQuery = ask.query
    found = desk.usage().installations(
        ask.who.organization, after=after_number(query, "installed") or 0, limit=query.limit + 1
    )
    shown = found[: query.limit]
    return Answer(
        value=forms.Installations(
            installations=[_installation(one) for one in shown],
            next=next_number("installed", [one.number for one in shown], len(found)),
        )
    )


def after_number(query: forms.PageQuery, order: str) -> int | None:
    """Return the number behind which a list goes on, None at its beginning."""
    if query.cursor is UNSET:
        return None
    try:
        (number,) = read_cursor(order, query.cursor)
        if type(number) is not int or not 0 <= number < 1 << 62:
            raise ValueError("it was not made by this list")
    except ValueError as error:
        raise ProblemError(
            404, f"cursor: {error}", kind="cursor", hint="Begin without it."
        ) from None
    return number


def next_number(order: str, numbers: list[int], found: int) -> str | None:
    """Return the cursor behind the numbers of a page, None if no more was found than these."""
    return cursor_of(order, [numbers[-1]]) if numbers and found > len(numbers) else None


def chosen_version(desk: Desk, full_id: str, version: Any) -> str:
    """Return a version that was named, else the newest. Raises ProblemError where there is none."""
    newest = desk.edition.shelf.by_id[full_id].row.latest
    chosen = newest if version is UNSET else str(version)
    if chosen is None:
        raise ProblemError(404, f"every version of {full_id} was withdrawn", kind="unknown")
    return chosen


def _page(
    found: list[UserReview], query: forms.PageQuery, rating: Rating, order: str
) -> forms.Reviews:
    shown = found[: query.limit]
    return forms.Reviews(
        reviews=[_review(one) for one in shown],
        rating=rating.average,
        ratings=rating.reviews,
        next=next_number(order, [one.number for one in shown], len(found)),
    )


def _review(one: UserReview) -> forms.Review:
    return forms.Review(
        id=one.uuid,
        plugin=one.plugin,
        version=one.version,
        author=one.author,
        rating=one.rating,
        title=one.title,
        body=one.body,
        state=one.state,
        reason=one.reason,
        created_at=one.created_at,
        updated_at=one.updated_at,
    )


def _installation(row: InstallationRow) -> forms.Installation:
    return forms.Installation(
        id=row.uuid,
        plugin=row.plugin,
        version=row.version,
        client_version=row.client_version,
        installed_at=row.installed_at,
    )
