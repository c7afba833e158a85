"""The story of `tavo demo` as one page that needs nothing else: no network, no script.

Rules this module keeps:
- it shows what the reports of the steps say, and counts nothing that is not in them;
- the policy of the page allows its own style by its digest, and nothing else;
- all text of reports goes through `_text`: prompts and answers are an attacker's.

The style is that of HTML reports, with a few lines of its own.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pkgutil import get_data
from typing import Any

from tavo.cli.demo import ATTEMPTS, Figures, Step
from tavo.printable import printable

__all__ = ["page"]

_MOST = 8
_LONGEST = 420
_SEVERITIES = {"critical": 4, "high": 3, "medium": 2, "low": 1, "info": 0}
_STYLE = """
body { max-width: 68rem; }
main section { margin-top: 1.1rem; padding: 1rem 1.2rem 1.2rem; border: 1px solid var(--line); border-radius: 10px; background: var(--card); }
main h2 { font-size: 1.15rem; display: flex; gap: .6rem; align-items: center; }
main h2 b { flex: none; width: 1.75rem; height: 1.75rem; line-height: 1.75rem; border-radius: 50%; text-align: center; font-size: .95rem; background: var(--accent); color: var(--on); }
main section > p { margin-top: .5rem; max-width: 56rem; }
main h3 { margin-top: .9rem; color: var(--soft); font-weight: 600; }
.typed { margin-top: .6rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.typed::before { content: "$ "; color: var(--soft); }
.result { font-weight: 600; }
table { width: 100%; margin-top: .6rem; border-collapse: collapse; font-size: .9rem; }
th { text-align: left; color: var(--soft); font-weight: 600; font-size: .8rem; }
th, td { padding: .28rem .6rem .28rem 0; border-bottom: 1px solid var(--line); vertical-align: top; overflow-wrap: anywhere; }
td.n { width: 5.5rem; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.sev { width: 5rem; color: var(--c); font-weight: 600; }
td.bar { width: 9rem; }
td.bar svg { display: block; width: 100%; height: .7rem; margin-top: .35rem; border-radius: 3px; background: var(--code); }
td.bar rect { fill: var(--c); }
.talk { display: grid; grid-template-columns: 1fr 1fr; gap: .8rem; margin-top: .6rem; }
.talk > div { min-width: 0; padding: .6rem .8rem; border: 1px solid var(--line); border-top: 3px solid var(--c); border-radius: 8px; background: var(--page); }
.talk p { margin-top: .3rem; white-space: pre-wrap; overflow-wrap: anywhere; font-size: .9rem; }
.talk p b { color: var(--soft); font-weight: 600; }
.may { margin-top: .4rem; columns: 2 22rem; }
.may li::before { content: "+\\00a0"; color: #3f9a5f; font-weight: 700; }
.may li.not::before { content: "\\2212\\00a0"; color: var(--s3); }
.found th:nth-child(2) { width: 14rem; } .found th:nth-child(3) { width: 11rem; }
.found td:nth-child(2), .found td:nth-child(3) { overflow-wrap: normal; }
.good-c { --c: #3f9a5f; }
@media (max-width: 46rem) { .talk { grid-template-columns: 1fr; } }
"""  # noqa: E501


def page(steps: Sequence[Step], figures: Figures) -> str:
    """Return the page."""
    scan, plugin, before, after, logs = steps
    style = (get_data("tavo.results.export", "page/page.css") or b"").decode() + _STYLE
    parts = [
        *_section(1, scan, _STORY[0], _findings(scan.report["findings"])),
        *_section(2, plugin, _STORY[1], _installed(plugin)),
        *_section(3, before, _STORY[2], _probes(before.report)),
        *_section(4, after, _STORY[3], _guarded(before, after)),
        *_section(5, logs, _STORY[4], _findings(logs.report["findings"])),
        *_next(),
    ]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>tavo demo: {figures.worked_before} attacks worked, {figures.worked_after} after"
        f"</title>\n<style>{style}</style>\n</head>\n<body>\n"
        '<header>\n<h1><span class="mark" aria-hidden="true"></span>An AI application, before and'
        " after</h1>\n"
        f'<p class="run">tavo {_text(scan.report["run"]["tool_version"])} · '
        f"{_text(scan.report['run']['started_at'][:19].replace('T', ' '))} UTC · everything on this"
        " machine, no network, no model</p>\n"
        f'<ul class="tiles">{"".join(_tiles(figures))}</ul>\n</header>\n'
        f"<main>\n{''.join(parts)}</main>\n"
        "<footer>Made by <code>tavo demo</code>. Every figure is out of the report of a command"
        " that stands above it. This page holds everything it shows and loads nothing.</footer>\n"
        "</body>\n</html>\n"
    )


_STORY = (
    "A small shop has an assistant that reads mail, looks up orders and computes with what a model"
    " answers. tavo reads its code; nothing of it is run.",
    "The catalog inside of tavo is signed; the plugin in it was checked against the signatures just"
    " now, shown with what it may do, and runs in a sandbox. It reads the model file that the code"
    " loads.",
    "Another assistant of the shop runs on this machine. Its model is a script that is as obedient"
    " as the worst of models, so that everybody gets the same figures. tavo asks it what an"
    f" attacker would ask, {ATTEMPTS} attempts of each kind.",
    "The same attacks, with tavo's proxy between the attacker and the same assistant: nothing else"
    " was changed. What still works is a flaw that no filter of these can see; it has to be mended"
    " in the application.",
    "The proxy wrote each request and its verdict down, in a log that cannot be changed unseen."
    " tavo reads such logs, and those of other gateways and providers, for what came through.",
)


def _section(number: int, step: Step, story: str, body: Iterable[str]) -> Iterator[str]:
    yield f"<section>\n<h2><b>{number}</b>{_text(step.title)}</h2>\n"
    yield f'<p>{_text(story)}</p>\n<pre class="typed">{_text(step.typed)}</pre>\n'
    yield f'<p class="result">{_text(step.result[:1].upper() + step.result[1:])}.</p>\n'
    yield from body
    yield "</section>\n"


def _tiles(figures: Figures) -> Iterator[str]:
    gave_in = f"of {figures.attempts} attacks worked"
    tiles = (
        ("s3", figures.findings, "findings in the code"),
        ("s4", figures.models, "model file that runs code" if figures.models == 1
         else "findings in model files"),
        ("s3", figures.worked_before, f"{gave_in}, before"),
        ("s2" if figures.worked_after else "good-c", figures.worked_after,
         f"{gave_in}, behind the proxy"),
        ("s0", figures.blocked, "requests were blocked"),
        ("s1", figures.alarms, "findings in the log"),
    )  # fmt: skip
    for color, count, text in tiles:
        yield f'<li class="tile {color}"><b>{count}</b><span>{_text(text)}</span></li>'


def _findings(found: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not found:
        return
    ordered = sorted(found, key=lambda one: -_SEVERITIES[one["severity"]])
    yield '<table class="found"><tr><th>severity</th><th>rule</th><th>where</th><th>what</th>'
    yield "</tr>\n"
    for one in ordered[:_MOST]:
        rank = _SEVERITIES[one["severity"]]
        yield (
            f'<tr><td class="sev s{rank}">{one["severity"]}</td>'
            f"<td><code>{_text(one['rule_id'])}</code></td><td>{_text(_place(one))}</td>"
            f"<td>{_text(_cut(one['message']))}</td></tr>\n"
        )
    yield "</table>\n"
    if len(ordered) > _MOST:
        yield f'<p class="rest">and {len(ordered) - _MOST} more.</p>\n'


def _installed(step: Step) -> Iterator[str]:
    row = step.more["row"]
    yield f"<h3>What {_text(row['id'])} {_text(row['latest'])} may do here, and what not</h3>\n"
    lines = [f"<li>{_text(one)}</li>" for one in row["can"]]
    lines += [f'<li class="not">{_text(one)}</li>' for one in row["cannot"]]
    yield f'<ul class="may">{"".join(lines)}</ul>\n'
    yield from _findings(step.more["found"])


def _probes(report: Mapping[str, Any]) -> Iterator[str]:
    yield "<table><tr><th>kind of attack</th><th>worked</th><th></th></tr>\n"
    for one in sorted(report["probes"], key=lambda probe: (-probe["share"], probe["probe"])):
        yield (
            f"<tr><td><code>{_text(one['probe'])}</code></td>"
            f'<td class="n">{one["worked"]} of {one["tried"]}</td>'
            f'<td class="bar s3">{_bar(one["share"])}</td></tr>\n'
        )
    yield "</table>\n"


def _guarded(before: Step, after: Step) -> Iterator[str]:
    then = {one["probe"]: one for one in before.report["probes"]}
    yield (
        "<table><tr><th>kind of attack</th><th>before</th><th></th><th>behind the proxy</th>"
        "<th></th></tr>\n"
    )
    for one in sorted(after.report["probes"], key=lambda probe: (probe["share"], probe["probe"])):
        first = then[one["probe"]]
        color = "s2" if one["worked"] else "good-c"
        yield (
            f"<tr><td><code>{_text(one['probe'])}</code></td>"
            f'<td class="n">{first["worked"]} of {first["tried"]}</td>'
            f'<td class="bar s3">{_bar(first["share"])}</td>'
            f'<td class="n {color}">{one["worked"]} of {one["tried"]}</td>'
            f'<td class="bar {color}">{_bar(one["share"])}</td></tr>\n'
        )
    yield "</table>\n"
    said = ", ".join(
        f"{_text(name)} {count}" for name, count in sorted(after.more["filters"].items())
    )
    yield f'<p class="rest">What the filters said, by filter: {said or "nothing"}.</p>\n'
    yield from _talk(then, after.report["probes"])


def _talk(then: Mapping[str, Any], now: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield one attack that worked before and was held, in the words of both."""
    for one in now:
        earlier = then[one["probe"]]["attempts"]
        for first, second in zip(earlier, one["attempts"], strict=False):
            if first["worked"] and not second["worked"] and first["prompts"] == second["prompts"]:
                yield "<h3>One of them, word for word</h3>\n"
                yield '<div class="talk">\n'
                yield from _spoken("before", "s3", first)
                yield from _spoken("behind the proxy", "good-c", second)
                yield "</div>\n"
                return


def _spoken(when: str, color: str, attempt: Mapping[str, Any]) -> Iterator[str]:
    answer = attempt["answers"][-1] if attempt["answers"] else ""
    answer = answer or attempt["refused"] or attempt["failed"] or "(no answer)"
    yield (
        f'<div class="{color}"><h3>{when}</h3>\n'
        f"<p><b>attacker</b> {_text(_cut(attempt['prompts'][-1]))}</p>\n"
        f"<p><b>assistant</b> {_text(_cut(answer))}</p></div>\n"
    )


def _next() -> Iterator[str]:
    lines = (
        ("tavo scan .", "the same for your own code"),
        ("tavo attack http://127.0.0.1:8000/v1", "for an endpoint that is yours"),
        ("tavo proxy serve --upstream https://api.example.com", "and change one base URL"),
        ("tavo logs analyze requests.jsonl.gz", "for the logs that you have"),
        ("tavo registry browse", "what other plugins there are"),
    )
    yield "<section>\n<h2><b>6</b>Go on with what is yours</h2>\n<table>\n"
    for command, text in lines:
        yield f"<tr><td><code>{_text(command)}</code></td><td>{_text(text)}</td></tr>\n"
    yield "</table>\n</section>\n"


def _bar(share: float) -> str:
    return f'<svg viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true"><rect width="{share * 100:.0f}" height="8"/></svg>'  # noqa: E501


def _place(finding: Mapping[str, Any]) -> str:
    location = finding["location"]
    region = location.get("region")
    path = str(location["path"]).removeprefix("shop-agent/")
    return f"{path}:{region['start_line']}" if region else path


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _text(value: object) -> str:
    """Return text for the page: no control or direction characters, and no markup."""
    lines = str(value).split("\n")
    return html.escape("\n".join(map(printable, lines)), quote=True)
