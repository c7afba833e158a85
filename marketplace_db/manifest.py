"""plugin.yaml -> Manifest: everything a plugin says about itself, checked.

Rules this module keeps:
- an unknown key is an error that names the nearest right one; only top-level `x-…` keys are free;
- every text may be shown on a terminal and a page: no control, bidi or invisible characters.

What its permissions mean, and their digest, are in `marketplace_db.permissions`.

Units: sizes in megabytes (2^20 bytes), times in seconds.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import msgspec
from msgspec import Meta

from marketplace_db.errors import ManifestError

if TYPE_CHECKING:
    from marketplace_db.requirement import PluginRequirement

__all__ = [
    "API_VERSION",
    "MANIFEST_NAME",
    "PLUGIN_TYPES",
    "Limits",
    "Manifest",
    "Permissions",
    "manifest_from_json",
    "manifest_to_json",
    "parse_manifest",
]

MANIFEST_NAME = "plugin.yaml"
API_VERSION = 1
PLUGIN_TYPES = ("static", "dynamic", "proxy", "log")

_LARGEST_MANIFEST = 64 * 1024
_SLUG = r"^[a-z0-9](?:[a-z0-9]|-(?=[a-z0-9])){0,62}$(?!\n)"
_WORD = r"^[a-z0-9][a-z0-9+#._-]{0,39}$(?!\n)"
_NAME = "[a-zA-Z_][a-zA-Z0-9_]{0,63}"
_ENTRY = rf"^{_NAME}(?:\.{_NAME}){{0,8}}:{_NAME}$(?!\n)"
_HOST = (
    r"^(?=.{1,253}(?::|$))[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
    r"(?:\.[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?)*(?::[1-9][0-9]{0,4})?$(?!\n)"
)

_VARIABLE = r"^[A-Za-z_][A-Za-z0-9_]{0,127}$(?!\n)"
_PROGRAM = r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$(?!\n)"
_GLOB = r"^[A-Za-z0-9._*?\[\]!{},+ -]{1,120}$(?!\n)"
_EXPLAINED = {
    _SLUG: "use a-z, 0-9 and single '-' between them, at most 63 characters",
    _WORD: "use a-z, 0-9 and '+#._-', at most 40 characters",
    _ENTRY: "expected 'module:Class' like main:Plugin",
    _HOST: "expected a host name like api.example.com or api.example.com:8443",
    _VARIABLE: "expected the name of one environment variable",
    _PROGRAM: "expected the name of one program, without its folder",
    _GLOB: "expected a pattern of file names like *.pkl, without folders",
}
_CHOICES = {
    "plugin_type": PLUGIN_TYPES,
    "pricing_tier": ("free", "paid", "enterprise"),
    "permissions.files": ("none", "project"),
}
_TYPE_WORDS = {
    "str": "text", "int": "a whole number", "float": "a number", "bool": "true or false",
    "object": "keys and values", "array": "a list", "null": "nothing",
}  # fmt: skip

Slug = Annotated[str, Meta(pattern=_SLUG)]
Word = Annotated[str, Meta(pattern=_WORD)]
Host = Annotated[str, Meta(pattern=_HOST)]
Variable = Annotated[str, Meta(pattern=_VARIABLE)]
Program = Annotated[str, Meta(pattern=_PROGRAM)]
Pattern = Annotated[str, Meta(pattern=_GLOB)]
Needle = Annotated[str, Meta(min_length=3, max_length=100)]
Requirement = Annotated[str, Meta(max_length=200)]
PluginNeed = Annotated[str, Meta(max_length=200)]
Words = Annotated[tuple[Word, ...], Meta(max_length=32)]


class Permissions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the plugin asks for beyond being handed the content it works on.

    `files`: `none`, or `project` to read the scanned project by itself. `network`: host names,
    each with an optional port (443 otherwise). `target`: requests to the endpoint that the user
    names for the run. `env`: environment variables by name. `subprocess`: programs by name.
    `native_code`: compiled libraries among its dependencies.
    """

    files: Literal["none", "project"] = "none"
    network: Annotated[tuple[Host, ...], Meta(max_length=32)] = ()
    target: bool = False
    env: Annotated[tuple[Variable, ...], Meta(max_length=32)] = ()
    subprocess: Annotated[tuple[Program, ...], Meta(max_length=16)] = ()
    native_code: bool = False


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the plugin's process may use; a plugin may ask for more than these defaults."""

    memory_mb: Annotated[int, Meta(ge=32, le=65536)] = 512
    cpu_s_per_file: Annotated[float, Meta(gt=0, le=3600)] = 2.0
    wall_s_per_call: Annotated[float, Meta(gt=0, le=3600)] = 10.0
    wall_s_total: Annotated[float, Meta(gt=0, le=86400)] = 600.0
    scratch_mb: Annotated[int, Meta(ge=0, le=65536)] = 64
    threads: Annotated[int, Meta(ge=1, le=256)] = 16
    output_mb: Annotated[int, Meta(ge=1, le=64)] = 8


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The validated plugin.yaml; the plugin author guide explains each field."""

    api: int
    id: Slug
    publisher: Slug
    name: Annotated[str, Meta(min_length=1, max_length=80)]
    version: Annotated[str, Meta(min_length=1, max_length=40)]
    plugin_type: Literal["static", "dynamic", "proxy", "log"]
    entry_point: Annotated[str, Meta(pattern=_ENTRY)]
    description: Annotated[str, Meta(min_length=1, max_length=400)]
    author: Annotated[str, Meta(min_length=1, max_length=120)]
    license: Annotated[str, Meta(min_length=1, max_length=120)]
    compatible_scanner_version: Annotated[str, Meta(max_length=120)] = ""
    python: Annotated[str, Meta(max_length=120)] = ""
    dependencies: Annotated[tuple[Requirement, ...], Meta(max_length=64)] = ()
    requires_plugins: Annotated[tuple[PluginNeed, ...], Meta(max_length=32)] = ()
    programs: Annotated[tuple[Program, ...], Meta(max_length=16)] = ()
    pricing_tier: Literal["free", "paid", "enterprise"] = "free"
    categories: Words = ()
    tags: Words = ()
    languages: Words = ()
    file_patterns: Annotated[tuple[Pattern, ...], Meta(max_length=64)] = ()
    literals: Annotated[tuple[Needle, ...], Meta(max_length=64)] = ()
    config_schema: dict[str, Any] = {}
    permissions: Permissions = Permissions()
    limits: Limits = Limits()

    @property
    def full_id(self) -> str:
        """Return `publisher/id`, the plugin's name everywhere."""
        return f"{self.publisher}/{self.id}"

    @property
    def requirements(self) -> tuple[PluginRequirement, ...]:
        """Return the plugins whose code it uses. Raises ManifestError."""
        if not self.requires_plugins:
            return ()  # without the version library, which `registry show` would wait for
        from marketplace_db.requirement import parse_requirement

        try:
            return tuple(parse_requirement(entry) for entry in self.requires_plugins)
        except ValueError as error:
            _fail("requires_plugins", str(error))

    @property
    def entry_module(self) -> str:
        """Return the module of the entry point, such as `main`."""
        return self.entry_point.partition(":")[0]


def parse_manifest(data: bytes) -> Manifest:
    """Read and check plugin.yaml. Raises ManifestError: where, what was expected and found."""
    from marketplace_db.strict_yaml import load_yaml

    document = load_yaml(data, name=MANIFEST_NAME, limit=_LARGEST_MANIFEST)
    if not isinstance(document, dict):
        _fail("", f"expected keys and values, found {_kind(document)}")
    own = {key: value for key, value in document.items() if not key.startswith("x-")}
    _check_keys(own, Manifest, "")
    for section, struct in (("permissions", Permissions), ("limits", Limits)):
        if isinstance(own.get(section), dict):
            _check_keys(own[section], struct, f"{section}.")
    _check_api(own.get("api"))
    try:
        manifest = msgspec.convert(own, Manifest)
    except msgspec.ValidationError as error:
        raise _translate(error) from None
    _check_texts(manifest)
    _check_meaning(manifest)
    return manifest


def manifest_to_json(manifest: Manifest) -> str:
    """Return the manifest as canonical JSON: sorted keys, every field, no white space."""
    return msgspec.json.encode(manifest, order="sorted").decode()


def manifest_from_json(text: str) -> Manifest:
    """Read what `manifest_to_json` wrote; fields of a later version are ignored.

    Raises ManifestError.
    """
    try:
        fields = msgspec.json.decode(text, type=dict[str, Any])
        known = set(Manifest.__struct_fields__)
        return msgspec.convert({k: v for k, v in fields.items() if k in known}, Manifest)
    except msgspec.DecodeError as error:
        raise ManifestError(f"the catalog's copy of {MANIFEST_NAME} cannot be read: {error}") from (
            error
        )


def _fail(where: str, problem: str, hint: str = "") -> NoReturn:
    place = f"{MANIFEST_NAME}: {where}: " if where else f"{MANIFEST_NAME}: "
    raise ManifestError(place + problem, hint=hint)


def _kind(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", int: "a number"}
    return names.get(type(value), "nothing" if value is None else "a number")


def _check_keys(found: Mapping[str, Any], struct: type[msgspec.Struct], where: str) -> None:
    known = struct.__struct_fields__
    for key in found:
        if key not in known:
            import difflib

            near = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
            guess = f"; did you mean {near[0]!r}?" if near else ""
            hint = "" if where else "A key of your own may be called x-…"
            _fail("", f"unknown key {where + key!r}{guess}", hint or f"Known: {', '.join(known)}.")


def _check_api(api: object) -> None:
    if isinstance(api, int) and not isinstance(api, bool) and api > API_VERSION:
        _fail(
            "api",
            f"the plugin needs plugin API {api}, this version of tavo has {API_VERSION}",
            "Update tavo.",
        )
    if api is not None and (isinstance(api, bool) or api != API_VERSION):
        _fail("api", f"expected {API_VERSION}, found {api!r}")


def _translate(error: msgspec.ValidationError) -> ManifestError:
    message, _, place = str(error).partition(" - at `$")
    where = place.rstrip("`").lstrip(".")
    _, matching, pattern = message.partition(" matching regex ")
    if matching:
        import ast

        message = _EXPLAINED.get(ast.literal_eval(pattern), "has characters that are not allowed")
    message = _with_choices(where, message)
    message = message.replace("Object missing required field", "missing key").replace("`", "'")
    message = re.sub(r"Expected 'str', got '(?:int|float)'", "expected text in quotes", message)
    message = re.sub(
        r"'(str|int|float|bool|object|array|null)'", lambda m: _TYPE_WORDS[m[1]], message
    ).replace(", got ", ", found ")
    message = message[:1].lower() + message[1:]
    return ManifestError(f"{MANIFEST_NAME}: {where + ': ' if where else ''}{message}")


def _with_choices(where: str, message: str) -> str:
    """Name what a value may be, and the nearest of it, where only some are allowed."""
    found, told, value = message.partition("Invalid enum value ")
    choices = _CHOICES.get(where)
    if not told or choices is None:
        return message
    import difflib

    near = difflib.get_close_matches(value.strip("'"), choices, n=1)
    guess = f"; did you mean {near[0]!r}?" if near else ""
    return f"{found}expected {', '.join(choices)}, found {value}{guess}"


def _check_texts(manifest: Manifest) -> None:
    for field in ("name", "version", "description", "author", "license"):
        value = getattr(manifest, field)
        if value != value.strip() or unicodedata.normalize("NFC", value) != value:
            _fail(field, "starts or ends with white space, or is not in Unicode form NFC")
        _check_visible(field, value)
    for number, value in enumerate(manifest.literals):
        _check_visible(f"literals[{number}]", value)


def _check_visible(field: str, value: str) -> None:
    for char in value:
        if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}:
            _fail(field, f"holds the invisible or control character U+{ord(char):04X}")


def _check_plugins(manifest: Manifest) -> None:
    seen: set[str] = set()
    for need in manifest.requirements:
        if need.full_id == manifest.full_id:
            _fail("requires_plugins", f"{need.full_id!r} is this plugin itself")
        if need.full_id in seen:
            _fail("requires_plugins", f"{need.full_id!r} is named twice; write one range")
        seen.add(need.full_id)


def _check_programs(manifest: Manifest) -> None:
    if not manifest.programs:
        return
    if manifest.plugin_type not in {"static", "dynamic"}:
        _fail("programs", f"a {manifest.plugin_type} plugin has no time to wait for a program")
    if not manifest.permissions.native_code:
        _fail(
            "programs",
            "a program that a plugin brings is compiled code, and it does not ask for that",
            "Ask for it: permissions: {native_code: true}.",
        )
    if not manifest.dependencies:
        _fail(
            "programs",
            "they come out of the wheels of its dependencies, and it has none",
            "A program of the user's machine stands under permissions: subprocess.",
        )
    for name in manifest.programs:
        if name in manifest.permissions.subprocess:
            _fail("programs", f"{name!r} stands under permissions.subprocess, too; choose one")


def _check_meaning(manifest: Manifest) -> None:
    from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
    from packaging.requirements import InvalidRequirement
    from packaging.requirements import Requirement as ParsedRequirement
    from packaging.specifiers import InvalidSpecifier, SpecifierSet
    from packaging.version import InvalidVersion, Version

    try:
        version = Version(manifest.version)
    except InvalidVersion:
        _fail("version", f"{manifest.version!r} is not a version like 1.2.3")
    if str(version) != manifest.version or version.local is not None:
        _fail("version", f"{manifest.version!r} is not in normal form; write {version.public!r}")
    for field, example in (("compatible_scanner_version", ">=0.1,<2"), ("python", ">=3.11,<3.13")):
        try:
            SpecifierSet(getattr(manifest, field))
        except InvalidSpecifier:
            _fail(field, f"{getattr(manifest, field)!r} is not a version range like {example!r}")
    _check_plugins(manifest)
    try:
        license_id = canonicalize_license_expression(manifest.license)
    except InvalidLicenseExpression:
        _fail("license", f"{manifest.license!r} is not an SPDX expression like Apache-2.0")
    if license_id != manifest.license:
        _fail("license", f"write {license_id!r} instead of {manifest.license!r}")
    for entry in manifest.dependencies:
        try:
            requirement = ParsedRequirement(entry)
        except InvalidRequirement:
            _fail("dependencies", f"{entry!r} is not a requirement like picklescan==1.0.5")
        if requirement.url is not None:
            _fail("dependencies", f"{entry!r} names an address; only names and versions may stand")
    for host in manifest.permissions.network:
        if int(host.partition(":")[2] or 0) > 65535:
            _fail("permissions.network", f"{host!r} has a port above 65535")
    _check_programs(manifest)
    for field in ("file_patterns", "literals"):
        if getattr(manifest, field) and manifest.plugin_type != "static":
            _fail(field, "only a static plugin is handed files")
    for pattern in manifest.file_patterns:
        if not pattern.strip("*?"):
            _fail("file_patterns", f"{pattern!r} matches every file; name what the plugin reads")
