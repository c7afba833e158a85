"""An inventory as CycloneDX 1.6 JSON: an AI bill of materials.

Rules this module keeps:
- the document validates against the schema of CycloneDX, and the same inventory gives the same
  bytes: everything is sorted, and the serial number is a digest of the content;
- what was not looked at is in the document; it never calls itself complete, because a name that is
  made when the program runs stands nowhere;
- prompts are there by digest and place, not by their text.

Source: CycloneDX 1.6, "Machine Learning Bill of Materials"; Package URL specification.
"""

from __future__ import annotations

import json
import uuid
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from tavo.printable import counted
from tavo.results.inventory import Inventory, Kind, Part, Place

__all__ = ["inventory_to_ai_bom", "summary_of"]

_NAMESPACE = uuid.UUID("6f1d5a7e-3c42-5b8e-9a51-7d0c2b9e4f60")
_MOST_NOTICES = 500
_TYPES = {
    Kind.MODEL: "machine-learning-model", Kind.PACKAGE: "library", Kind.TOOL: "application",
    Kind.PROMPT: "data", Kind.DATASET: "data", Kind.VECTOR_STORE: "platform",
    Kind.NOTEBOOK: "file",
}  # fmt: skip
_DATA = {Kind.PROMPT: "definition", Kind.DATASET: "dataset"}
_NOUNS = {
    Kind.MODEL: "model", Kind.SERVICE: "provider", Kind.PACKAGE: "package", Kind.TOOL: "tool",
    Kind.MCP_SERVER: "MCP server", Kind.PROMPT: "prompt", Kind.DATASET: "data set",
    Kind.VECTOR_STORE: "vector store", Kind.NOTEBOOK: "notebook",
}  # fmt: skip
_SERVICES = frozenset({Kind.SERVICE, Kind.MCP_SERVER})


def inventory_to_ai_bom(inventory: Inventory, *, tool_version: str, when: datetime) -> str:
    """Return an inventory as CycloneDX JSON in ASCII. `when` is the time that stands in it."""
    root = f"project/{quote(inventory.name, safe='')}"
    refs = {part: _ref(part) for part in inventory.parts}
    content: dict[str, Any] = {
        "components": [
            _component(part, refs[part]) for part in inventory.parts if part.kind not in _SERVICES
        ],
        "services": [
            _service(part, refs[part]) for part in inventory.parts if part.kind in _SERVICES
        ],
        "dependencies": [
            {"ref": root, "dependsOn": sorted(refs.values())},
            *({"ref": ref} for ref in sorted(refs.values())),
        ],
        "compositions": [
            {
                "aggregate": "incomplete" if inventory.notices else "unknown",
                "assemblies": [root],
                "dependencies": [root],
            }
        ],
    }
    metadata: dict[str, Any] = {
        "lifecycles": [{"phase": "pre-build"}],
        "tools": {
            "components": [{"type": "application", "name": "tavo", "version": tool_version}]
        },
        "component": {"type": "application", "bom-ref": root, "name": inventory.name},
        "properties": _properties([
            ("tavo:files looked at", str(inventory.files)),
            ("tavo:packages that are no part of an AI system", str(inventory.other_packages)),
            *_not_done(inventory),
        ]),
    }  # fmt: skip
    serial = uuid.uuid5(_NAMESPACE, json.dumps([metadata, content], sort_keys=True))
    value = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {"timestamp": when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), **metadata},
        **content,
    }
    return json.dumps(value, indent=1, ensure_ascii=True).replace("\x7f", "\\u007f")


def summary_of(inventory: Inventory) -> str:
    """Return one sentence about an inventory."""
    counts = Counter(part.kind for part in inventory.parts)
    parts = [
        counted(counts[kind], noun)
        for kind, noun in _NOUNS.items() if counts[kind]
    ]  # fmt: skip
    files = counted(inventory.files, "file")
    return f"{', '.join(parts) or 'No part of an AI system'} in {files}."


# -- parts


def _ref(part: Part) -> str:
    name = f"{part.purl.split(':')[1].split('/')[0]}:{part.name}" if part.purl else part.name
    version = f"@{quote(part.version, safe='')}" if part.version else ""
    return f"{part.kind.value}/{quote(name, safe='')}{version}"


def _component(part: Part, ref: str) -> dict[str, Any]:
    framework = part.kind is Kind.PACKAGE and part.group == "framework"
    value: dict[str, Any] = {
        "type": "framework" if framework else _TYPES[part.kind],
        "bom-ref": ref,
        "name": _text(part.name),
    }
    if part.version:
        value["version"] = _text(part.version)
    if part.digest:
        value["hashes"] = [{"alg": "SHA-256", "content": part.digest}]
    if part.purl:
        value["purl"] = part.purl
    if part.kind in _DATA:
        value["data"] = [{"type": _DATA[part.kind], "name": _text(part.name)}]
    if part.places:
        value["evidence"] = {"occurrences": [_occurrence(place) for place in part.places]}
    value["properties"] = _properties(_facts(part))
    return value


def _service(part: Part, ref: str) -> dict[str, Any]:
    value: dict[str, Any] = {"bom-ref": ref, "name": _text(part.name)}
    if part.version:
        value["version"] = _text(part.version)
    if part.endpoints:
        value["endpoints"] = [_text(one) for one in part.endpoints]
    # A service has no evidence in CycloneDX 1.6: its places are properties.
    places = [
        ("tavo:occurrence", f"{place.path}{f':{place.line}' if place.line else ''} ({place.how})")
        for place in part.places
    ]
    value["properties"] = _properties([*_facts(part), *places])
    return value


def _facts(part: Part) -> Iterable[tuple[str, str]]:
    yield "tavo:kind", part.kind.value
    if part.group:
        yield "tavo:role", part.group
    for name, fact in part.facts:
        yield f"tavo:{name}", fact


def _occurrence(place: Place) -> dict[str, Any]:
    value: dict[str, Any] = {"location": _text(place.path), "additionalContext": place.how}
    if place.line:
        value["line"] = place.line
    return value


def _not_done(inventory: Inventory) -> Iterable[tuple[str, str]]:
    for notice in inventory.notices[:_MOST_NOTICES]:
        yield "tavo:not looked at", f"{notice.subject}: {notice.reason}"
    if len(inventory.notices) > _MOST_NOTICES:
        yield "tavo:not looked at", f"and {len(inventory.notices) - _MOST_NOTICES} more"


def _properties(
    pairs: Sequence[tuple[str, str]] | Iterable[tuple[str, str]],
) -> list[dict[str, str]]:
    return [{"name": name, "value": _text(value)} for name, value in pairs]


def _text(value: str) -> str:
    """Write bytes of file names that are no text as `\\udc80` forms."""
    return value.encode("utf-8", "backslashreplace").decode("utf-8")
