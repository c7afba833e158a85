"""The hooks: pages, their templates, and the guard in front of every request.

The module is registered with Datasette once; its hooks do nothing for a Datasette that was not
given a catalog by `attach`, such as one that shows something else in the same process.
"""

from __future__ import annotations

import asyncio
import functools
import importlib.resources
import logging
import re
import weakref
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

import pluggy
from datasette import Response, hookimpl
from datasette.app import Datasette
from datasette.utils.asgi import NotFound, Request
from jinja2 import ChoiceLoader, DictLoader, Environment
from markupsafe import Markup

from marketplace_db.catalog import ApprovalRow, Catalog, PluginRow, ReleaseRow, ReviewRow
from marketplace_db.errors import NotInCatalogError
from marketplace_db.manifest import PLUGIN_TYPES
from marketplace_db.permissions import danger_sentences, permission_sentences
from marketplace_db.web.desk import Desk
from marketplace_db.web.guard import RAW_POLICY, guarded
from marketplace_db.web.market_pages import MarketPages, more_about
from marketplace_db.web.session import session_of
from marketplace_db.web.wire import App, Scope, ours
from signing.digests import VerifiedFile
from signing.roles import format_time

__all__ = ["DATABASE", "attach"]

DATABASE = "catalog"

_log = logging.getLogger(__name__)

_PAGES = importlib.resources.files("marketplace_db.web") / "pages"
_TEMPLATES = (
    "base.html",
    "tavo_base.html",
    "tavo_catalog.html",
    "tavo_plugin.html",
    "tavo_problem.html",
    "tavo_market.html",
    "tavo_cards.html",
    "tavo_publisher.html",
    "tavo_advisories.html",
    "tavo_queue.html",
    "tavo_account.html",
)
_STYLE = "tavo.css"
_TYPE_NAMES = {
    "static": "Static analysis",
    "dynamic": "Dynamic testing",
    "proxy": "Proxy filtering",
    "log": "Log analysis",
}
_SLUG = "[a-z0-9-]{1,63}"
_FORMS = re.compile(rf"/account/sign-(?:in|out)|/queue/moderate|/plugins/{_SLUG}/{_SLUG}/review")
_OWN_PAGES = ("/plugins/", "/-/tavo", "/publishers/", "/advisories", "/queue", "/account")
_LONGEST_QUERY = 200
_MOST_RESULTS = 200

_OWN_POLICY = (
    b"default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self';"
    b" base-uri 'none'; frame-ancestors 'none'"
)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Attached:
    verified: VerifiedFile
    hosts: frozenset[str]
    desk: Desk | None


_attached: weakref.WeakKeyDictionary[Datasette, _Attached] = weakref.WeakKeyDictionary()


def attach(
    datasette: Datasette, verified: VerifiedFile, hosts: frozenset[str], desk: Desk | None = None
) -> None:
    """Make this Datasette show the catalog; an empty set of hosts answers all host names.

    With a desk it has the pages of a marketplace, too.
    """
    _attached[datasette] = _Attached(verified, hosts, desk)


@hookimpl  # type: ignore[untyped-decorator]
def register_routes(datasette: Datasette) -> list[tuple[str, Callable[..., Any]]]:
    attached = _attached.get(datasette)
    if attached is None:
        return []
    market: list[tuple[str, Callable[..., Any]]] = []
    if attached.desk is not None:
        pages = MarketPages(
            attached.desk,
            functools.partial(_page, datasette),
            asyncio.to_thread,
        )
        market = [
            (r"^/$", pages.home),
            (rf"^/publishers/(?P<publisher>{_SLUG})$", pages.publisher),
            (rf"^/plugins/(?P<publisher>{_SLUG})/(?P<name>{_SLUG})/review$", pages.review),
            (r"^/advisories$", pages.advisories),
            (r"^/queue$", pages.queue),
            (r"^/queue/moderate$", pages.moderate),
            (r"^/account$", pages.account),
            (r"^/account/sign-in$", pages.sign_in),
            (r"^/account/sign-out$", pages.sign_out),
        ]
    return [
        *market,
        (r"^/$", _catalog_page),
        (r"^/plugins/(?P<publisher>[a-z0-9-]{1,63})/(?P<name>[a-z0-9-]{1,63})$", _plugin_page),
        (r"^/-/tavo\.css$", _style),
    ]


@hookimpl  # type: ignore[untyped-decorator]
def prepare_jinja2_environment(env: Environment, datasette: Datasette) -> None:
    attached = _attached.get(datasette)
    if attached is not None and env.loader is not None:
        own = DictLoader({name: _read(name) for name in _TEMPLATES})
        env.loader = ChoiceLoader([own, env.loader])
        env.globals["verified"] = attached.verified  # also on Datasette's own error pages
        env.globals["market"] = attached.desk is not None
        env.filters["size"] = _size
        env.filters["day"] = _day


@hookimpl  # type: ignore[untyped-decorator]
def skip_csrf(datasette: Datasette, scope: Scope) -> bool:
    """Leave forms to `marketplace_db.web.session`: no other route takes anything but GET."""
    return datasette in _attached


@hookimpl(hookwrapper=True)  # type: ignore[untyped-decorator]
def handle_exception(
    datasette: Datasette, request: Request, exception: Exception
) -> Generator[None, pluggy.Result[Any], None]:
    """Answer errors ourselves: Datasette's handler prints each, with all variables, to stdout."""
    outcome = yield
    if datasette in _attached:
        outcome.force_result([lambda: _problem_page(datasette, request, exception)])


@hookimpl  # type: ignore[untyped-decorator]
def asgi_wrapper(datasette: Datasette) -> Callable[[App], App]:
    attached = _attached.get(datasette)
    if attached is None:
        return lambda app: app
    return functools.partial(_guard, attached.hosts, attached.desk is not None)


@functools.cache
def _read(name: str) -> str:
    return (_PAGES / name).read_text("utf-8")


def _size(length: int) -> str:
    if length < 10_000:
        return f"{length:,} bytes".replace(",", " ")
    return f"{length / 1000:.0f} kB" if length < 10_000_000 else f"{length / 1e6:.0f} MB"


def _day(time: str) -> Markup:
    return Markup('<time datetime="{}">{}</time>').format(time, time.partition("T")[0])


# -- pages


async def _catalog_page(datasette: Datasette, request: Request) -> Response:
    text = (request.args.get("q") or "")[:_LONGEST_QUERY]
    plugin_type = request.args.get("type") or ""
    category = (request.args.get("category") or "")[:_LONGEST_QUERY]

    def query(catalog: Catalog) -> tuple[list[PluginRow], list[tuple[str, int]]]:
        rows = catalog.search(text, plugin_type or None, category or None, limit=_MOST_RESULTS + 1)
        return rows, catalog.categories()

    rows, categories = await _ask(datasette, query)
    return await _page(
        datasette,
        request,
        "tavo_catalog.html",
        {
            "plugins": rows[:_MOST_RESULTS],
            "more": len(rows) > _MOST_RESULTS,
            "most": _MOST_RESULTS,
            "categories": categories,
            "q": text,
            "type": plugin_type,
            "category": category,
            "types": [(name, _TYPE_NAMES[name]) for name in PLUGIN_TYPES],
        },
    )


async def _plugin_page(datasette: Datasette, request: Request) -> Response:
    full_id = f"{request.url_vars['publisher']}/{request.url_vars['name']}"
    wanted = request.args.get("version") or None

    def query(
        catalog: Catalog,
    ) -> tuple[PluginRow, list[ReleaseRow], ReleaseRow, list[ApprovalRow], list[ReviewRow]]:
        plugin = catalog.plugin(full_id)
        releases = catalog.versions(full_id)
        chosen = wanted or plugin.latest or releases[0].version
        release = catalog.release(full_id, chosen)
        approvals = catalog.approvals(full_id, chosen)
        return plugin, releases, release, approvals, catalog.reviews(full_id)

    try:
        plugin, releases, release, approvals, reviews = await _ask(datasette, query)
    except NotInCatalogError as error:
        return await _page(
            datasette,
            request,
            "tavo_problem.html",
            {"title": "Not in this catalog", "problem": str(error)},
            status=404,
        )
    more = session = None
    if (desk := _attached[datasette].desk) is not None:
        session = await asyncio.to_thread(session_of, desk, request)
        more = await asyncio.to_thread(
            more_about, desk, plugin.full_id, release.version, release.package
        )
        reviews = more["reviews"]
        lifted = desk.edition.publishers.unyanked
        release, *releases = (
            one._replace(yanked=one.yanked and one.package not in lifted)
            for one in (release, *releases)
        )
    manifest = release.parsed_manifest()
    can, cannot = permission_sentences(manifest)
    command = f"tavo registry install {plugin.full_id}"
    if release.version != plugin.latest:
        command += f" --version {release.version}"
    return await _page(
        datasette,
        request,
        "tavo_plugin.html",
        {
            "plugin": plugin,
            "release": release,
            "releases": releases,
            "approvals": approvals,
            "reviews": reviews,
            "manifest": manifest,
            "can": can,
            "cannot": cannot,
            "danger": danger_sentences(manifest),
            "command": command,
            "more": more,
            "session": session,
            "account": session.account if session is not None else None,
        },
    )


async def _problem_page(datasette: Datasette, request: Request, exception: Exception) -> Response:
    status = int(getattr(exception, "status", 0) or 500)
    problem = str(exception) if status < 500 and not isinstance(exception, NotFound) else ""
    if status >= 500:
        _log.error("request for %s failed", request.path, exc_info=exception)
        problem = "Something went wrong here; the server's log says what."
    if request.path.endswith(".json"):
        return Response.json({"ok": False, "error": problem, "status": status}, status=status)
    title = "There is nothing here" if status == 404 else "This request was not answered"
    values = {"title": title, "problem": problem}
    return await _page(datasette, request, "tavo_problem.html", values, status=status)


async def _style(datasette: Datasette, request: Request) -> Response:
    return Response(
        _read(_STYLE),
        content_type="text/css; charset=utf-8",
        headers={"cache-control": "max-age=300"},
    )


async def _ask(datasette: Datasette, query: Callable[[Catalog], T]) -> T:
    """Run a query on one of Datasette's threads with its prepared connection."""
    verified = _attached[datasette].verified
    answer: T = await datasette.get_database(DATABASE).execute_fn(
        lambda connection: query(Catalog(verified, connection))
    )
    return answer


async def _page(
    datasette: Datasette,
    request: Request,
    template: str,
    values: dict[str, Any],
    *,
    status: int = 200,
) -> Response:
    verified = _attached[datasette].verified
    common = {
        "issued": format_time(verified.issued),
        "expires": format_time(verified.expires),
        "type_names": _TYPE_NAMES,
    }
    html = await datasette.render_template([template], {**common, **values}, request=request)
    return Response.html(html, status=status)


# -- the guard


def _guard(hosts: frozenset[str], with_forms: bool, app: App) -> App:
    """Refuse what could write, what belongs to Datasette's own tools, and foreign host names."""
    return guarded(
        app, refuse=functools.partial(_refusal, hosts=hosts, with_forms=with_forms), policy=_policy
    )


def _policy(path: str) -> bytes:
    return _OWN_POLICY if path == "/" or path.startswith(_OWN_PAGES) else RAW_POLICY


def _refusal(scope: Scope, hosts: frozenset[str], with_forms: bool) -> tuple[int, str] | None:
    form = with_forms and _FORMS.fullmatch(scope["path"]) is not None
    if form != (scope["method"] == "POST") or scope["method"] not in {"GET", "HEAD", "POST"}:
        use = "This takes a form of ours" if form else "This catalog is read only: use GET"
        return 405, f"{use}.\n"
    if not ours(scope, hosts):
        return 421, "This server does not answer for that host name.\n"
    path: str = scope["path"]
    if path.startswith("/-/") and not path.startswith(("/-/static/", "/-/tavo.css")):
        return 404, "There is nothing here.\n"
    return None
