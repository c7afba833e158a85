"""A pipeline as a YAML file: steps, what each takes and gives, and when it runs.

    pipeline: 1
    name: before a release
    steps:
      - {id: sources, use: files, paths: [src, models]}
      - {id: code, use: rules, files: sources}
      - {id: models, use: plugin, plugin: tavo/model-files, files: sources}
      - {id: suspects, use: select, from: [code], severity: high, when: {step: code, finds: some}}
      - {id: deeper, use: plugin, plugin: acme/deep, files: suspects}
      - {id: door, use: gate, from: [code, models, deeper], severity: critical}
      - {id: attack, use: plugin, plugin: acme/leak, target: target.yaml}

Rules this module keeps:
- a step takes only what an earlier step gives, and of the right kind: files or findings;
- every mistake is named with its step, before anything runs;
- paths are relative to the file's folder.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import msgspec
from msgspec import Meta

from marketplace_db.errors import MarketplaceError
from marketplace_db.strict_yaml import load_yaml
from tavo.errors import ConfigError, InputError
from tavo.plugins import Severity

__all__ = [
    "FilesStep",
    "GateStep",
    "Pipeline",
    "PluginStep",
    "RulesStep",
    "SelectStep",
    "Step",
    "When",
    "load_pipeline",
]

_LARGEST = 256 << 10
_MOST_STEPS = 200
_Id = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
_GIVES = {"files": "files", "select": "files", "rules": "findings", "plugin": "findings"}
_LEAST = Severity.INFO


class When(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A condition: that an earlier step found something, or nothing, from a severity on."""

    step: _Id
    finds: Literal["some", "none"] = "some"
    severity: Severity = _LEAST


class _Base(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="use"):
    id: _Id
    when: When | None = None


class FilesStep(_Base, frozen=True, kw_only=True, tag="files"):
    """Chooses files below paths; gives files."""

    paths: Annotated[list[str], Meta(min_length=1)]
    exclude: list[str] = []


class RulesStep(_Base, frozen=True, kw_only=True, tag="rules"):
    """Looks at files with the built-in rules and own ones; gives findings."""

    files: _Id
    rules: list[str] = []
    default_rules: bool = True


class PluginStep(_Base, frozen=True, kw_only=True, tag="plugin"):
    """Runs a static plugin on files, or has a dynamic one attack a target; gives findings."""

    plugin: Annotated[str, Meta(min_length=1, max_length=400)]
    files: _Id | None = None
    target: str | None = None
    max_requests: Annotated[int, Meta(ge=1)] = 500
    config: dict[str, Any] = {}


class SelectStep(_Base, frozen=True, kw_only=True, tag="select", rename={"sources": "from"}):
    """Gives the files that earlier findings are in."""

    sources: Annotated[list[_Id], Meta(min_length=1)]
    severity: Severity = _LEAST
    rules: list[str] = []


class GateStep(_Base, frozen=True, kw_only=True, tag="gate", rename={"sources": "from"}):
    """Ends the pipeline when earlier steps found more than `most`, from a severity on."""

    sources: Annotated[list[_Id], Meta(min_length=1)]
    severity: Severity = _LEAST
    most: Annotated[int, Meta(ge=0)] = 0


Step = FilesStep | RulesStep | PluginStep | SelectStep | GateStep


_KINDS = [str(one.__struct_config__.tag) for one in get_args(Step)]


class Pipeline(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A pipeline: its steps in the order in which they run."""

    pipeline: Literal[1]
    steps: Annotated[list[Step], Meta(min_length=1, max_length=_MOST_STEPS)]
    name: Annotated[str, Meta(max_length=100)] = ""


def load_pipeline(path: Path) -> Pipeline:
    """Read and check a pipeline. Raises InputError, ConfigError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    try:
        value = load_yaml(data, name=str(path), limit=_LARGEST)
        pipeline = msgspec.convert(value, Pipeline)
    except MarketplaceError as error:
        raise ConfigError(str(error), hint="Write plain YAML: no anchors, no tags.") from None
    except msgspec.ValidationError as error:
        raise ConfigError(f"{path}: {error}", hint=_hint(str(error))) from None
    _check(pipeline.steps, path)
    return pipeline


def _hint(message: str) -> str:
    """Return what to do about a file that msgspec refuses: what a step may `use`, if it is that."""
    told, _, place = message.partition(" - at ")
    if not place.endswith(".use`"):
        return "The user guide shows a complete pipeline."
    near = difflib.get_close_matches(told.removeprefix("Invalid value "), _KINDS, n=1, cutoff=0.4)
    guess = f"Did you mean {near[0]!r}? " if near else ""
    return f"{guess}A step uses {', '.join(_KINDS[:-1])} or {_KINDS[-1]}."


def kind_of(step: Step) -> str:
    """Return the word that the file has for the kind of a step."""
    return str(type(step).__struct_config__.tag)


def _check(steps: Sequence[Step], path: Path) -> None:
    given: dict[str, str] = {}
    for step in steps:
        where = f"{path}: step {step.id}"
        if step.id in given:
            raise ConfigError(f"{where}: is there twice", hint="Give each step an id of its own.")
        if step.when is not None:
            _wants(where, "when", step.when.step, "findings", given)
        if isinstance(step, SelectStep | GateStep):
            for source in step.sources:
                _wants(where, "from", source, "findings", given)
        elif isinstance(step, RulesStep | PluginStep) and step.files is not None:
            _wants(where, "files", step.files, "files", given)
        if isinstance(step, PluginStep) and (step.files is None) == (step.target is None):
            raise ConfigError(
                f"{where}: needs files or a target, and not both",
                hint="A static plugin takes files, a dynamic one a target.",
            )
        given[step.id] = _GIVES.get(kind_of(step), "nothing")


def _wants(where: str, key: str, name: str, kind: str, given: dict[str, str]) -> None:
    """Raise ConfigError unless an earlier step of that name gives that kind of thing."""
    found = given.get(name)
    if found is None:
        near = difflib.get_close_matches(name, given, n=1)
        raise ConfigError(
            f"{where}: {key}: no earlier step is called {name!r}",
            hint=f"Did you mean {near[0]!r}?" if near else "Steps run in the order of the file.",
        )
    if found != kind:
        able = [other for other, gives in given.items() if gives == kind]
        raise ConfigError(
            f"{where}: {key}: {name} gives {found}, expected {kind}",
            hint=f"These give {kind}: {', '.join(able)}." if able else f"No step gives {kind}.",
        )
