"""What all reports for people say alike: counts, order, completeness, places.

Rules this module keeps:
- "no findings" is said only of a run that looked at everything it was asked to;
- the worst comes first; within a severity the order of the paths stays.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tavo.plugins import Location, Severity
from tavo.printable import counted
from tavo.results.values import Gate, Notice, PluginRun, PolicyResult, Reported, Run

__all__ = [
    "by_severity",
    "counted",
    "denies",
    "first_of",
    "headline",
    "ignored_in_words",
    "is_complete",
    "looked_at",
    "name_of",
    "place_and_clause",
    "place_of",
    "policy_headline",
    "policy_said",
    "ran_here",
    "reasons_of",
    "rules_of",
    "seconds",
    "split",
    "worst_first",
]

_MOST_SUBJECTS = 5


def split(findings: Iterable[Reported]) -> tuple[list[Reported], list[Reported]]:
    """Return the findings that count, and those that do not."""
    items = list(findings)
    return (
        [one for one in items if one.suppression is None],
        [one for one in items if one.suppression is not None],
    )


def worst_first(items: Iterable[Reported]) -> list[Reported]:
    """Return the findings by severity, the worst first."""
    return sorted(items, key=lambda one: -one.finding.severity.rank)


def by_severity(items: Iterable[Reported]) -> list[tuple[Severity, int]]:
    """Return how many findings there are of each severity that occurs, the worst first."""
    counts = Counter(one.finding.severity for one in items)
    return [(severity, counts[severity]) for severity in reversed(Severity) if counts[severity]]


def rules_of(items: Iterable[Reported]) -> list[tuple[Severity, str, int]]:
    """Return severity, name and count of each rule, the worst and then the most frequent first."""
    counts: dict[str, int] = {}
    worst: dict[str, Severity] = {}
    for one in items:
        name = name_of(one)
        counts[name] = counts.get(name, 0) + 1
        worst[name] = max(worst.get(name, one.finding.severity), one.finding.severity)
    names = sorted(counts, key=lambda name: (-worst[name].rank, -counts[name], name))
    return [(worst[name], name, counts[name]) for name in names]


def name_of(one: Reported) -> str:
    """Return the name of a finding's rule, a plugin's with its own name before it."""
    return one.rule.id if one.tool == "tavo" else f"{one.tool} {one.rule.id}"


def is_complete(run: Run) -> bool:
    """Tell whether a run looked at everything it was asked to."""
    return run.complete and not any(notice.incomplete for notice in run.notices)


def headline(run: Run, shown: Sequence[Reported]) -> str:
    """Return what came of a run in a few words."""
    if shown:
        parts = ", ".join(f"{count} {severity.value}" for severity, count in by_severity(shown))
        return f"{counted(len(shown), 'finding')} ({parts})"
    if not is_complete(run):
        return "Not complete"
    if not run.files and not any(map(_has_looked, run.plugins)):
        return "Nothing to look at"
    return "No findings"


def looked_at(run: Run) -> str:
    """Return what rules looked at, and what probes attacked."""
    if run.probes:
        return _attacked(run)
    if not run.info.rules and not run.files and run.plugins:
        return "no files" if any(map(ran_here, run.plugins)) else "nothing was scanned here"
    return f"{counted(run.files, 'file')} with {counted(run.info.rules, 'rule')}"


def _attacked(run: Run) -> str:
    """Say how many probes were tried; a target is stored as one more file, a probe as a rule."""
    targets = len({one.target for one in run.probes})
    tried = sum(bool(one.tried) for one in run.probes)
    every = counted(len(run.probes), "probe")
    which = every if tried == len(run.probes) else f"{tried} of {every}"
    attacked = f"{counted(targets, 'target')} with {which}"
    files, rules = run.files - targets, run.info.rules - len(run.probes)
    if files <= 0:
        return attacked
    return f"{counted(files, 'file')} with {counted(max(rules, 0), 'rule')}, {attacked}"


def ignored_in_words(ignored: Sequence[Reported]) -> str:
    """Return how many findings do not count and why, empty where all do."""
    kinds = Counter(one.suppression.kind for one in ignored if one.suppression is not None)
    known = sum(one.baseline_state == "unchanged" and _by_baseline(one) for one in ignored)
    dated = sum(bool(one.suppression and one.suppression.expires) for one in ignored)
    external = kinds.pop("external", 0) - known - dated
    told = (
        (kinds.total(), "ignored by comments"), (dated, "suppressed"), (known, "known"),
        (external, _elsewhere(ignored)),
    )  # fmt: skip
    return ", ".join(f"{count} {what}" for count, what in told if count)


def ran_here(run: PluginRun) -> bool:
    """Tell whether a plugin ran in this run, and was not imported: what runs has a sandbox."""
    return bool(run.sandbox)


def _has_looked(run: PluginRun) -> bool:
    return bool(run.files or run.requests) or not ran_here(run)


def _elsewhere(ignored: Sequence[Reported]) -> str:
    """Say what findings are that no comment accepts: old ones, or such as their tool accepts."""
    reasons = [
        one.suppression.reason
        for one in ignored
        if one.suppression is not None
        and one.suppression.kind == "external"
        and not one.suppression.expires
        and one.baseline_state != "unchanged"
    ]
    old = all(reason.startswith("already there") for reason in reasons)
    return "already there" if old else "accepted elsewhere"


def _by_baseline(one: Reported) -> bool:
    why = one.suppression
    return why is not None and why.kind == "external" and not why.expires


def place_of(location: Location) -> str:
    """Return path, line and column, or the path alone."""
    region = location.region
    if region is None:
        return str(location.path)
    return f"{location.path}:{region.start_line}:{region.start_column}"


def seconds(value: float) -> str:
    """Return a duration for people."""
    return f"{value:.1f} s" if value >= 1 else f"{value:.2f} s"


# -- what the gate did


def policy_headline(gate: Gate | None) -> str:
    """Return how often a policy denied, warned and excepted; empty where there was none."""
    if gate is None or not gate.policy:
        return ""
    counts = Counter(one.kind for one in gate.policy_results if not one.excepted)
    excepted = sum(one.excepted for one in gate.policy_results)
    parts = [f"{counts['deny'] + counts['violation']} denied", f"{counts['warn']} warned"]
    return ", ".join([*parts, *([f"{excepted} excepted"] if excepted else [])])


def policy_said(
    gate: Gate | None, findings: Mapping[str, Reported]
) -> list[tuple[PolicyResult, str, list[Reported]]]:
    """Return what a policy said, each thing once: a result, the words, and what it is about.

    `findings` are those of the run by fingerprint.
    """
    if gate is None:
        return []
    grouped: dict[tuple[str, str, str, bool], list[PolicyResult]] = {}
    for one in gate.policy_results:
        grouped.setdefault((one.kind, one.rule, one.message, one.excepted), []).append(one)
    said = []
    for (_, rule, message, covered), results in grouped.items():
        about = [found for one in results if (found := findings.get(one.fingerprint)) is not None]
        lead = f"excepted {rule}" if covered else rule  # which begins with its kind
        said.append((results[0], f"{lead}: {message}", about))
    return said


def denies(one: PolicyResult) -> bool:
    """Tell whether what a policy said fails the run."""
    return one.kind in {"deny", "violation"} and not one.excepted


# -- what was not done


def reasons_of(notices: Iterable[Notice]) -> Iterator[tuple[str, str]]:
    """Yield one `(subjects, reason)` for each reason, with the first files or rules it is about."""
    reasons: dict[tuple[str, str, str], list[str]] = {}
    for notice in notices:
        if notice.kind == "plugin":
            place, clause = place_and_clause(notice.reason)
            clause += "; allowed" if notice.allowed else ""
            places = reasons.setdefault((notice.kind, notice.subject, clause), [])
            places += [place] if place else []
        else:
            reason = f"{notice.reason}; allowed" if notice.allowed else notice.reason
            reasons.setdefault((notice.kind, "", reason), []).append(notice.subject)
    for (kind, plugin, reason), subjects in reasons.items():
        noun = kind if plugin or len(subjects) == 1 else f"{kind}s"
        yield " ".join(filter(None, (noun, plugin, first_of(subjects)))), reason


def place_and_clause(reason: str) -> tuple[str, str]:
    """Take what a plugin failed at apart: the file, if it is about one, and the clause.

    A failure of one file is told as `path: it …`.
    """
    place, mark, clause = reason.partition(": it ")
    return (place, f"it {clause}") if mark else ("", reason)


def first_of(names: Sequence[str]) -> str:
    """Name the first of several, and how many more there are."""
    more = len(names) - _MOST_SUBJECTS
    return ", ".join(names[:_MOST_SUBJECTS]) + (f" and {more} more" if more > 0 else "")
