"""Which plugins fit a project: from what is in it and what a plugin says about itself, explained.

Rules this module keeps:
- what a plugin is recommended for is a list of facts about the project, which the user can check;
- nothing about the project leaves this machine; what others have installed is asked of a
  marketplace only where the user names one;
- what fits every project alike is no recommendation.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from marketplace_db.catalog import PluginRow
from marketplace_db.manifest import Manifest
from tavo.printable import counted

__all__ = ["Project", "Recommendation", "installed_together", "recommend"]

_MOST_REASONS = 4
_MOST_TOGETHER = 25


class Project(NamedTuple):
    """What is in a project: file names, files by language, and parts by name with what each is."""

    files: tuple[str, ...]
    languages: Mapping[str, int]
    parts: Mapping[str, str]


class Recommendation(NamedTuple):
    """A plugin, how well it fits, and why."""

    plugin: PluginRow
    score: int
    reasons: tuple[str, ...]


def recommend(
    project: Project, plugins: Iterable[tuple[PluginRow, Manifest]], *, limit: int = 10
) -> list[Recommendation]:
    """Return the plugins that fit a project best; official ones first where they fit alike."""
    found = []
    for row, manifest in plugins:
        reasons = _reasons(project, manifest)
        if reasons:
            score = sum(points for points, _ in reasons)
            ordered = sorted(reasons, key=lambda one: -one[0])[:_MOST_REASONS]
            texts = tuple(text for _, text in ordered)
            found.append(Recommendation(plugin=row, score=score, reasons=texts))
    found.sort(key=lambda one: (-one.score, not one.plugin.official, one.plugin.full_id))
    return found[:limit]


def installed_together(
    found: Iterable[Recommendation],
    together: Mapping[str, Iterable[tuple[str, int]]],
    plugins: Mapping[str, PluginRow],
    *,
    limit: int = 10,
) -> list[Recommendation]:
    """Add what organisations have besides what is installed here, each with that as its reason.

    `together` maps an installed plugin to others, with how many organisations have both; it comes
    from a marketplace, so that what is in no verified catalog, `plugins`, is left out.
    """
    by_id = {one.plugin.full_id: one for one in found}
    for installed, others in sorted(together.items()):
        for name, organizations in others:
            row = plugins.get(name)
            if row is None or organizations < 1:
                continue
            reason = f"{organizations} organisations that have {installed} have it, too"
            points = min(organizations, _MOST_TOGETHER)
            before = by_id.get(name)
            reasons = (*(before.reasons if before is not None else ()), reason)
            score = points + (before.score if before is not None else 0)
            by_id[name] = Recommendation(
                plugin=row, score=score, reasons=reasons[: _MOST_REASONS + 1]
            )
    ordered = sorted(
        by_id.values(), key=lambda one: (-one.score, not one.plugin.official, one.plugin.full_id)
    )
    return ordered[:limit]


def _reasons(project: Project, manifest: Manifest) -> list[tuple[int, str]]:
    reasons: list[tuple[int, str]] = []
    for pattern in manifest.file_patterns:
        matching = fnmatch.filter(project.files, pattern)
        if matching:
            reasons.append((30 + min(len(matching), 10), _files(matching, pattern)))
    labels = {*manifest.tags, *manifest.categories}
    words = {word.strip(".,:;()").lower() for word in manifest.description.split()} | {
        word.lower() for word in manifest.name.split()
    }
    for name, what in project.parts.items():
        if name in labels:
            reasons.append((40, f"the project uses {name} ({what}), which the plugin is for"))
        elif name in words or name in {word.lower() for word in manifest.literals}:
            reasons.append((20, f"the project uses {name} ({what}), which the plugin names"))
    if reasons or manifest.file_patterns:
        return reasons
    for language in manifest.languages:
        count = project.languages.get(language, 0)
        if count:
            reasons.append((5 + min(count, 5), f"{counted(count, 'file')} of {language}"))
    return reasons


def _files(matching: list[str], pattern: str) -> str:
    if len(matching) == 1:
        return f"{matching[0]} is a file like {pattern}"
    return f"{len(matching)} files like {pattern}, such as {matching[0]}"
