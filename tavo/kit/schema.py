"""The JSON Schemas of plugin.yaml and of the report of `tavo plugin test`, from their types.

    python -m tavo.kit.schema plugin > docs/schemas/plugin.schema.json
    python -m tavo.kit.schema test > docs/schemas/tavo-plugin-test-1.json

A plugin.yaml that fits its schema may still be refused: `tavo plugin validate` says everything.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec

from marketplace_db.manifest import Manifest

__all__ = ["manifest_schema", "report_schema", "schema_of", "schema_text"]

_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def manifest_schema() -> dict[str, Any]:
    """Return the schema of plugin.yaml, JSON Schema 2020-12."""
    schema = schema_of(Manifest, "plugin.yaml of tavo, plugin API 1")
    return {**schema, "patternProperties": {"^x-": {}}}


def report_schema() -> dict[str, Any]:
    """Return the schema of the report of `tavo plugin test --json`."""
    from tavo.kit.suite import SuiteReport

    return schema_of(SuiteReport, "What tavo plugin test found, version 1")


def schema_text(schema: dict[str, Any]) -> str:
    """Return a schema as it stands in the documentation."""
    return json.dumps(schema, indent=2, sort_keys=True) + "\n"


def schema_of(struct: type, title: str) -> dict[str, Any]:
    """Return the JSON Schema 2020-12 of one of our forms."""
    _, parts = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    whole = parts.pop(struct.__name__)
    return {"$schema": _DRAFT, **whole, "title": title, "$defs": parts}


if __name__ == "__main__":
    made = report_schema() if sys.argv[1:] == ["test"] else manifest_schema()
    sys.stdout.write(schema_text(made))
