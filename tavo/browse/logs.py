"""Pages over a database of events and findings, beside Datasette's own.

Rules this module keeps:
- whatever a log says is text: templates escape, characters that steer are replaced, addresses are
  no links, and the policy of the pages allows no script;
- a record is read from its file only at a place that the database has;
- nothing can be written, and only requests that name this machine are answered.
"""

from __future__ import annotations

import asyncio
import functools
import json
import sqlite3
import weakref
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pkgutil import get_data
from typing import Any

import pluggy
from datasette import Response, hookimpl
from datasette.app import Datasette
from datasette.utils.asgi import NotFound, Request
from jinja2 import DictLoader, Environment
from markupsafe import Markup, escape

from marketplace_db.web.guard import RAW_POLICY, guarded
from marketplace_db.web.wire import App, Scope, ours
from tavo.printable import printable
from tavo.results.export.timeline import timeline

__all__ = ["DATABASE", "Record", "attach"]

Record = Callable[[str, int, int], tuple[str | None, str, Mapping[str, str]]]
"""Log, offset and length -> a record, what is to be said of it, and its fields."""

DATABASE = "logs"
_POLICY = (
    b"default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none';"
    b" frame-ancestors 'none'"
)
_OWN = ("/finding/", "/event/", "/actor", "/rule", "/-/explore.css")
_PAGES = ("base", "lists", "home", "finding", "event", "about")
_ACTORS = """SELECT a.actor AS name, a.events, a.tokens, a.cost, a.failures,
    (SELECT count(*) FROM findings f WHERE f.actor = a.actor) AS findings FROM actors a
"""


@dataclass(frozen=True, slots=True)
class _Attached:
    record: Record
    facts: Mapping[str, str]
    hosts: frozenset[str]


_attached: weakref.WeakKeyDictionary[Datasette, _Attached] = weakref.WeakKeyDictionary()
Row = dict[str, Any]


def attach(
    datasette: Datasette,
    record: Record,
    facts: Mapping[str, str],
    hosts: frozenset[str],
) -> None:
    """Give a Datasette the pages; `record` reads a record of a log."""
    _attached[datasette] = _Attached(record, facts, hosts)


@hookimpl  # type: ignore[untyped-decorator]
def register_routes(datasette: Datasette) -> list[tuple[str, Callable[..., Any]]]:
    if datasette not in _attached:
        return []
    return [
        (r"^/$", _home),
        (r"^/finding/(?P<id>[0-9]{1,9})$", _finding),
        (r"^/event/(?P<id>[0-9]{1,9})$", _event),
        (r"^/actor$", _actor),
        (r"^/rule$", _rule),
        (r"^/-/explore\.css$", _style),
    ]


@hookimpl  # type: ignore[untyped-decorator]
def asgi_wrapper(datasette: Datasette) -> Callable[[App], App]:
    attached = _attached.get(datasette)
    if attached is None:
        return lambda app: app
    return functools.partial(
        guarded, refuse=functools.partial(_refusal, hosts=attached.hosts), policy=_policy
    )


@hookimpl  # type: ignore[untyped-decorator]
def render_cell(datasette: Datasette, value: Any) -> Markup | None:
    """Show a text of a log as text: Datasette makes links of addresses."""
    if datasette not in _attached or not isinstance(value, str):
        return None
    return escape(_safe(value))


@hookimpl(hookwrapper=True)  # type: ignore[untyped-decorator]
def handle_exception(
    datasette: Datasette, exception: Exception
) -> Generator[None, pluggy.Result[Any], None]:
    """Answer errors ourselves: Datasette's handler prints each, with all variables, to stdout."""
    outcome = yield
    if datasette in _attached:
        known = isinstance(exception, NotFound)
        text = "There is nothing here." if known else "This did not work; look at the address."
        outcome.force_result([lambda: _sent(Response.text(f"{text}\n", 404 if known else 500))])


async def _sent(response: Response) -> Response:
    return response


def _refusal(scope: Scope, hosts: frozenset[str]) -> tuple[int, str] | None:
    if scope["method"] not in {"GET", "HEAD"}:
        return 405, "This is read only: use GET.\n"
    if not ours(scope, hosts):
        return 421, "This server does not answer for that host name.\n"
    path: str = scope["path"]
    if path.startswith("/-/") and not path.startswith(("/-/static/", "/-/explore.css")):
        return 404, "There is nothing here.\n"
    return None


def _policy(path: str) -> bytes:
    return _POLICY if path == "/" or path.startswith(_OWN) else RAW_POLICY


# -- templates


def _safe(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def _shown(value: Any) -> Any:
    return _safe(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _time(seconds: float | None) -> str:
    if seconds is None:
        return ""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def _read(name: str) -> str:
    data = get_data("tavo.browse", f"pages/{name}")
    assert data is not None  # noqa: S101
    return data.decode("utf-8")


@functools.cache
def _templates() -> Environment:
    loader = DictLoader({f"{name}.html": _read(f"{name}.html") for name in _PAGES})
    made = Environment(loader=loader, autoescape=True, finalize=_shown)
    made.filters["time"] = _time
    return made


def _page(datasette: Datasette, name: str, **values: Any) -> Response:
    text = (
        _templates().get_template(f"{name}.html").render(facts=_attached[datasette].facts, **values)
    )
    return Response.html(text)


async def _rows(datasette: Datasette, sql: str, *values: Any) -> list[Row]:
    def ask(connection: sqlite3.Connection) -> list[Row]:
        cursor = connection.execute(sql, values)
        names = [one[0] for one in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor]

    rows: list[Row] = await datasette.get_database(DATABASE).execute_fn(ask)
    return rows


# -- pages


async def _style() -> Response:
    return Response(_read("explore.css"), content_type="text/css; charset=utf-8")


async def _home(datasette: Datasette) -> Response:
    rows = functools.partial(_rows, datasette)
    facts = _attached[datasette].facts
    hours = await rows("SELECT * FROM hours ORDER BY hour")
    found = await rows("SELECT rank, severity, first FROM findings WHERE ignored = ''")
    rules = await rows(
        "SELECT rule, title, max(rank) AS rank, severity, count(*) AS findings,"
        " sum(records) AS records FROM findings WHERE ignored = '' GROUP BY rule"
        " ORDER BY rank DESC, findings DESC LIMIT 40"
    )
    (total,) = await rows(
        "SELECT count(*) AS actors, coalesce(sum(events), 0) AS events, coalesce(sum(tokens), 0)"
        " AS tokens, coalesce(sum(cost), 0) AS cost, coalesce(sum(failures), 0) AS failures"
        " FROM actors"
    )
    tiles = [
        ("events", f"{total['events']:,}"), ("findings", f"{len(found):,}"),
        ("actors", f"{total['actors']:,}"), ("tokens", f"{total['tokens']:,}"),
        ("dollars", f"{total['cost']:,.2f}"), ("failures", f"{total['failures']:,}"),
    ]  # fmt: skip
    shown = {
        name: Markup(text) if name.endswith("_chart") else text  # noqa: S704  bars() escapes
        for name, text in timeline(hours, found).items()
    }
    return _page(
        datasette, "home", title=facts["title"], tiles=tiles, rules=rules,
        rules_most=max([1, *(row["findings"] for row in rules)]),
        warnings=json.loads(facts["warnings"]),
        actors=await rows(_ACTORS + " ORDER BY findings DESC, events DESC LIMIT 12"),
        models=await rows("SELECT model AS name, * FROM models ORDER BY cost DESC, events DESC"
                          " LIMIT 12"),
        findings=await rows("SELECT * FROM findings WHERE ignored = '' ORDER BY rank DESC,"
                            " records DESC, id LIMIT 25"),
        logs=await rows("SELECT * FROM logs ORDER BY id LIMIT 100"),
        **shown,
    )  # fmt: skip


async def _finding(datasette: Datasette, request: Request) -> Response:
    number = int(request.url_vars["id"])
    found = await _rows(datasette, "SELECT * FROM findings WHERE id = ?", number)
    if not found:
        raise NotFound("no such finding")
    events = await _rows(
        datasette, "SELECT e.* FROM evidence v JOIN events e ON e.id = v.event WHERE v.finding = ?"
        " ORDER BY e.time, e.log, e.line", number,
    )  # fmt: skip
    evidence = list(json.loads(found[0]["evidence"]).items())
    return _page(datasette, "finding", title=found[0]["title"], row=found[0], evidence=evidence,
                 events=events)  # fmt: skip


async def _event(datasette: Datasette, request: Request) -> Response:
    number = int(request.url_vars["id"])
    found = await _rows(datasette, "SELECT * FROM events WHERE id = ?", number)
    if not found:
        raise NotFound("no such event")
    row = found[0]
    read = _attached[datasette].record
    raw, why, fields = await asyncio.to_thread(read, row["log"], row["offset"], row["length"])
    findings = await _rows(
        datasette, "SELECT f.* FROM evidence v JOIN findings f ON f.id = v.finding"
        " WHERE v.event = ? ORDER BY f.rank DESC", number,
    )  # fmt: skip
    return _page(datasette, "event", title=f"{row['log']}:{row['line']}", row=row, raw=raw, why=why,
                 fields=list(fields.items()), findings=findings)  # fmt: skip


async def _actor(datasette: Datasette, request: Request) -> Response:
    name = (request.args.get("name") or "")[:2000]
    rows = functools.partial(_rows, datasette)
    return _page(
        datasette, "about", title=f"Actor {name}", step=int(_attached[datasette].facts["step"]),
        sums=await rows(_ACTORS + " WHERE a.actor = ?", name),
        findings=await rows("SELECT * FROM findings WHERE actor = ? ORDER BY rank DESC, first"
                            " LIMIT 200", name),
        events=await rows("SELECT * FROM events WHERE actor = ? ORDER BY evidence DESC, time"
                          " LIMIT 200", name),
    )  # fmt: skip


async def _rule(datasette: Datasette, request: Request) -> Response:
    rule = (request.args.get("id") or "")[:2000]
    rows = await _rows(
        datasette,
        "SELECT * FROM findings WHERE rule = ? ORDER BY records DESC, first LIMIT 200", rule,
    )  # fmt: skip
    title = f"{rule}: {rows[0]['title']}" if rows else rule
    return _page(datasette, "about", title=title, findings=rows, step=1)
