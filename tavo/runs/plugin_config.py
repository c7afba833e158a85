"""What users configure for plugins: files in JSON, YAML or TOML, by plugin or for one.

Rules this module keeps:
- plain values only, bounded in size and depth;
- a name that is not among the plugins of the run is an error: a configuration that reaches nobody
  looks like one that works.

Units: sizes in bytes.
"""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from marketplace_db.catalog import full_id_of
from marketplace_db.errors import MarketplaceError
from marketplace_db.strict_yaml import load_yaml
from tavo.errors import ConfigError

__all__ = ["by_plugin", "for_one", "read_config"]

_LARGEST = 256 * 1024


def read_config(path: Path | None) -> dict[str, Any]:
    """Read a table from a file: TOML and JSON by their suffix, else YAML; None gives nothing.

    Raises ConfigError.
    """
    if path is None:
        return {}
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be read: {error.strerror or error}",
            hint="Check the path given with --plugin-config.",
        ) from error
    if len(data) > _LARGEST:
        raise ConfigError(f"{path}: is larger than {_LARGEST} bytes")
    kind = {".json": "JSON", ".toml": "TOML"}.get(path.suffix.lower(), "YAML")
    try:
        if kind == "JSON":
            value = json.loads(data.decode("utf-8"))
        elif kind == "TOML":
            value = tomllib.loads(data.decode("utf-8"))
        else:
            value = load_yaml(data, name=str(path), limit=_LARGEST)
    except MarketplaceError as error:
        raise ConfigError(str(error), hint="Write plain YAML: no anchors, no tags.") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: is not {kind}: {error}") from None
    if not isinstance(value, dict):
        raise ConfigError(
            f"{path}: holds {type(value).__name__}, expected names with values",
            hint="Write for example `tavo/model-files: {most: 3}`.",
        )
    return value


def for_one(values: Mapping[str, Any], full_id: str) -> dict[str, Any]:
    """Return the configuration of one plugin: all values, or its own where they are by plugin."""
    own = values.get(full_id)
    return dict(own if isinstance(own, dict) else values)


def by_plugin(
    values: Mapping[str, Any], plugins: Iterable[str], *, where: str
) -> dict[str, dict[str, Any]]:
    """Return the configuration of each plugin; a bare name means `tavo/name`.

    `plugins` are the full ids of the run, `where` stands in messages. Raises ConfigError.
    """
    known = sorted(plugins)
    configs: dict[str, dict[str, Any]] = {}
    for name, config in values.items():
        full_id = full_id_of(name)
        if full_id not in known:
            near = difflib.get_close_matches(full_id, known, n=1)
            raise ConfigError(
                f"{where}: {name!r} is no plugin of this run",
                hint=f"Did you mean {near[0]!r}?" if near else f"The plugins: {', '.join(known)}.",
            )
        if full_id in configs:
            raise ConfigError(f"{where}: {full_id} is there twice")
        if not isinstance(config, dict):
            raise ConfigError(f"{where}: {name}: expected names with values, not {config!r}")
        configs[full_id] = config
    return configs
