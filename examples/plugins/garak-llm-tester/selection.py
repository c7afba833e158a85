"""Which of garak's probes run here, what each is about, and why the others do not run."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence

from tavo.plugins import ConfigError

__all__ = ["DEFAULT", "FAMILIES", "LEFT_OUT", "chosen_probes", "family_of", "reason_against"]

_WEIGHTS = "needs the weights of a classifier, which garak fetches from a hub"
_ATTACKER = "needs a second model that writes the attacks"
_GRADIENTS = "needs the weights of the attacked model, and torch"
_FETCHED = "needs data that garak fetches when it runs"

LEFT_OUT: dict[str, str] = {
    "agent_breaker": _ATTACKER,
    "ansiescape.AnsiRawTokenizerHF": "looks at a tokenizer on a hub, not at a running model",
    "atkgen": _ATTACKER,
    "audio": "sends sound, and a target takes text",
    "dan.AutoDAN": _GRADIENTS,
    "divergence": "needs the table of a tokenizer, which is fetched",
    "fileformats": "looks at files on a hub, not at a running model",
    "fitd": _ATTACKER,
    "goat": _ATTACKER,
    "grandma.GrandmaIntent": "is judged by intents, which need garak's own harness",
    "latentinjection.LatentJailbreak": _WEIGHTS,
    "latentinjection.LatentJailbreakFull": _WEIGHTS,
    "lmrc.Bullying": _WEIGHTS,
    "misleading": _WEIGHTS,
    "packagehallucination": "needs lists of all packages, which garak fetches from a hub",
    "propile.PIILeakQuadruplet": "has no prompts in the data that garak ships",
    "propile.PIILeakUnstructured": "has no prompts in the data that garak ships",
    "realtoxicityprompts": _WEIGHTS,
    "sata": _FETCHED,
    "suffix.BEAST": _GRADIENTS,
    "suffix.GCG": _GRADIENTS,
    "sysprompt_extraction": _FETCHED,
    "tap.PAIR": _ATTACKER,
    "tap.TAP": _ATTACKER,
    "test": "is for tests of garak itself",
    "topic": _FETCHED,
    "visual_jailbreak": "sends pictures, and a target takes text",
}
"""Modules and probes that do not run here, with the reason."""

FAMILIES: dict[str, str] = {
    "adaptive_attacks": "jailbreak",
    "ansiescape": "output",
    "apikey": "leak",
    "av_spam_scanning": "output",
    "badchars": "jailbreak",
    "continuation": "content",
    "dan": "jailbreak",
    "doctor": "jailbreak",
    "donotanswer": "content",
    "dra": "jailbreak",
    "encoding": "injection",
    "exploitation": "output",
    "glitch": "misinformation",
    "goodside": "injection",
    "grandma": "jailbreak",
    "latentinjection": "injection",
    "leakreplay": "leak",
    "lmrc": "content",
    "malwaregen": "content",
    "phrasing": "jailbreak",
    "promptinject": "injection",
    "propile": "leak",
    "smuggling": "jailbreak",
    "snowball": "misinformation",
    "suffix": "jailbreak",
    "tap": "jailbreak",
    "web_injection": "output",
}
"""The rule, without its prefix, under which the probes of a module are reported."""

DEFAULT = (
    "ansiescape",
    "dan",
    "encoding",
    "exploitation",
    "goodside",
    "latentinjection",
    "leakreplay",
    "promptinject",
    "web_injection",
)
"""The modules of whose probes those that garak runs by itself are run when nothing is chosen."""


def family_of(probe: str) -> str:
    """Return the rule, without its prefix, of a probe such as `dan.Dan_11_0`."""
    return FAMILIES.get(probe.partition(".")[0], "jailbreak")


def reason_against(probe: str) -> str:
    """Return why a probe does not run here, or nothing."""
    return LEFT_OUT.get(probe) or LEFT_OUT.get(probe.partition(".")[0], "")


def chosen_probes(wanted: Sequence[str], known: Mapping[str, bool]) -> list[str]:
    """Return the names of the probes that are meant by names of probes, modules, `default`, `all`.

    `known` has garak's probes, and whether garak runs each by itself. A module stands for its
    probes that garak runs by itself, or for all of them where it runs none.
    Raises ConfigError for what there is not, and for a probe that does not run here.
    """
    modules: dict[str, list[str]] = {}
    for probe in known:
        modules.setdefault(probe.partition(".")[0], []).append(probe)
    found: dict[str, None] = {}
    for name in wanted:
        if name in known:
            if reason := reason_against(name):
                raise ConfigError(f"probes: {name} does not run here: it {reason}")
            found[name] = None
            continue
        if name in LEFT_OUT and name in modules:
            raise ConfigError(f"probes: {name} does not run here: it {LEFT_OUT[name]}")
        if name in {"default", "all"}:
            groups = [modules[one] for one in (DEFAULT if name == "default" else sorted(modules))]
        elif name in modules:
            groups = [modules[name]]
        else:
            near = difflib.get_close_matches(name, [*modules, *known, "default", "all"], 1)
            meant = f"; did you mean {near[0]!r}?" if near else ""
            raise ConfigError(f"probes: garak has no probe and no module {name!r:.80}{meant}")
        for group in groups:
            can = [probe for probe in group if not reason_against(probe)]
            found.update(dict.fromkeys([one for one in can if known[one]] or can))
    if not found:
        raise ConfigError("probes: no probe is chosen")
    return sorted(found)
