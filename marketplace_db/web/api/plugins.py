"""What is asked about plugins: lists, one plugin, its publisher, its package, what is withdrawn."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import UNSET

from marketplace_db.acceptance import recall_of
from marketplace_db.catalog import ReleaseRow
from marketplace_db.errors import NotInCatalogError
from marketplace_db.permissions import danger_sentences, permission_sentences
from marketplace_db.ratings import Rating
from marketplace_db.web.api import forms
from marketplace_db.web.api.problem import ProblemError
from marketplace_db.web.api.routes import Answer, Ask
from marketplace_db.web.desk import Desk
from marketplace_db.web.shelf import Item, Question, cursor_of, read_cursor
from signing.roles import blob_path

__all__ = [
    "advisories", "advisory_rows", "download", "full_id_of", "marketplace", "plugin", "publisher",
    "question_of", "summary", "taken_back",
]  # fmt: skip

_SHOWN_VERSIONS = 20


def question_of(query: forms.ListQuery) -> Question:
    """Return what a query asks of the shelf."""
    values = {
        name: value
        for name in Question._fields
        if (value := getattr(query, "q" if name == "text" else name)) is not UNSET
    }
    return Question(**values)


def marketplace(desk: Desk, ask: Ask) -> Answer:
    """List and search plugins."""
    query: forms.ListQuery = ask.query
    edition, standing = desk.edition, desk.standing
    try:
        after = read_cursor(query.sort, query.cursor) if query.cursor is not UNSET else None
        page = edition.shelf.page(question_of(query), standing, after=after, limit=query.limit)
    except ValueError as error:
        raise ProblemError(
            404, f"cursor: {error}", kind="cursor", hint="Begin without it."
        ) from None
    return Answer(
        value=forms.Listing(
            total=page.total,
            plugins=[summary(desk, item) for item in page.items],
            next=None if page.next is None else cursor_of(query.sort, page.next),
            catalog=edition.verified.digest.hex,
        )
    )


def summary(desk: Desk, item: Item) -> forms.PluginSummary:
    """Return a plugin as lists show it."""
    row = item.row
    rating = desk.standing.ratings.get(row.full_id, Rating(reviews=0, total=0))
    return forms.PluginSummary(
        id=row.full_id,
        uuid=row.uuid,
        name=row.name,
        description=row.description,
        type=row.plugin_type,
        publisher=row.publisher,
        verified=row.official,
        license=row.license,
        pricing_tier=row.pricing_tier,
        categories=row.categories,
        tags=row.tags,
        permissions=tuple(sorted(item.permissions)),
        version=row.latest,
        updated_at=row.updated_at,
        rating=rating.average,
        ratings=rating.reviews,
        downloads=desk.standing.downloads.get(row.full_id, 0),
    )


def full_id_of(desk: Desk, ask: Ask) -> str:
    """Return the full id that an address names, also by UUID. Raises a problem for no plugin."""
    name = ask.values["id"]
    shelf = desk.edition.shelf
    full_id = name if "/" in name else shelf.full_id_of.get(name, "")
    if full_id not in shelf.by_id:
        raise ProblemError(404, f"there is no plugin {name!r}", kind="unknown")
    return full_id


def plugin(desk: Desk, ask: Ask) -> Answer:
    """Show one plugin."""
    full_id = full_id_of(desk, ask)
    item = desk.edition.shelf.by_id[full_id]
    releases = desk.catalog().versions(full_id)
    chosen = next((one for one in releases if one.version == item.row.latest), releases[0])
    manifest = chosen.parsed_manifest()
    can, cannot = permission_sentences(manifest)
    return Answer(
        value=forms.Plugin(
            plugin=summary(desk, item),
            author=item.row.author,
            permissions=forms.Permissions(
                can=list(can), cannot=list(cannot), danger=list(danger_sentences(manifest))
            ),
            versions=[_released(one) for one in releases[:_SHOWN_VERSIONS]],
            versions_total=len(releases),
            also_installed=[
                forms.AlsoInstalled(id=name, organizations=count)
                for name, count in desk.usage().installed_together(full_id)
            ],
            catalog=desk.edition.verified.digest.hex,
        )
    )


def publisher(desk: Desk, ask: Ask) -> Answer:
    """Show a publisher."""
    name = ask.values["publisher"]
    items = desk.edition.shelf.matching(Question(publisher=name), desk.standing)
    row = desk.market().publisher(name)
    if row is None or not (items or name in desk.edition.publishers.namespaces):
        raise ProblemError(404, f"there is no publisher {name!r}", kind="unknown")
    return Answer(
        value=forms.Publisher(
            name=name,
            display_name=row.display_name,
            url=row.url,
            verified=row.official,
            plugins=[summary(desk, item) for item in items],
        )
    )


def download(desk: Desk, ask: Ask) -> Answer:
    """Send the package of a release; who installs it verifies it against the signed catalog."""
    query: forms.VersionQuery = ask.query
    full_id = full_id_of(desk, ask)
    version = None if query.version is UNSET else query.version
    try:
        release = desk.catalog().release(full_id, version)
    except NotInCatalogError as error:
        raise ProblemError(404, str(error), kind="unknown") from None
    if reason := taken_back(desk, release):
        raise ProblemError(409, f"{full_id} {release.version}: {reason}", kind="withdrawn")
    file = desk.repository / blob_path(release.package)
    if not file.is_file():
        raise ProblemError(
            404, f"{full_id} {release.version}: its package is not here", kind="unknown"
        )
    desk.count_download(release.package)
    name = f"{full_id.replace('/', '-')}-{release.version}.zip"
    return Answer(
        file=file,
        content_type="application/zip",
        headers={
            "etag": f'"{release.package.hex}"',
            "content-disposition": f'attachment; filename="{name}"',
        },
    )


def advisories(desk: Desk, ask: Ask) -> Answer:
    """List what was withdrawn or recalled."""
    return Answer(value=forms.Advisories(advisories=list(advisory_rows(desk))))


def advisory_rows(desk: Desk) -> Iterable[forms.Advisory]:
    """Return everything that was taken back, the newest first."""
    publishers = desk.edition.publishers
    recalls = publishers.recalls
    found = []
    for full_id, version, package, reason, since in desk.catalog().taken_back(recalls.packages):
        recalled = recalls.packages.get(package)
        if recalled is None and package in publishers.unyanked:
            continue
        found.append(
            forms.Advisory(
                kind="withdrawn" if recalled is None else "recalled",
                plugin=full_id,
                version=version,
                sha256=package.hex,
                reason=reason if recalled is None else recalled,
                since=since,
            )
        )
    return sorted(found, key=lambda one: (one.since, one.plugin, one.version), reverse=True)


def taken_back(desk: Desk, release: ReleaseRow) -> str:
    """Return why a release was taken back, as a clause; empty for one that was not."""
    reason = recall_of(release, desk.edition.publishers)
    return f"it {reason}" if reason else ""


def _released(release: ReleaseRow) -> forms.Released:
    return forms.Released(
        version=release.version,
        uuid=release.uuid,
        number=release.seq,
        api=release.api,
        published_at=release.published_at,
        sha256=release.package.hex,
        bytes=release.length,
        manifest_sha256=release.manifest_digest.hex,
        lock_sha256=release.lock_digest.hex if release.lock_digest else None,
        permissions_sha256=release.permission_digest.hex,
        publisher_statement=release.publisher_envelope.hex,
        reviewer_statements=[one.hex for one in release.reviewer_envelopes],
        wheels=[
            forms.Wheel(filename=one.filename, sha256=one.digest.hex, bytes=one.length)
            for one in release.wheels
        ],
        withdrawn=release.yanked,
        reason=release.yanked_reason,
    )
