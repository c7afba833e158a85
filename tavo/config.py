"""tavo.toml, the environment and flags, merged once into frozen settings; and where files go.

Rules this module keeps:
- flags win over the environment, the project file, the user file, the defaults, in this order;
- an unknown key is an error that names the nearest right one;
- the project file belongs to the scanned project, so it can never weaken a check: what decides
  about trust stands in the user file only, and is refused by name elsewhere.

Units: sizes in bytes.
"""

from __future__ import annotations

import difflib
import os
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from tavo.errors import ConfigError
from tavo.plugins import Severity

__all__ = [
    "PROJECT_FILE",
    "Paths",
    "RegistrySettings",
    "SandboxSettings",
    "ScanSettings",
    "Settings",
    "load_settings",
    "user_paths",
]

PROJECT_FILE = "tavo.toml"
_LARGEST = 256 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanSettings:
    """Section [scan]: what is scanned, with which rules, and what fails."""

    exclude: tuple[str, ...] = ()
    max_file_bytes: int = 2 << 20
    jobs: int = 0
    fail_on: Severity = Severity.LOW
    rules: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSettings:
    """Section [sandbox], user file only: accepted lower levels, such as `L1:tavo/model-files`."""

    accept: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """Section [registry], user file only: the source of the catalog and its trusted root."""

    source: str | None = None
    root: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All settings of one invocation."""

    offline: bool = False
    scan: ScanSettings = field(default_factory=ScanSettings)
    sandbox: SandboxSettings = field(default_factory=SandboxSettings)
    registry: RegistrySettings = field(default_factory=RegistrySettings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paths:
    """The folders of this user, by the conventions of the system."""

    config: Path
    data: Path
    state: Path
    cache: Path


_KINDS: dict[str, str] = {
    "offline": "true or false",
    "scan.exclude": "a list of texts",
    "scan.max_file_bytes": "a whole number from 1",
    "scan.jobs": "a whole number from 0",
    "scan.fail_on": "info, low, medium, high or critical",
    "scan.rules": "a list of texts",
    "sandbox.accept": "a list of texts",
    "registry.source": "a text",
    "registry.root": "a text",
}
_USER_ONLY = frozenset({"sandbox.accept", "registry.source", "registry.root"})
_FROM_ENVIRONMENT = {
    "TAVO_OFFLINE": "offline",
    "TAVO_JOBS": "scan.jobs",
    "TAVO_FAIL_ON": "scan.fail_on",
    "TAVO_REGISTRY_SOURCE": "registry.source",
    "TAVO_REGISTRY_ROOT": "registry.root",
    "TAVO_ACCEPT_SANDBOX": "sandbox.accept",
}


def load_settings(
    *,
    project_file: Path | None = None,
    flags: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
    user_file: Path | None = None,
    folder: Path | None = None,
) -> Settings:
    """Merge all sources. Raises ConfigError naming the file, the key, and what was expected.

    `project_file` replaces `tavo.toml` of `folder` (default: the current one) and must exist.
    `flags` has dotted keys; entries that are None count as not given.
    """
    variables = os.environ if environment is None else environment
    merged: dict[str, Any] = {}
    for file, is_user in (
        (user_file or user_paths(variables).config / PROJECT_FILE, True),
        (project_file or (folder or Path.cwd()) / PROJECT_FILE, False),
    ):
        required = not is_user and project_file is not None
        merged |= _checked(_read(file, required=required), str(file), is_user=is_user)
    merged |= _environment(variables)
    given = {key: value for key, value in (flags or {}).items() if value is not None}
    merged |= _checked(given, "the command line", is_user=True)
    return _settings(merged)


def user_paths(environment: Mapping[str, str] | None = None) -> Paths:
    """Return this user's folders. Raises ConfigError where there is no home folder."""
    variables = os.environ if environment is None else environment
    home = _home(variables)
    if sys.platform == "win32":
        local = Path(variables.get("LOCALAPPDATA") or home / "AppData" / "Local") / "tavo"
        return Paths(
            config=local, data=local / "data", state=local / "state", cache=local / "cache"
        )
    if sys.platform == "darwin":
        support = home / "Library" / "Application Support" / "tavo"
        return Paths(
            config=support,
            data=support / "data",
            state=support / "state",
            cache=home / "Library" / "Caches" / "tavo",
        )

    def folder(variable: str, *default: str) -> Path:
        value = variables.get(variable, "")
        base = Path(value) if value and Path(value).is_absolute() else home.joinpath(*default)
        return base / "tavo"

    return Paths(
        config=folder("XDG_CONFIG_HOME", ".config"),
        data=folder("XDG_DATA_HOME", ".local", "share"),
        state=folder("XDG_STATE_HOME", ".local", "state"),
        cache=folder("XDG_CACHE_HOME", ".cache"),
    )


def _home(variables: Mapping[str, str]) -> Path:
    value = variables.get("USERPROFILE" if sys.platform == "win32" else "HOME", "")
    if value and Path(value).is_absolute():
        return Path(value)
    try:
        return Path("~").expanduser().resolve()
    except RuntimeError:
        raise ConfigError(
            "this user has no home folder, so there is no place for settings and plugins",
            hint="Set HOME, or XDG_CONFIG_HOME, XDG_DATA_HOME, XDG_STATE_HOME and XDG_CACHE_HOME.",
        ) from None


def _read(file: Path, *, required: bool) -> dict[str, Any]:
    """Return a file's settings with dotted keys."""
    try:
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
    try:
        value = tomllib.loads(data.decode("utf-8"))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"{file}: not TOML: {error}") from None
    out: dict[str, Any] = {}
    for key, content in value.items():
        if isinstance(content, dict):
            out.update({f"{key}.{name}": item for name, item in content.items()})
        else:
            out[key] = content
    return out


def _environment(variables: Mapping[str, str]) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for variable, key in _FROM_ENVIRONMENT.items():
        text = variables.get(variable, "").strip()
        if not text:
            continue
        kind = _KINDS[key]
        value: Any = text
        if kind == "true or false":
            value = {"1": True, "true": True, "0": False, "false": False}.get(text.lower(), text)
        elif kind.startswith("a whole number"):
            value = int(text) if text.isdecimal() else text
        elif kind == "a list of texts":
            value = [part.strip() for part in text.split(",") if part.strip()]
        out |= _checked({key: value}, f"the variable {variable}", is_user=True)
    return out


def _checked(values: Mapping[str, Any], where: str, *, is_user: bool) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for key, value in values.items():
        if key not in _KINDS:
            near = difflib.get_close_matches(key, _KINDS, n=1)
            raise ConfigError(
                f"{where}: unknown key {key!r}",
                hint=f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(_KINDS)}.",
            )
        if key in _USER_ONLY and not is_user:
            raise ConfigError(
                f"{where}: {key} may not be set by a project, it decides about trust",
                hint=f"Set it in {user_paths().config / PROJECT_FILE} if you want it.",
            )
        out[key] = _converted(key, value, where)
    return out


def _converted(key: str, value: Any, where: str) -> Any:
    kind = _KINDS[key]
    wrong = ConfigError(f"{where}: {key} is {value!r}, expected {kind}")
    if kind == "true or false":
        if not isinstance(value, bool):
            raise wrong
        return value
    if kind.startswith("a whole number"):
        least = int(kind[-1])
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise wrong
        return value
    if kind == "a list of texts":
        if not isinstance(value, list | tuple) or not all(isinstance(v, str) for v in value):
            raise wrong
        return tuple(value)
    if key == "scan.fail_on":
        if isinstance(value, Severity):
            return value
        try:
            return Severity(value)
        except ValueError:
            raise wrong from None
    if not isinstance(value, str) or not value:
        raise wrong
    return value


def _settings(merged: Mapping[str, Any]) -> Settings:
    sections: dict[str, Any] = {}
    for section in fields(Settings):
        if section.name in merged:
            sections[section.name] = merged[section.name]
    for name, kind in (
        ("scan", ScanSettings),
        ("sandbox", SandboxSettings),
        ("registry", RegistrySettings),
    ):
        prefix = f"{name}."
        own = {k.removeprefix(prefix): v for k, v in merged.items() if k.startswith(prefix)}
        sections[name] = kind(**own)
    return Settings(**sections)
