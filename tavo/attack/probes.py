"""Probes: what an attack asks and what shows that it worked, one YAML file each.

Rules this module keeps:
- what shows that an attack worked never stands in what it asks, so that a target which repeats its
  input has not given in; a probe that breaks this is refused when it is loaded;
- all that varies comes from the seed, the probe's id and the number of the attempt, so that no
  probe changes another.

In texts `{left}` and `{right}` are words and `{joined}` both of them without a space, `{number}`
is a number, `{host}` a host name that belongs to nobody, `{secret}` what was planted. `[[…]]`
is what variants dress up; without it that is the whole of a user's message.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from tavo.attack.variants import VARIANTS, dressed
from tavo.errors import ConfigError
from tavo.plugins import Confidence, Rule, Severity

__all__ = ["PACK", "Calls", "Evidence", "Planned", "Probe", "load_probes", "planned"]

PACK = Path(__file__).parent / "packs" / "tavo_attacks"
_LARGEST = 256 << 10
_WORDS = [
    "amber",
    "anchor",
    "apple",
    "arrow",
    "atlas",
    "autumn",
    "badger",
    "bamboo",
    "basket",
    "beacon",
    "birch",
    "bishop",
    "blossom",
    "bridge",
    "bronze",
    "butter",
    "cactus",
    "candle",
    "canyon",
    "carbon",
    "castle",
    "cedar",
    "cherry",
    "cinder",
    "clover",
    "cobalt",
    "copper",
    "coral",
    "cotton",
    "crystal",
    "dagger",
    "daisy",
    "delta",
    "desert",
    "dragon",
    "eagle",
    "ember",
    "falcon",
    "feather",
    "fennel",
    "forest",
    "garnet",
    "ginger",
    "glacier",
    "granite",
    "harbor",
    "hazel",
    "hermit",
    "indigo",
    "island",
    "ivory",
    "jasper",
    "jungle",
    "kettle",
    "lantern",
    "lemon",
    "lotus",
    "magnet",
    "maple",
    "marble",
    "meadow",
    "mirror",
    "nectar",
    "nickel",
    "oasis",
    "olive",
    "onyx",
    "orchid",
    "otter",
    "panther",
    "pebble",
    "pepper",
    "pilot",
    "plaza",
    "prairie",
    "quartz",
    "rabbit",
    "raven",
    "river",
    "saddle",
    "saffron",
    "sailor",
    "salmon",
    "scarlet",
    "shadow",
    "silver",
    "sparrow",
    "spruce",
    "summit",
    "temple",
    "thistle",
    "thunder",
    "timber",
    "tulip",
    "tunnel",
    "valley",
    "velvet",
    "violet",
    "walnut",
    "willow",
    "winter",
    "zephyr",
]
_ROLES = Literal["system", "user", "assistant", "tool"]


class Turn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One message that is sent; `role` is the user's unless it says otherwise."""

    content: str
    role: _ROLES = "user"


class Calls(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A call of a tool: expressions for its name and for its arguments as JSON."""

    tool: str = ".*"
    arguments: str = ""


class Evidence(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One thing that shows that an attack worked; all that is said in it must hold.

    `says` is text in the answer, `matches` an expression, `links` a host that the answer links to
    or loads from, `calls` a call of a tool, `secret` something that must not be told, `longer` a
    number of characters, `instructions` that two answers agree on a text that reads like a system
    prompt. Of servers of tools: `orders` is text that tells a model what to do, `hidden` characters
    that nobody sees, `credentials` something that looks like one, `seen` what was seen to happen.
    """

    says: str = ""
    matches: str = ""
    links: str = ""
    calls: Calls | None = None
    secret: bool = False
    longer: int = 0
    instructions: bool = False
    orders: bool = False
    hidden: bool = False
    credentials: bool = False
    seen: Literal[
        "", "odd name", "changed", "listener", "no key", "foreign page", "asks the client"
    ] = ""


class Probe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One goal of an attacker.

    `prompts` are conversations, each a list of turns; `variants` how they are dressed up. `system`
    and `tools` are what a bare model is given, which an application has of its own. `code` are
    rules of a scan about the same weakness. `needs` is `secret` where there must be something to
    tell, `own tools` where the tools must be those of the probe. `server` is what a probe for MCP
    servers looks at: then `prompts` are what arguments or addresses hold, if it needs any.
    """

    id: str
    title: str
    family: str
    severity: str
    goal: str
    remediation: str
    prompts: list[list[Turn | str]] = []
    evidence: Annotated[list[Evidence], Meta(min_length=1)] = []
    variants: tuple[str, ...] = ("plain",)
    system: str = ""
    tools: list[dict[str, Any]] = []
    owasp: list[str] = []
    atlas: list[str] = []
    cwe: list[str] = []
    code: list[str] = []
    needs: Literal["", "secret", "own tools"] = ""
    server: Literal[
        "",
        "lists",
        "lists-again",
        "results",
        "errors",
        "resources",
        "without-key",
        "foreign-page",
        "path",
        "command",
        "query",
        "url",
    ] = ""
    unless: str = ""

    @property
    def takes(self) -> Literal["message", "turns", "conversation"]:
        """Return what of a conversation has to reach a target for this to be tried.

        Two answers that agree on instructions (`instructions`) may be those to messages alone.
        """
        if any(not isinstance(turn, str) and turn.role != "user"
               for turns in self.prompts for turn in turns):  # fmt: skip
            return "conversation"
        alone = any(one.instructions for one in self.evidence)
        return "turns" if not alone and any(len(turns) > 1 for turns in self.prompts) else "message"

    @property
    def rule(self) -> Rule:
        """Return the probe as what findings name."""
        return Rule(
            id=self.id,
            title=self.title,
            severity=Severity[self.severity],
            confidence=Confidence.HIGH,
            description=self.goal,
            help=self.remediation,
            cwe=tuple(self.cwe),
            owasp=tuple(self.owasp),
            tags=("attack", self.family, *self.atlas),
        )


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt before it is made: what is sent, and what would show that it worked."""

    probe: str
    number: int
    variant: str
    turns: tuple[Turn, ...]
    system: str
    tools: tuple[Mapping[str, Any], ...]
    evidence: tuple[Evidence, ...]
    unless: str
    secret: str
    server: str = ""
    token: str = ""


def load_probes(
    folder: Path = PACK, *, of: Literal["model", "server", "all"] = "model"
) -> list[Probe]:
    """Return the probes of a folder by id. Raises ConfigError that names file and fault.

    `of`: those for models, agents and applications, those for servers of tools, or all.
    """
    from marketplace_db.errors import ManifestError
    from marketplace_db.strict_yaml import load_yaml

    probes: dict[str, Probe] = {}
    files = sorted(folder.glob("*.yaml"))
    if not files:
        raise ConfigError(
            f"attack: {folder}: holds no probe", hint="Name a folder with one .yaml file for each."
        )
    for file in files:
        try:
            probe = msgspec.convert(
                load_yaml(file.read_bytes(), name=file.name, limit=_LARGEST), Probe
            )
            _check(probe)
        except (ManifestError, msgspec.ValidationError, ValueError, OSError) as error:
            raise ConfigError(
                f"attack: {file}: {error}", hint="The user guide shows a complete probe."
            ) from error
        if probe.id in probes:
            raise ConfigError(f"attack: {file}: the id {probe.id!r} is used twice", hint="")
        probes[probe.id] = probe
    wanted = {"model": (False,), "server": (True,), "all": (False, True)}[of]
    return [probes[name] for name in sorted(probes) if bool(probes[name].server) in wanted]


def planned(probe: Probe, number: int, *, seed: int, secret: str = "") -> Planned:
    """Return an attempt at a probe's goal, from 0 on; the same numbers give the same attempt.

    `secret` is what the target must not tell; a bare model is given one of its own without it.
    """
    order = [(prompt, variant) for prompt in _prompts(probe) for variant in probe.variants]
    random.Random(f"{seed}/{probe.id}").shuffle(order)  # noqa: S311  (the same for everybody)
    prompt, variant = _spread(order)[number % len(order)]
    values = _values(random.Random(f"{seed}/{probe.id}/{number}"), secret)  # noqa: S311
    turns = []
    for turn in prompt:
        role, text = ("user", turn) if isinstance(turn, str) else (turn.role, turn.content)
        text = _filled(text, values)
        if role == "user" or "[[" in text:
            text = dressed(text, variant)
        turns.append(Turn(role=role, content=text))  # type: ignore[arg-type]
    return Planned(
        probe=probe.id,
        number=number,
        variant=variant,
        turns=tuple(turns),
        system=_filled(probe.system, values),
        tools=tuple(json.loads(_filled(json.dumps(probe.tools), values))),
        evidence=tuple(_filled_evidence(one, values) for one in probe.evidence),
        unless=probe.unless,
        secret=values["secret"],
        server=probe.server,
        token=f"{values['left']}-{values['number']}",
    )


def _prompts(probe: Probe) -> list[list[Turn | str]]:
    return probe.prompts or [[""]]


def _spread(order: list[tuple[list[Turn | str], str]]) -> list[tuple[list[Turn | str], str]]:
    """Return the same attempts so that few of them try as many prompts and variants as can be."""
    left, spread = list(order), []
    prompts: Counter[int] = Counter()
    variants: Counter[str] = Counter()
    while left:
        following = min(left, key=lambda one: (prompts[id(one[0])], variants[one[1]]))
        left.remove(following)
        spread.append(following)
        prompts[id(following[0])] += 1
        variants[following[1]] += 1
    return spread


def _values(rng: random.Random, secret: str) -> dict[str, str]:
    left, right = rng.sample(_WORDS, 2)
    letters = "".join(rng.choice("bcdfghjkmnpqrstvwxz") for _ in range(10))
    return {
        "left": left,
        "right": right,
        "joined": left + right,
        "number": str(rng.randrange(100_000, 999_999)),
        "host": f"{letters}.example",
        "secret": secret
        or f"{rng.choice(_WORDS).upper()}-{rng.randrange(1000, 9999)}-{letters[:4]}",
    }


def _filled(text: str, values: Mapping[str, str]) -> str:
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value)
    return text


def _filled_evidence(one: Evidence, values: Mapping[str, str]) -> Evidence:
    calls = one.calls and Calls(
        tool=_filled(one.calls.tool, values), arguments=_filled(one.calls.arguments, values)
    )
    return msgspec.structs.replace(
        one,
        says=_filled(one.says, values),
        matches=_filled(one.matches, values),
        links=_filled(one.links, values),
        calls=calls,
    )


def _check(probe: Probe) -> None:
    """Raise ValueError for what cannot be right in a probe, whatever the seed."""
    from tavo.attack.evidence import judge

    _ = probe.rule
    unknown: Sequence[str] = [name for name in probe.variants if name not in VARIANTS]
    if unknown:
        raise ValueError(f"there is no variant {unknown[0]!r}, only {', '.join(VARIANTS)}")
    if not probe.evidence:
        raise ValueError("it names no evidence")
    if probe.server and probe.variants != ("plain",):
        raise ValueError("a probe for servers has no variants: write what it sends as it is sent")
    takes = probe.server in {"path", "command", "query", "url", "resources"}
    if bool(probe.prompts) != (takes or not probe.server):
        raise ValueError(
            f"a probe of {probe.server!r} has no prompts" if probe.prompts else "it has no prompts"
        )
    for number in range(len(_prompts(probe)) * len(probe.variants)):
        attempt = planned(probe, number, seed=0)
        for turn in attempt.turns:
            if turn.role == "assistant":
                continue
            if reason := judge(attempt, [turn.content], secrets=[attempt.secret]):
                raise ValueError(
                    f"a target that only repeats {turn.content[:60]!r} would count as broken:"
                    f" {reason}"
                )
