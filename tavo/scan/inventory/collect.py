"""Hits of the inventory's rules, manifests and files -> the parts of a project.

Rules this module keeps:
- a part is its kind and name; what several places say about it is joined, and places are bounded;
- addresses lose user names, passwords and queries; arguments of programs are not kept, only the
  package that they name; of a prompt only its digest;
- the order of what comes in does not matter: the same project gives the same parts.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit

from tavo.plugins import Finding, Region, Rule
from tavo.results.inventory import Inventory, Kind, Part, Place
from tavo.results.values import Notice
from tavo.scan import packs
from tavo.scan.inventory.known import normalised, package_of_import, role_of
from tavo.scan.inventory.manifests import Declared

__all__ = ["INVENTORY_PACK", "Collector", "text_of_region"]

INVENTORY_PACK = Path(next(iter(packs.__path__))) / "ai_inventory"
"""The rules that find parts. They are no findings: a scan for flaws does not read them."""

_MOST_PLACES = 200
_LONGEST_NAME = 200
_RUNNERS = frozenset({"npx", "bunx", "pnpx", "uvx", "pipx", "docker", "podman"})
_WORDS = frozenset({"run", "exec", "dlx", "-m", "tool"})
_PACKAGE = re.compile(r"(?P<name>(?:@[\w.-]+/)?[A-Za-z0-9][\w.-]*)(?:@(?P<version>[\w.^~-]+))?")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_NO_MODEL = re.compile(
    r"(?i)(https?:|\.{0,2}/|.*\.(py|js|ts|json|ya?ml|txt|md|html|sql)$)"
    r"|(?:true|false|none|null|default|auto|string|str|model|test|user|name|id|text|unknown|custom)$"
)


class _Seen:
    """What is known of one part so far."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.places: set[Place] = set()
        self.endpoints: set[str] = set()
        self.versions: set[tuple[int, str]] = set()
        self.facts: set[tuple[str, str]] = set()
        self.group = ""
        self.purl = ""
        self.digest = ""


class Collector:
    """Collects parts. Add what was found in any order, then take the inventory.

    `own_modules` are the packages of Python that the project itself holds.
    """

    def __init__(self, *, own_modules: frozenset[str] = frozenset()) -> None:
        self._own_modules = own_modules
        self._parts: dict[tuple[Kind, str], _Seen] = {}
        self._other: set[tuple[str, str]] = set()

    def add_hit(self, finding: Finding, rule: Rule, text: Callable[[], str | None]) -> None:
        """Take over what a rule of the pack found; `text` returns the literal at its place."""
        kind, *more = rule.tags
        region = finding.location.region
        place = Place(str(finding.location.path), region.start_line if region else 0, rule.title)
        given = {name.lstrip("$"): value for name, value in finding.evidence.items()}
        if kind == "import":
            module = given.get("NAME", "")
            if more[0] != "pypi" or module.partition(".")[0] not in self._own_modules:
                self._package(more[0], package_of_import(more[0], module), place)
        elif kind == "service":
            self._service(more[0] if more else "", given, place)
        elif kind == "prompt":
            self._prompt(text(), place)
        elif kind == "mcp-server":
            self._mcp_server(given, place)
        else:
            name = more[0] if more else given.get("NAME") or given.get("1", "")
            self._named(Kind(kind), name, given.get("REVISION", ""), place)

    def add_declared(self, path: PurePosixPath, found: Iterable[Declared]) -> None:
        """Take over the packages that a manifest names."""
        for one in found:
            if not role_of(one.ecosystem, one.name):
                self._other.add((one.ecosystem, normalised(one.ecosystem, one.name)))
                continue
            how = "locked" if one.version and not one.wanted else "required"
            place = Place(str(path), one.line, how)
            seen = self._package(one.ecosystem, one.name, place)
            if one.version:
                seen.versions.add((1 if how == "locked" else 0, one.version))
            elif one.wanted:
                seen.facts.add(("wanted", one.wanted[:_LONGEST_NAME]))

    def add_file(self, kind: Kind, path: PurePosixPath, digest: str, size: int | None) -> None:
        """Take over a file that is a part by itself; no digest where it could not be made."""
        name = f"prompt {digest[:12]}" if kind is Kind.PROMPT and digest else str(path)
        seen = self._seen(kind, name)
        seen.digest = digest
        if size is not None:
            seen.facts.add(("bytes", str(size)))
        seen.places.add(Place(str(path), 0, "file"))

    def inventory(self, name: str, *, files: int, notices: Iterable[Notice]) -> Inventory:
        """Return everything that was collected, sorted."""
        self._join_addresses()
        parts = [_part(kind, seen) for (kind, _), seen in self._parts.items()]
        return Inventory(
            name=name,
            parts=tuple(sorted(parts, key=lambda one: (one.kind, one.name, one.version))),
            files=files,
            notices=tuple(notices),
            other_packages=len(self._other),
        )

    # -- one kind each

    def _seen(self, kind: Kind, name: str) -> _Seen:
        name = name.strip()[:_LONGEST_NAME]
        seen = self._parts.setdefault((kind, name.lower()), _Seen())
        seen.names.add(name)
        return seen

    def _named(self, kind: Kind, name: str, revision: str, place: Place) -> None:
        if not name.strip() or "…" in name or (kind is Kind.MODEL and _NO_MODEL.match(name)):
            return
        seen = self._seen(kind, name)
        seen.places.add(place)
        if revision and "…" not in revision:
            seen.versions.add((1, revision))
        loaded = place.how in ("loaded by code", "downloaded by code")
        if kind is Kind.MODEL and loaded and _REPOSITORY.fullmatch(name):
            seen.purl = f"pkg:huggingface/{name}"

    def _package(self, ecosystem: str, name: str, place: Place) -> _Seen:
        if not name:
            return _Seen()
        name = normalised(ecosystem, name)
        role = role_of(ecosystem, name)
        seen = self._seen(Kind.PACKAGE, f"{ecosystem}:{name}")
        seen.purl = f"pkg:{ecosystem}/{quote(name, safe='/')}"
        seen.group = role
        seen.places.add(place)
        return seen

    def _service(self, provider: str, given: Mapping[str, str], place: Place) -> None:
        address = _clean_address(given.get("ADDRESS", ""))
        name = provider or urlsplit(address).netloc
        if not name:
            return
        seen = self._seen(Kind.SERVICE, name)
        seen.places.add(place)
        if address:
            seen.endpoints.add(address)

    def _join_addresses(self) -> None:
        """Let a service that is only an address be its provider, where that is known by now."""
        services = {key: seen for key, seen in self._parts.items() if key[0] is Kind.SERVICE}
        hosts: dict[str, tuple[Kind, str]] = {}
        for key in sorted(services):
            for address in services[key].endpoints:
                if urlsplit(address).netloc != key[1]:
                    hosts.setdefault(urlsplit(address).netloc, key)
        for key, seen in services.items():
            if key[1] in hosts:
                provider = self._parts[hosts[key[1]]]
                provider.places |= seen.places
                provider.endpoints |= seen.endpoints
                del self._parts[key]

    def _prompt(self, text: str | None, place: Place) -> None:
        if not text:
            return
        digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        seen = self._seen(Kind.PROMPT, f"prompt {digest[:12]}")
        seen.digest = digest
        seen.facts.add(("characters", str(len(text))))
        seen.places.add(place)

    def _mcp_server(self, given: Mapping[str, str], place: Place) -> None:
        address = _clean_address(given.get("ADDRESS", "").strip("\"'"))
        command = PurePosixPath(given.get("COMMAND", "").strip("\"'").replace("\\", "/")).name
        name = given.get("NAME", "").strip("\"'") or urlsplit(address).netloc
        if not name or "…" in name:
            return
        seen = self._seen(Kind.MCP_SERVER, name)
        seen.places.add(place)
        if address:
            seen.endpoints.add(address)
        runner = command or PurePosixPath(name).name
        if command:
            seen.facts.add(("command", command[:_LONGEST_NAME]))
        package = _package_in(given.get("ARGUMENTS", "")) if runner in _RUNNERS else None
        if package is not None:
            seen.facts.add(("package", package["name"]))
            if package["version"]:
                seen.versions.add((1, package["version"]))


def text_of_region(source: str, region: Region | None) -> str | None:
    """Return the text of a region of a source."""
    if region is None:
        return None
    lines = source.split("\n")[region.start_line - 1 : region.end_line]
    if not lines:
        return None
    lines[-1] = lines[-1][: region.end_column - 1]
    lines[0] = lines[0][region.start_column - 1 :]
    return "\n".join(lines)


def _part(kind: Kind, seen: _Seen) -> Part:
    name = min(seen.names)
    if kind is Kind.PACKAGE:
        name = name.partition(":")[2]
    versions = sorted(seen.versions, reverse=True)
    version = versions[0][1] if versions else ""
    others = sorted({one for _, one in versions} - {version})
    facts = {*seen.facts, *(("other version", one) for one in others)}
    if len(seen.places) > _MOST_PLACES:
        facts.add(("more places", str(len(seen.places) - _MOST_PLACES)))
    purl = f"{seen.purl}@{quote(version, safe='.+')}" if seen.purl and version else seen.purl
    return Part(
        kind=kind, name=name, version=version, purl=purl, group=seen.group, digest=seen.digest,
        endpoints=tuple(sorted(seen.endpoints)), facts=tuple(sorted(facts)),
        places=tuple(sorted(seen.places)[:_MOST_PLACES]),
    )  # fmt: skip


def _clean_address(address: str) -> str:
    """Return an address without user, password, query and fragment; empty for none."""
    try:
        split = urlsplit(address.rstrip("…"))
        port = f":{split.port}" if split.port else ""
        host = split.hostname or ""
    except ValueError:
        return ""
    if split.scheme not in ("http", "https", "ws", "wss") or not host:
        return ""
    return f"{split.scheme}://{quote(host, safe='.-[]:')}{port}{quote(split.path, safe='/%:@')}"


def _package_in(arguments: str) -> dict[str, Any] | None:
    for word in arguments.split('"')[1::2]:
        if word.startswith("-") or word in _WORDS:
            continue
        found = _PACKAGE.fullmatch(word)
        return found.groupdict() if found is not None else None
    return None
