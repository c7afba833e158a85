"""What an AI system is made of, as it was found: models, services, packages, tools, prompts, data.

Rules this module keeps:
- a part has a kind, a name and the places where it was seen; equal parts are one;
- a text that is a prompt is never held here, only its digest.

Units: lines from 1, None for a file as a whole; digests are SHA-256 in hexadecimal.
"""

from __future__ import annotations

import enum

import msgspec

from tavo.results.values import Notice

__all__ = ["Inventory", "Kind", "Part", "Place"]


class Kind(enum.StrEnum):
    """What a part is."""

    MODEL = "model"
    SERVICE = "service"
    PACKAGE = "package"
    TOOL = "tool"
    MCP_SERVER = "mcp-server"
    PROMPT = "prompt"
    DATASET = "dataset"
    VECTOR_STORE = "vector-store"
    NOTEBOOK = "notebook"


class Place(msgspec.Struct, frozen=True, order=True):
    """Where a part was seen, and how, such as `named in a call`."""

    path: str
    line: int
    how: str


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part. `purl` is its package URL, `group` what it belongs to, such as a package's role.

    `endpoints` are addresses of a service, without names, passwords and queries; `facts` are other
    properties by their names.
    """

    kind: Kind
    name: str
    version: str = ""
    purl: str = ""
    group: str = ""
    digest: str = ""
    endpoints: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    places: tuple[Place, ...] = ()


class Inventory(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a project, sorted. `files` were looked at; `notices` are about what was not.

    `other_packages` counts those in manifests that are no part of an AI system.
    """

    name: str
    parts: tuple[Part, ...]
    files: int
    notices: tuple[Notice, ...]
    other_packages: int = 0
