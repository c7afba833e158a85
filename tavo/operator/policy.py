"""What an operator asks of packages: `market.toml` beside the market's database.

    [vetting]
    required = ["package", "scan"]       # checks without which nothing is approved
    licences = ["Apache-2.0", "MIT"]     # SPDX ids of plugins and their wheels

    [service]                            # `marketplace_db.web.limits.ServiceLimits`
    writes_per_minute = 60

    [execution]                          # `marketplace_db.execution_limits.ExecutionLimits`
    enabled = true

Rules this module keeps:
- without the file, or a key of it, the strict values here hold;
- an unknown key is an error that names the nearest right one: a misspelt rule is no rule.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from tavo.errors import ConfigError
from tavo.operator.vetting import NAMES

if TYPE_CHECKING:
    from marketplace_db.execution_limits import ExecutionLimits
    from marketplace_db.web.limits import ServiceLimits

__all__ = [
    "POLICY_NAME",
    "Policy",
    "limits_of_nobody",
    "read_execution",
    "read_policy",
    "read_service",
]

POLICY_NAME = "market.toml"
T = TypeVar("T", bound=msgspec.Struct)

_LARGEST = 64 * 1024
_SECTIONS = ("vetting", "service", "execution")
_OPTIONAL = frozenset({"source"})
_LICENCES = (
    "0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "MIT",
    "MIT-0", "MPL-2.0", "PSF-2.0", "Python-2.0", "Unlicense", "Zlib",
)  # fmt: skip


class Policy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must have been done before an approval, and which licences are taken."""

    required: tuple[str, ...] = tuple(name for name in NAMES if name not in _OPTIONAL)
    licences: tuple[str, ...] = _LICENCES


def read_policy(market: Path) -> Policy:
    """Read the policy of the market in a folder. Raises ConfigError."""
    path = market / POLICY_NAME
    vetting = _section(market, "vetting", Policy.__struct_fields__)
    try:
        policy = msgspec.convert(vetting, Policy)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: [vetting]: {error}", hint="Both are lists of texts.") from None
    for name in policy.required:
        if name not in NAMES:
            raise ConfigError(f"{path}: there is no check {name!r}", hint=_near(name, NAMES))
    try:
        licences = tuple(str(canonicalize_license_expression(one)) for one in policy.licences)
    except InvalidLicenseExpression as error:
        raise ConfigError(f"{path}: licences: {error}", hint="Name SPDX ids like MIT.") from None
    return msgspec.structs.replace(policy, licences=licences)


def read_service(market: Path) -> ServiceLimits:
    """Read what the service of the market in a folder allows. Raises ConfigError."""
    from marketplace_db.web.limits import ServiceLimits

    return _read(market, "service", ServiceLimits)


def read_execution(market: Path) -> ExecutionLimits:
    """Read what the operator of the market in a folder lets others run. Raises ConfigError."""
    from marketplace_db.execution_limits import ExecutionLimits

    return _read(market, "execution", ExecutionLimits)


def limits_of_nobody(market: Path, known: Collection[str]) -> list[str]:
    """Say which limits in market.toml are for an organisation that there is not.

    They stay allowed: an organisation may be added after its limits. Raises ConfigError.
    """
    place = f"{market / POLICY_NAME}: [execution.organizations"
    return [
        f"{place}.{name}]: there is no such organisation. {_near(name, tuple(known))}"
        for name in read_execution(market).organizations
        if name not in known
    ]


def _read(market: Path, name: str, form: type[T]) -> T:
    """Return a section of market.toml in its form, whose defaults hold without it."""
    section = _section(market, name, form.__struct_fields__)
    try:
        return msgspec.convert(section, form)
    except msgspec.ValidationError as error:
        raise ConfigError(
            f"{market / POLICY_NAME}: [{name}]: {error}",
            hint="The operator guide has a table of its keys.",
        ) from None


def _section(market: Path, name: str, known: tuple[str, ...]) -> dict[str, Any]:
    """Return a section of market.toml, empty where there is none. Raises ConfigError."""
    path = market / POLICY_NAME
    try:
        with path.open("rb") as stream:
            data = stream.read(_LARGEST + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        if len(data) > _LARGEST:
            raise ValueError(f"larger than {_LARGEST} bytes")
        document = tomllib.loads(data.decode())
    except (ValueError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: is not TOML: {error}") from None
    _check_keys(document, _SECTIONS, f"{path}")
    section = document.get(name, {})
    if not isinstance(section, dict):
        raise ConfigError(f"{path}: {name} is a section: [{name}]")
    _check_keys(section, known, f"{path}: [{name}]")
    return section


def _check_keys(found: dict[str, Any], known: tuple[str, ...], where: str) -> None:
    for key in found:
        if key not in known:
            raise ConfigError(f"{where}: unknown key {key!r}", hint=_near(key, known))


def _near(name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"Known: {', '.join(known) or 'none'}."
