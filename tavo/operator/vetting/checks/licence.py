"""Licences: a valid SPDX expression that the operator takes, a LICENSE that fits, wheels too.

An expression with OR is taken if one side is; one with AND if both are; an exception (WITH) only
allows more, so the licence before it decides.
"""

from __future__ import annotations

import email.parser
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from marketplace_db.errors import PackageError
from marketplace_db.wheel import check_wheel_bytes
from tavo.kit.validate import reads_like
from tavo.operator.vetting.report import Material, Outcome, failed_if, not_done

_TOKEN = re.compile(r"\(|\)|[^\s()]+")
_CLASSIFIERS = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "Boost Software License 1.0 (BSL-1.0)": "BSL-1.0",
    "CC0 1.0 Universal (CC0 1.0) Public Domain Dedication": "CC0-1.0",
    "GNU General Public License v2 (GPLv2)": "GPL-2.0-only",
    "GNU General Public License v2 or later (GPLv2+)": "GPL-2.0-or-later",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
    "GNU General Public License v3 or later (GPLv3+)": "GPL-3.0-or-later",
    "GNU Lesser General Public License v2 or later (LGPLv2+)": "LGPL-2.0-or-later",
    "GNU Lesser General Public License v3 (LGPLv3)": "LGPL-3.0-only",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
    "zlib/libpng License": "Zlib",
}
"""What the classifiers of PyPI mean, where that is one licence of SPDX."""


def run(material: Material) -> Outcome:
    """Judge the plugin's own licence and those of its wheels."""
    allowed = material.policy.licences
    manifest = material.package.manifest
    problems: list[str] = []
    facts: dict[str, str] = {}
    problem, expression = _judged(manifest.license, allowed)
    if problem:
        problems.append(f"plugin.yaml: license: {problem}")
    if expression:
        facts[manifest.full_id] = expression
        problems += _file(material.folder / "LICENSE", expression)
    left, here = material.divided()
    for filename in here:
        try:
            named = wheel_licence(material.wheels[filename].read_bytes(), filename)
        except PackageError as error:
            problems.append(str(error))
            continue
        if not named:
            problems.append(f"{filename}: its METADATA names no licence of SPDX's list")
            continue
        problem, expression = _judged(named, allowed)
        facts[filename] = expression or named
        if problem:
            problems.append(f"{filename}: {problem}")
    told: dict[str, Any] = {"licences": facts, "allowed": sorted(allowed)}
    if left and not problems:
        return not_done(*left, facts=told)
    good = f"{manifest.license}; {len(here)} wheels looked at"
    return failed_if([*problems, *left], good=good, facts=told)


def wheel_licence(data: bytes, filename: str) -> str:
    """Return the SPDX expression of a wheel, empty where it names none. Raises PackageError."""
    archive = check_wheel_bytes(data, filename)
    for entry in archive.entries:
        if entry.name.endswith(".dist-info/METADATA") and entry.name.count("/") == 1:
            text = archive.read(entry).decode("utf-8", "replace")
            break
    else:
        return ""
    metadata = email.parser.HeaderParser().parsestr(text)
    for field in ("License-Expression", "License"):
        given = (metadata.get(field) or "").strip()
        if _expression(given):
            return given
    named = {
        _CLASSIFIERS[word.rpartition(" :: ")[2]]
        for word in metadata.get_all("Classifier", [])
        if word.startswith("License ::") and word.rpartition(" :: ")[2] in _CLASSIFIERS
    }
    return " AND ".join(sorted(named))


def is_allowed(expression: str, allowed: Collection[str]) -> bool:
    """Tell whether a valid expression can be met with the allowed licences only."""
    tokens = _TOKEN.findall(expression)
    at = 0

    def either() -> bool:
        nonlocal at
        met = both()
        while at < len(tokens) and tokens[at].upper() == "OR":
            at += 1
            met = both() or met
        return met

    def both() -> bool:
        nonlocal at
        met = one()
        while at < len(tokens) and tokens[at].upper() == "AND":
            at += 1
            met = one() and met
        return met

    def one() -> bool:
        nonlocal at
        word = tokens[at]
        at += 1
        if word == "(":
            met = either()
            at += 1
            return met
        if at < len(tokens) and tokens[at].upper() == "WITH":
            at += 2
        return word in allowed

    return either()


def _judged(text: str, allowed: Collection[str]) -> tuple[str, str]:
    """Return what is wrong with a licence, and its expression where it is one."""
    expression = _expression(text)
    if not expression:
        return f"{text[:80]!r} is no expression of SPDX licences", ""
    if not is_allowed(expression, allowed):
        return f"{expression} is not among the licences that this market takes", expression
    return "", expression


def _expression(text: str) -> str:
    if not text or len(text) > 400:
        return ""
    try:
        return str(canonicalize_license_expression(text))
    except InvalidLicenseExpression:
        return ""


def _file(path: Path, expression: str) -> list[str]:
    """Compare LICENSE with each licence of the expression whose words are known."""
    text = path.read_text("utf-8", "replace")
    words = [one for one in _TOKEN.findall(expression) if one not in {"AND", "OR", "(", ")"}]
    told = [answer for one in words if (answer := reads_like(one, text)) is not None]
    if told and not any(told):
        return [f"LICENSE: does not read like {expression}"]
    return []
