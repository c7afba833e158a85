"""tavo.toml, the environment and flags, merged once into frozen settings.

Rules this module keeps:
- flags win over the environment, the project file, the user file, the defaults, in this order;
- an unknown key, section or TAVO_ variable is an error that names the nearest right one;
- the project file belongs to the scanned project, so it can never weaken a check: what decides
  about trust or about the network stands in the user file only, and is refused by name elsewhere;
  thresholds it may only lower, so that more fails;
- a path in a file is relative to the folder of that file.

Units: sizes in bytes.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tavo.errors import ConfigError
from tavo.folders import user_paths
from tavo.plugins import Confidence, Severity

__all__ = [
    "MARKETPLACES_NAME",
    "PROJECT_FILE",
    "LspSettings",
    "RegistrySettings",
    "SandboxSettings",
    "ScanSettings",
    "Settings",
    "load_project",
    "load_settings",
]

PROJECT_FILE = "tavo.toml"
MARKETPLACES_NAME = "marketplaces.json"
"""Beside the user's settings, written by `tavo trust add`; see `tavo.registry.marketplaces`."""
_LARGEST = 256 * 1024


class ScanSettings(NamedTuple):
    """Section [scan]: what is scanned, with which rules, and what fails.

    `jobs` 0 means one process for each processor. `rules` come on top of the built-in ones.
    `suppressions`, `policy` and `policy_data` are files of the user.
    """

    exclude: tuple[str, ...] = ()
    max_file_bytes: int = 2 << 20
    jobs: int = 0
    fail_on: Severity = Severity.LOW
    fail_on_confidence: Confidence = Confidence.LOW
    rules: tuple[str, ...] = ()
    suppressions: str | None = None
    policy: tuple[str, ...] = ()
    policy_data: tuple[str, ...] = ()
    allow_incomplete: tuple[str, ...] = ()


class SandboxSettings(NamedTuple):
    """Section [sandbox], user file only: accepted lower levels, such as `L1:tavo/model-files`."""

    accept: tuple[str, ...] = ()


class RegistrySettings(NamedTuple):
    """Section [registry], user file only: the source of the catalog, its trusted root, and the
    organisation that this user's entitlements are for.

    `plain_http` are hosts that may be asked without https; `site_policy` is the file of
    `tavo.registry.site_policy`.
    """

    source: str | None = None
    root: str | None = None
    organisation: str | None = None
    plain_http: tuple[str, ...] = ()
    site_policy: str | None = None


class LspSettings(NamedTuple):
    """Section [lsp]: what an editor shows, from this severity on."""

    min_severity: Severity = Severity.INFO


class Settings(NamedTuple):
    """All settings of one invocation."""

    offline: bool = False
    scan: ScanSettings = ScanSettings()
    sandbox: SandboxSettings = SandboxSettings()
    registry: RegistrySettings = RegistrySettings()
    lsp: LspSettings = LspSettings()


_FLAG, _TEXTS = "true or false", "a list of texts"
_PATH, _PATHS = "a path", "a list of paths"
_COUNT, _POSITIVE = "a whole number from 0", "a whole number from 1"
_SEVERITY = "info, low, medium, high or critical"
_CONFIDENCE = "low, medium or high"
_ORGANISATION = "the name of an organisation, such as example.com"
_LEVELS = "a list of levels and plugins, such as ['L1:tavo/model-files']"

_KINDS: dict[str, str] = {
    "offline": _FLAG,
    "scan.exclude": _TEXTS,
    "scan.max_file_bytes": _POSITIVE,
    "scan.jobs": _COUNT,
    "scan.fail_on": _SEVERITY,
    "scan.fail_on_confidence": _CONFIDENCE,
    "scan.rules": _PATHS,
    "scan.suppressions": _PATH,
    "scan.policy": _PATHS,
    "scan.policy_data": _PATHS,
    "scan.allow_incomplete": _TEXTS,
    "sandbox.accept": _LEVELS,
    "registry.source": _PATH,
    "registry.root": _PATH,
    "registry.organisation": _ORGANISATION,
    "registry.plain_http": _TEXTS,
    "registry.site_policy": _PATH,
    "lsp.min_severity": _SEVERITY,
}
_USER_ONLY = frozenset({
    "sandbox.accept", "registry.source", "registry.root", "registry.organisation",
    "registry.plain_http", "registry.site_policy",
    "scan.suppressions", "scan.policy",
    "scan.policy_data", "scan.allow_incomplete",
})  # fmt: skip
_THRESHOLDS: dict[str, Severity | Confidence] = {
    "scan.fail_on": Severity.LOW,
    "scan.fail_on_confidence": Confidence.LOW,
}
_FROM_ENVIRONMENT = {
    "TAVO_OFFLINE": "offline",
    "TAVO_EXCLUDE": "scan.exclude",
    "TAVO_MAX_FILE_BYTES": "scan.max_file_bytes",
    "TAVO_JOBS": "scan.jobs",
    "TAVO_FAIL_ON": "scan.fail_on",
    "TAVO_FAIL_ON_CONFIDENCE": "scan.fail_on_confidence",
    "TAVO_SUPPRESSIONS": "scan.suppressions",
    "TAVO_POLICY": "scan.policy",
    "TAVO_POLICY_DATA": "scan.policy_data",
    "TAVO_ALLOW_INCOMPLETE": "scan.allow_incomplete",
    "TAVO_RULES": "scan.rules",
    "TAVO_ACCEPT_SANDBOX": "sandbox.accept",
    "TAVO_REGISTRY_SOURCE": "registry.source",
    "TAVO_REGISTRY_ROOT": "registry.root",
    "TAVO_REGISTRY_ORGANISATION": "registry.organisation",
    "TAVO_REGISTRY_PLAIN_HTTP": "registry.plain_http",
    "TAVO_REGISTRY_SITE_POLICY": "registry.site_policy",
    "TAVO_LSP_MIN_SEVERITY": "lsp.min_severity",
}
_ELSEWHERE = (
    "TAVO_TEST_", "TAVO_CACHE", "TAVO_KEY_PASSPHRASE", "TAVO_KEYS", "TAVO_MARKET", "TAVO_TOKEN",
)  # fmt: skip
"""Variables with these beginnings are not settings: of the tests, and of `tavo.onefile.cache`."""

_SECTIONS = frozenset(key.split(".")[0] for key in _KINDS if "." in key)
_NAMED = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,98}[a-z0-9])?")
_LEVEL = re.compile(r"L[0-3]:(?:[a-z0-9][a-z0-9-]*/)?[a-z0-9][a-z0-9-]*\Z")


def load_settings(
    *,
    project_file: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    user_file: Path | None = None,
    folder: Path | None = None,
    with_project: bool = True,
) -> Settings:
    """Merge all sources. Raises ConfigError naming the file, the key, and what was expected.

    `project_file` replaces `tavo.toml` of `folder` (default: the current one) and must exist;
    without it, and not `with_project`, no project has a say.
    `flags` has dotted keys; entries that are None count as not given.
    """
    variables = os.environ if environment is None else environment
    here = folder or Path.cwd()
    users = user_file or _user_file(variables)
    merged: dict[str, Any] = {}
    if users is not None:
        values = _read(users, required=False)
        merged |= _checked(values, str(users), base=users.absolute().parent)
    if project_file is not None or with_project:
        project = project_file or here / PROJECT_FILE
        found = _project(project, users, required=project_file is not None)
        _refuse_weaker(found, merged, project, users)
        merged |= found
    merged |= _environment(variables, base=here)
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    merged |= _checked(given, "the command line", base=here)
    return _settings(merged)


def load_project(folder: Path) -> Mapping[str, Any]:
    """Return what the project in a folder sets, with dotted keys. Raises ConfigError."""
    return _project(folder / PROJECT_FILE, None, required=False)


def _project(file: Path, users: Path | None, *, required: bool) -> dict[str, Any]:
    values = _read(file, required=required)
    _refuse_trust(values, file, users)
    return _checked(values, str(file), base=file.absolute().parent)


def _user_file(variables: Mapping[str, str]) -> Path | None:
    """Return the user's file; None where there is no home, which a plain scan does not need."""
    try:
        return user_paths(variables).config / PROJECT_FILE
    except ConfigError:
        return None


def _read(file: Path, *, required: bool) -> dict[str, Any]:
    """Return a file's settings with dotted keys."""
    try:
        if not stat.S_ISREG(file.stat().st_mode):
            raise ConfigError(f"{file}: not a regular file")
        with file.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except (FileNotFoundError, NotADirectoryError):
        if required:
            raise ConfigError(
                f"{file}: no such file", hint="Check the path given with --config."
            ) from None
        return {}
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    if len(data) > _LARGEST:
        raise ConfigError(f"{file}: larger than {_LARGEST} bytes")
    import tomllib

    try:
        value = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(
            f"{file}: not TOML: {error}", hint="Texts need quotes; sections are [scan]."
        ) from None
    out: dict[str, Any] = {}
    for key, content in value.items():
        if isinstance(content, dict):
            if key not in _SECTIONS:
                raise ConfigError(
                    f"{file}: unknown section [{key}]", hint=_nearest(key, sorted(_SECTIONS))
                )
            out.update({f"{key}.{name}": item for name, item in content.items()})
        elif key in _SECTIONS:
            raise ConfigError(f"{file}: {key} is {content!r}, expected a section [{key}]")
        else:
            out[key] = content
    return out


def _refuse_trust(values: Mapping[str, Any], project: Path, users: Path | None) -> None:
    """Refuse what only the user decides, in a file that the scanned project brings along."""
    for key, value in values.items():
        if key in _USER_ONLY:
            raise ConfigError(
                f"{project}: {key} may not be set by a project, it decides about trust",
                hint=f"Set it in {users} if you want it."
                if users
                else "Set it in the user's file.",
            )
        if key == "offline" and value is False:
            raise ConfigError(
                f"{project}: offline may only be switched on by a project, not off",
                hint="Take the line out: the network is allowed unless someone forbids it.",
            )


def _refuse_weaker(
    found: Mapping[str, Any], merged: Mapping[str, Any], project: Path, users: Path | None
) -> None:
    """Refuse a threshold of the project that lets more pass than the user's or the default one."""
    for key, default in _THRESHOLDS.items():
        most = merged.get(key, default)
        if key in found and found[key] > most:
            name = key.partition(".")[2]
            raise ConfigError(
                f"{project}: {key} is {found[key].value}, and a project may not let more pass than"
                f" {most.value}",
                hint=f"Whoever runs the scan can: --{name.replace('_', '-')} {found[key].value},"
                f" TAVO_{name.upper()}, or {name} in {users or 'the file of the user'}.",
            )


def _environment(variables: Mapping[str, str], *, base: Path) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for variable in sorted(variables):
        if not variable.startswith("TAVO_") or variable.startswith(_ELSEWHERE):
            continue
        if variable not in _FROM_ENVIRONMENT:
            raise ConfigError(
                f"unknown variable {variable}", hint=_nearest(variable, list(_FROM_ENVIRONMENT))
            )
        text = variables[variable].strip()
        if text:
            key = _FROM_ENVIRONMENT[variable]
            value = {key: _from_text(text, _KINDS[key])}
            out |= _checked(value, f"the variable {variable}", base=base)
    return out


def _from_text(text: str, kind: str) -> Any:
    """Return the value that a file would have held; a text that does not fit stays a text."""
    if kind == _FLAG:
        return {"1": True, "true": True, "0": False, "false": False}.get(text.lower(), text)
    if kind in (_COUNT, _POSITIVE):
        return int(text) if text.isascii() and text.isdecimal() else text
    if kind in (_TEXTS, _PATHS, _LEVELS):
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _checked(values: Mapping[str, Any], where: str, *, base: Path) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in values.items():
        if key not in _KINDS:
            raise ConfigError(f"{where}: unknown key {key!r}", hint=_nearest(key, list(_KINDS)))
        out[key] = _converted(key, value, where, base)
    return out


def _nearest(name: str, known: Sequence[str]) -> str:
    import difflib  # only for mistakes

    near = difflib.get_close_matches(name, known, n=1)
    if not near:  # the right name in the wrong section, or in none
        near = [other for other in known if other.split(".")[-1] == name.split(".")[-1]]
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known)}."


def _converted(key: str, value: Any, where: str, base: Path) -> Any:
    kind = _KINDS[key]
    wrong = ConfigError(f"{where}: {key} is {value!r}, expected {kind}")
    if kind == _FLAG and isinstance(value, bool):
        return value
    if kind in (_COUNT, _POSITIVE) and isinstance(value, int) and not isinstance(value, bool):
        if value >= (0 if kind == _COUNT else 1):
            return value
        raise wrong
    if kind in (_TEXTS, _PATHS, _LEVELS) and isinstance(value, list | tuple):
        if not all(isinstance(entry, str) and entry for entry in value):
            raise wrong
        if kind == _LEVELS and not all(_LEVEL.match(entry) for entry in value):
            raise wrong
        return tuple(_anchored(entry, base) if kind == _PATHS else entry for entry in value)
    if kind == _SEVERITY:
        for severity in Severity:
            if value in (severity, severity.value):
                return severity
    if kind == _CONFIDENCE:
        for confidence in Confidence:
            if value in (confidence, confidence.value):
                return confidence
    if kind == _PATH and isinstance(value, str) and value:
        return _anchored(value, base)
    if kind == _ORGANISATION and isinstance(value, str) and _NAMED.fullmatch(value):
        return value
    raise wrong


def _anchored(value: str, base: Path) -> str:
    """Return an address as it is, and a path as one that does not depend on the current folder."""
    if "://" in value:
        return value
    try:
        return str(base / Path(value).expanduser())
    except RuntimeError:
        raise ConfigError(
            f"{value}: there is no home folder to start from", hint="Write the whole path."
        ) from None


def _settings(merged: Mapping[str, Any]) -> Settings:
    sections: dict[str, Any] = {}
    for section in Settings._fields:
        if section in merged:
            sections[section] = merged[section]
    for name, kind in (
        ("scan", ScanSettings),
        ("sandbox", SandboxSettings),
        ("registry", RegistrySettings),
        ("lsp", LspSettings),
    ):
        prefix = f"{name}."
        own = {k.removeprefix(prefix): v for k, v in merged.items() if k.startswith(prefix)}
        sections[name] = kind(**own)
    return Settings(**sections)
