"""The page of the admin port: traffic, blocks, latency and cost, for a browser without scripts.

Rules this module keeps:
- no script, no request to anywhere else: its policy allows its own style by digest, and forms to
  itself;
- everything that came from a client, a provider or a file is escaped here, in `_text`;
- values in, text out.

Units: durations in the data in seconds.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from tavo.printable import printable
from tavo.proxy.live import KEPT_MINUTES
from tavo.proxy.metrics import SECONDS

__all__ = ["POLICY", "login_page", "overview_page", "rows_page"]

_STYLE = """
:root{color-scheme:light dark;--ink:#1d232b;--soft:#5b6673;--line:#d8dde3;--back:#fff;
--panel:#f5f7f9;--bar:#3b78c3;--bad:#c0392b;--warn:#9a6700;--warnback:#fff4d6}
@media(prefers-color-scheme:dark){:root{--ink:#e6e9ed;--soft:#9aa5b1;--line:#343c46;--back:#14181d;
--panel:#1c2229;--bar:#5b9be6;--bad:#ff7b6b;--warn:#f0c04f;--warnback:#3a2f10}}
*{box-sizing:border-box}body{margin:0 auto;max-width:76rem;
padding:1rem 1.25rem 3rem;
color:var(--ink);background:var(--back);font:15px/1.45 system-ui,sans-serif}
h1{font-size:1.3rem;margin:.2rem 0}
h2{font-size:1rem;margin:1.6rem 0 .5rem}a{color:var(--bar)}p{margin:.4rem 0;color:var(--soft)}
.tiles{display:grid;gap:.6rem;margin:.8rem 0;
grid-template-columns:repeat(auto-fit,minmax(min(14rem,45%),1fr))}
.tile{background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:.5rem .7rem}
.tile b{display:block;font-size:1.15rem;white-space:nowrap;
font-variant-numeric:tabular-nums}
.tile span{color:var(--soft)}
.bad{color:var(--bad)}.note{background:var(--warnback);color:var(--warn);border-radius:6px;
padding:.5rem .7rem;margin:.6rem 0;font-weight:600}.wide{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{text-align:left;padding:.28rem .6rem .28rem 0;border-bottom:1px solid var(--line);
vertical-align:top}th{color:var(--soft);font-weight:600;white-space:nowrap}
td.n,th.n{text-align:right}code,pre{font:13px/1.45 ui-monospace,monospace}
pre{background:var(--panel);border:1px solid var(--line);border-radius:6px;padding:.7rem;
white-space:pre-wrap;overflow-wrap:anywhere}svg{width:100%;height:110px;display:block;
background:var(--panel);border:1px solid var(--line);border-radius:6px}.all{fill:var(--bar)}
.no{fill:var(--bad)}.legend i{display:inline-block;width:.7rem;height:.7rem;margin:0 .3rem 0 .8rem}
.legend i.all{background:var(--bar);margin-left:0}.legend i.no{background:var(--bad)}
input{font:inherit;padding:.35rem .5rem;border:1px solid var(--line);border-radius:6px;
background:var(--back);color:var(--ink);width:26rem;max-width:100%}
button{font:inherit;padding:.35rem .9rem;border:1px solid var(--line);border-radius:6px;
background:var(--panel);color:var(--ink)}
"""
_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode("ascii")
POLICY = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; form-action 'self'; base-uri 'none'"
_REFRESH_S = 5
_MOST_ROWS = 25


def login_page(*, token_file: str, wrong: bool) -> str:
    """Return the page that asks for the token."""
    said = '<p class="bad">That is not the token.</p>' if wrong else ""
    return _page(
        "tavo proxy",
        f"<h1>tavo proxy</h1>{said}<p>The token stands in <code>{_text(token_file)}</code>, "
        "which only its owner can read. It is new at each start.</p>"
        '<form method="post" action="/login"><label>Token <input name="token" type="password" '
        'autocomplete="off" autofocus></label> <button>Open</button></form>',
    )


def overview_page(
    total: Mapping[str, Any], workers: int, *, observes: bool, reasons: Sequence[str], now: float,
    audited: bool,
) -> str:  # fmt: skip
    """Return the page for figures as the fleet tells them."""
    rows = [(tuple(labels), values) for *labels, values in total["series"]]
    every = _Sum(values for _, values in rows)
    refused = _Sum(v for labels, v in rows if labels[4] in ("refused", "blocked"))
    failed = sum(v["count"] for labels, v in rows if _is_failure(labels))
    gauges = total["gauges"]
    notes = []
    if observes:
        notes.append("OBSERVE ONLY: nothing is changed or blocked.")
    notes += reasons
    if gauges.get("unaudited_total"):
        notes.append(f"{gauges['unaudited_total']:g} exchanges are NOT in the audit log.")
    tiles = [
        ("exchanges", f"{every.count:,}", ""),
        ("refused or blocked", f"{refused.count:,}", "bad" if refused.count else ""),
        ("failed", f"{failed:,}", "bad" if failed else ""),
        ("p50 / p95", f"{every.at(0.5)} / {every.at(0.95)}", ""),
        ("first byte p50 / p95", f"{every.first(0.5)} / {every.first(0.95)}", ""),
        ("tokens", f"{every.tokens:,}", ""),
        ("cost", _usd(every.cost), ""),
        ("under way", f"{gauges.get('active_exchanges', 0):g}", ""),
    ]
    live = total["live"]
    parts = [
        "<h1>tavo proxy</h1>",
        f"<p>{workers} {'worker' if workers == 1 else 'workers'}, since the last start; "
        f"{_text(time.strftime('%Y-%m-%d %H:%M:%S', time.gmtime(now)))} UTC</p>",
        *(f'<div class="note">{_text(note)}</div>' for note in notes),
        '<div class="tiles">',
        *(f'<div class="tile"><b class="{kind}">{_text(value)}</b><span>{_text(name)}</span></div>'
          for name, value, kind in tiles),
        "</div>",
        "<h2>The last hour, by minute</h2>", _bars(live["minutes"], int(now) // 60),
        "<h2>Models</h2>", _by_model(rows),
        "<h2>Keys and clients</h2>", _clients(live["clients"]),
        "<h2>Filters</h2>", _filters(total["said"]),
        "<h2>What stood out last</h2>", _noted(live["noted"], linked=audited),
        _search(audited),
    ]  # fmt: skip
    return _page("tavo proxy", "".join(parts), refresh=True)


def rows_page(name: str, rows: Sequence[Mapping[str, Any]], searched: str) -> str:
    """Return the page of one exchange: its rows in the audit log."""
    if not rows:
        body = f"<p>There is no row of it in {_text(searched)}.</p>"
    else:
        body = "".join(
            f"<h2>{_text(str(row.get('kind')))}, {_text(str(row.get('at')))}</h2>"
            f"<pre>{_text(json.dumps(row, indent=2, ensure_ascii=False))}</pre>"
            for row in rows
        )
    return _page(
        f"tavo proxy: {name}",
        f'<h1>Exchange <code>{_text(name)}</code></h1><p><a href="/">All traffic</a></p>{body}'
        + _search(True),
    )


# -- inside


class _Sum:
    """Series of exchanges, added."""

    def __init__(self, series: Iterable[Mapping[str, Any]]) -> None:
        ones = list(series)
        self.count = sum(one["count"] for one in ones)
        self.tokens = sum(one["tokens_in"] + one["tokens_out"] for one in ones)
        self.cost = sum(one["cost"] for one in ones)
        self._spans = _added([one["spans"] for one in ones])
        self._firsts = _added([one["firsts"] for one in ones])

    def at(self, share: float) -> str:
        return _percentile(self._spans, share)

    def first(self, share: float) -> str:
        return _percentile(self._firsts, share)


def _added(rows: list[list[int]]) -> list[int]:
    return [sum(column) for column in zip(*rows, strict=True)]


def _percentile(buckets: list[int], share: float) -> str:
    """Return about where a share of a histogram ends, evenly within its bucket."""
    total = sum(buckets)
    if not total:
        return "-"
    so_far: list[int] = []
    for count in buckets:
        so_far.append(count + (so_far[-1] if so_far else 0))
    place = bisect_left(so_far, share * total)
    if place >= len(SECONDS):
        return f"> {SECONDS[-1]:.0f} s"
    low = SECONDS[place - 1] if place else 0.0
    within = (share * total - (so_far[place] - buckets[place])) / max(1, buckets[place])
    return _seconds(low + (SECONDS[place] - low) * within)


def _seconds(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def _usd(value: float) -> str:
    return f"${value:,.2f}" if value >= 1 or not value else f"${value:.4f}"


def _is_failure(labels: tuple[Any, ...]) -> bool:
    return str(labels[3]).startswith("5") and labels[4] not in ("refused", "blocked")


def _bars(minutes: Sequence[Sequence[float]], now: int) -> str:
    by_minute = {int(row[0]): row for row in minutes}
    most = max([1.0, *(row[1] for row in minutes)])
    bars = []
    for step in range(KEPT_MINUTES):
        row = by_minute.get(now - KEPT_MINUTES + 1 + step)
        if row is None:
            continue
        height, no = 100 * row[1] / most, 100 * (row[2] + row[3]) / most
        bars.append(
            f"<g><title>{KEPT_MINUTES - 1 - step} min ago: {row[1]:g} exchanges,"
            f" {row[2]:g} refused, {row[3]:g} failed, {row[4]:g} tokens, {_usd(row[5])}</title>"
            f'<rect class="all" x="{step * 10 + 1}" y="{105 - height:.1f}" width="8"'
            f' height="{height:.1f}"/>'
            f'<rect class="no" x="{step * 10 + 1}" y="{105 - no:.1f}" width="8"'
            f' height="{no:.1f}"/></g>'
        )
    return (
        f'<svg viewBox="0 0 {KEPT_MINUTES * 10} 110" preserveAspectRatio="none" role="img">'
        f"<title>exchanges by minute</title>{''.join(bars)}</svg>"
        f'<p class="legend"><i class="all"></i>exchanges, at most {most:g} in a minute'
        '<i class="no"></i>refused, blocked or failed</p>'
    )


def _by_model(rows: Sequence[tuple[tuple[Any, ...], Mapping[str, Any]]]) -> str:
    groups: dict[tuple[str, str], list[tuple[tuple[Any, ...], Mapping[str, Any]]]] = {}
    for labels, values in rows:
        groups.setdefault((str(labels[1]), str(labels[2])), []).append((labels, values))
    lines = []
    for (model, upstream), found in groups.items():
        one = _Sum(values for _, values in found)
        no = sum(v["count"] for labels, v in found if labels[4] in ("refused", "blocked"))
        bad = sum(v["count"] for labels, v in found if _is_failure(labels))
        lines.append((one.count, [
            model or "(none)", upstream or "(none)", f"{one.count:,}", f"{no:,}", f"{bad:,}",
            one.at(0.5), one.at(0.95), one.at(0.99), one.first(0.5), f"{one.tokens:,}",
            _usd(one.cost),
        ]))  # fmt: skip
    heads = ["model", "upstream", "exchanges", "refused", "failed", "p50", "p95", "p99",
             "first p50", "tokens", "cost"]  # fmt: skip
    return _table(heads, _largest(lines), numbers=2)


def _clients(rows: Sequence[Sequence[Any]]) -> str:
    lines = [
        (row[1], [row[0] or "(no credential)", f"{row[1]:,}", f"{row[2]:,}", f"{row[3]:,}",
                  f"{row[4]:,}", _usd(row[5])])
        for row in rows
    ]  # fmt: skip
    heads = ["key, or hash of a credential", "exchanges", "refused", "failed", "tokens", "cost"]
    return _table(heads, _largest(lines), numbers=1)


def _filters(said: Sequence[Sequence[Any]]) -> str:
    lines = [(row[3], [row[0], row[1], row[2], f"{row[3]:,}"]) for row in said]
    return _table(["filter", "action", "where", "times"], _largest(lines), numbers=3)


def _noted(rows: Sequence[Mapping[str, Any]], *, linked: bool) -> str:
    cells = []
    for row in rows[:_MOST_ROWS]:
        name = _text(str(row["id"]))
        at = time.strftime("%H:%M:%S", time.gmtime(float(row["at"])))
        why = "; ".join([*([row["code"]] if row["code"] else []), *row["said"]])
        if row["observed"]:
            why = f"(observed) {why}"
        shown = f'<a href="/audit?id={name}"><code>{name}</code></a>' if linked else (
            f"<code>{name}</code>"
        )  # fmt: skip
        cells.append(
            f"<tr><td>{at}</td><td>{shown}</td><td>{_text(str(row['client']))}</td>"
            f"<td>{_text(str(row['model']))}</td><td>{_text(str(row['status']))} "
            f"{_text(str(row['how']))}</td><td>{_text(why)}</td></tr>"
        )
    if not cells:
        return "<p>Nothing so far.</p>"
    heads = "".join(f"<th>{h}</th>" for h in ("UTC", "exchange", "key", "model", "answer", "why"))
    return f'<div class="wide"><table><tr>{heads}</tr>{"".join(cells)}</table></div>'


def _search(audited: bool) -> str:
    if not audited:
        return "<p>There is no audit log, so exchanges cannot be looked up.</p>"
    return (
        '<h2>Look up</h2><form method="get" action="/audit"><label>x-tavo-request-id <input '
        'name="id" maxlength="40"></label> <button>Show its rows</button></form>'
    )


def _largest(lines: list[tuple[Any, list[str]]]) -> list[list[str]]:
    return [line for _, line in sorted(lines, key=lambda one: -one[0])[:_MOST_ROWS]]


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: int) -> str:
    """Return a table whose columns from `numbers` on are figures."""
    if not rows:
        return "<p>Nothing so far.</p>"
    kind = [' class="n"' if place >= numbers else "" for place in range(len(heads))]
    top = "".join(f"<th{k}>{_text(h)}</th>" for k, h in zip(kind, heads, strict=True))
    lines = "".join(
        "<tr>"
        + "".join(f"<td{k}>{_text(cell)}</td>" for k, cell in zip(kind, row, strict=True))
        + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><tr>{top}</tr>{lines}</table></div>'


def _page(title: str, body: str, *, refresh: bool = False) -> str:
    again = f'<meta http-equiv="refresh" content="{_REFRESH_S}">' if refresh else ""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">{again}'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head><body>{body}</body></html>\n"
    )


def _text(text: str) -> str:
    return escape("\n".join(map(printable, text.split("\n"))))
