"""The AI bill of materials: valid for CycloneDX, the same bytes for the same parts."""

from __future__ import annotations

import importlib.metadata
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource

from tavo.results.export.ai_bom import inventory_to_ai_bom, summary_of
from tavo.results.inventory import Inventory, Kind, Part, Place
from tavo.results.values import Notice

WHEN = datetime(2026, 11, 28, 14, 0, tzinfo=UTC)
EVERYTHING = Inventory(
    name="shop", files=12, other_packages=3,
    notices=(Notice(kind="file", subject="a\udcff.py", reason="parsed in part: line 3"),),
    parts=(
        Part(kind=Kind.MODEL, name="gpt-4o", places=(Place("a.py", 3, "named in a call"),)),
        Part(kind=Kind.MODEL, name="org/model", version="abc123",
        purl="pkg:huggingface/org/model@abc123",
             places=(Place("a.py", 4, "loaded by code"),)),
        Part(kind=Kind.MODEL, name="m.gguf", digest="0" * 64, facts=(("bytes", "7"),),
             places=(Place("m.gguf", 0, "file"),)),
        Part(kind=Kind.SERVICE, name="OpenAI", endpoints=("https://api.openai.com/v1",),
             places=(Place("a.py", 1, "client"),)),
        Part(kind=Kind.PACKAGE, name="langchain", version="1.0", purl="pkg:pypi/langchain@1.0",
             group="framework", places=(Place("uv.lock", 7, "locked"),)),
        Part(kind=Kind.PACKAGE, name="@ai-sdk/openai", purl="pkg:npm/%40ai-sdk/openai",
             group="provider library", places=(Place("package.json", 3, "required"),)),
        Part(kind=Kind.TOOL, name="search\x1b[31m \u202e", places=(Place("t.py", 9,
        "decorated function"),)),
        Part(kind=Kind.MCP_SERVER, name="files", version="1.2", facts=(("command", "npx"),),
             places=(Place("mcp.json", 2, "configured"),)),
        Part(kind=Kind.PROMPT, name="prompt 0123456789ab", digest="1" * 64,
             places=(Place("p.py", 2, "system prompt"),)),
        Part(kind=Kind.DATASET, name="squad", places=(Place("d.py", 2, "loaded by code"),)),
        Part(kind=Kind.VECTOR_STORE, name="Chroma", places=(Place("c.py", 2, "opened by code"),)),
        Part(kind=Kind.NOTEBOOK, name="n.ipynb", digest="2" * 64),
    ),
)  # fmt: skip


@pytest.fixture(scope="module")
def cyclonedx() -> jsonschema.Draft7Validator:
    """The schema of CycloneDX 1.6, as its library carries it."""
    distribution = importlib.metadata.distribution("cyclonedx-python-lib")

    def schema(name: str) -> dict[str, Any]:
        file = distribution.locate_file(f"cyclonedx/schema/_res/{name}")
        return dict(json.loads(Path(str(file)).read_text("utf-8")))

    registry: Registry[Any] = Registry().with_resources(
        (name.replace(".SNAPSHOT", ""), Resource.from_contents(schema(name)))
        for name in ("spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json")
    )
    registry = registry.with_resources(
        (f"http://cyclonedx.org/schema/{name}", Resource.from_contents(schema(name)))
        for name in ("spdx.SNAPSHOT.schema.json", "jsf-0.82.SNAPSHOT.schema.json")
    )
    return jsonschema.Draft7Validator(
        schema("bom-1.6.SNAPSHOT.schema.json"), registry=registry,
        format_checker=jsonschema.Draft7Validator.FORMAT_CHECKER,
    )  # fmt: skip


def bom(inventory: Inventory = EVERYTHING, *, when: datetime = WHEN) -> str:
    return inventory_to_ai_bom(inventory, tool_version="0.1.0", when=when)


def test_it_validates_against_the_schema_of_cyclonedx(
    cyclonedx: jsonschema.Draft7Validator,
) -> None:
    value = json.loads(bom())
    assert [error.message for error in cyclonedx.iter_errors(value)] == []
    empty = Inventory(name="x", files=0, notices=(), parts=())
    assert [error.message for error in cyclonedx.iter_errors(json.loads(bom(empty)))] == []
    value["components"][0]["type"] = "nonsense"  # the control: it does refuse
    assert list(cyclonedx.iter_errors(value))


def test_each_kind_stands_where_cyclonedx_has_it() -> None:
    value = json.loads(bom())
    types = [(one["type"], one["name"][:6]) for one in value["components"]]
    assert types == [
        ("machine-learning-model", "gpt-4o"), ("machine-learning-model", "org/mo"),
        ("machine-learning-model", "m.gguf"), ("framework", "langch"), ("library", "@ai-sd"),
        ("application", "search"), ("data", "prompt"), ("data", "squad"), ("platform", "Chroma"),
        ("file", "n.ipyn"),
    ]  # fmt: skip
    assert [one["name"] for one in value["services"]] == ["OpenAI", "files"]
    assert value["components"][0]["evidence"]["occurrences"] == [
        {"location": "a.py", "line": 3, "additionalContext": "named in a call"}
    ]
    assert value["services"][0]["endpoints"] == ["https://api.openai.com/v1"]
    assert {"name": "tavo:occurrence", "value": "a.py:1 (client)"} in value["services"][0][
        "properties"
    ]
    refs = [one["bom-ref"] for one in value["components"] + value["services"]]
    assert len(set(refs)) == len(refs)
    assert value["dependencies"][0]["dependsOn"] == sorted(refs)


def test_what_was_not_looked_at_is_in_it_and_it_never_says_that_it_is_complete() -> None:
    value = json.loads(bom())
    assert value["compositions"][0]["aggregate"] == "incomplete"
    said = {"name": "tavo:not looked at", "value": "a\\udcff.py: parsed in part: line 3"}
    assert said in value["metadata"]["properties"]
    whole = Inventory(name="x", files=1, notices=(), parts=EVERYTHING.parts)
    assert json.loads(bom(whole))["compositions"][0]["aggregate"] == "unknown"


def test_the_serial_number_is_that_of_the_content_whenever_it_was_made() -> None:
    assert bom() == bom()
    later = json.loads(bom(when=datetime(2027, 1, 1, tzinfo=UTC)))
    assert later["serialNumber"] == json.loads(bom())["serialNumber"]
    assert later["metadata"]["timestamp"] == "2027-01-01T00:00:00Z"
    other = Inventory(name="shop", files=12, notices=(), parts=EVERYTHING.parts[:3])
    assert json.loads(bom(other))["serialNumber"] != later["serialNumber"]


def test_the_text_is_ascii_and_the_summary_counts() -> None:
    assert bom().isascii()
    assert "\x1b" not in bom()
    assert summary_of(EVERYTHING) == (
        "3 models, 1 provider, 2 packages, 1 tool, 1 MCP server, 1 prompt, 1 data set,"
        " 1 vector store, 1 notebook in 12 files."
    )
