"""The file of prices that a budget in money is counted by: the `prices` of a proxy.yaml.

    prices:
      small: {input: 0.5, output: 1.5}
      "gpt-*": {input: 2.5, output: 10, cached: 1.25}

Units: US dollars for a million tokens.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from tavo.errors import ConfigError, InputError
from tavo.llm.prices import Price

__all__ = ["read_prices"]

_LARGEST = 1 << 20


def read_prices(path: Path) -> dict[str, Price]:
    """Return the prices of a file, whatever else is in it. Raises ConfigError, InputError."""
    from marketplace_db.errors import ManifestError
    from marketplace_db.strict_yaml import load_yaml

    hint = "Write `prices: {small: {input: 0.5, output: 1.5}}`, or name a proxy.yaml with prices."
    try:
        found = load_yaml(path.read_bytes(), name=path.name, limit=_LARGEST)
        return msgspec.convert(
            found.get("prices") if isinstance(found, dict) else None, dict[str, Price]
        )
    except OSError as error:
        raise InputError(f"prices: {path}: {error.strerror or error}", hint=hint) from error
    except (ManifestError, msgspec.ValidationError) as error:
        raise ConfigError(f"prices: {path}: {error}", hint=hint) from error
