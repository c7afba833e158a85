"""The JSON Schema of plugin.yaml, for editors: made from the types that read it.

    python -m tavo.kit.schema > docs/schemas/plugin.schema.json

A file that fits the schema may still be refused: `tavo plugin validate` says everything.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec

from marketplace_db.manifest import Manifest

__all__ = ["manifest_schema", "schema_text"]


def manifest_schema() -> dict[str, Any]:
    """Return the schema, JSON Schema 2020-12."""
    (schema,), parts = msgspec.json.schema_components([Manifest], ref_template="#/$defs/{name}")
    manifest = parts.pop("Manifest")
    assert schema == {"$ref": "#/$defs/Manifest"}  # noqa: S101
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "plugin.yaml of tavo, plugin API 1",
        **{key: value for key, value in manifest.items() if key != "title"},
        "patternProperties": {"^x-": {}},
        "$defs": parts,
    }


def schema_text() -> str:
    """Return the schema as it stands in the documentation."""
    return json.dumps(manifest_schema(), indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.stdout.write(schema_text())
