"""Attempts to give a model other orders than its own, by what they say.

Rules this module keeps:
- one signal is a phrase that orders, not a word: a question about prompt injection is none;
- the strengths of different signals add up; the same signal counts once;
- texts are looked at folded (see `tavo.detect.hidden`), so invisible letters hide nothing;
- these are the phrases that everybody knows. What is put in other words needs a model that learned.

Units: strengths and scores from 0.0 to 1.0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from tavo.detect.hidden import folded
from tavo.detect.regex import Regex

__all__ = ["Signal", "Signals", "from_document", "from_user"]


@dataclass(frozen=True, slots=True)
class Signal:
    """A phrase, and how sure one may be of an attack where it stands."""

    id: str
    strength: float
    pattern: str


class Signals(NamedTuple):
    """What a text shows."""

    score: float
    ids: tuple[str, ...]


_ORDERS = (
    r"(?:instruction|direction|guideline|prompt|rule|command|order|message|task|assignment|input"
    r"|context|conversation|training|programming|policie|polic[yi])(?:s|es)?"
)
_BEFORE = (
    r"(?:previous|prior|above|preceding|earlier|foregoing|initial|original|existing|system|first)"
)
_DROP = r"(?:ignore|disregard|forget|override|bypass|neglect|skip|discard|cancel|overlook)"
_ANY = r"(?:\W{1,3}\w{1,16}){0,4}?"

_COMMON = (
    Signal(
        "drop-orders", 0.9,
        rf"\b{_DROP}{_ANY}\W{{1,3}}(?:{_BEFORE}{_ANY}\W{{1,3}}{_ORDERS}|(?:all|your|every|any)"
        rf"(?:\W{{1,3}}\w{{1,12}}){{0,2}}\W{{1,3}}{_ORDERS})\b",
    ),
    Signal(
        "drop-everything", 0.9,
        rf"\b{_DROP}\W{{1,3}}(?:about\W)?(?:everything|all|anything|"
        rf"what)(?:\W{{1,3}}\w{{1,12}}){{0,4}}"
        r"\W{1,3}(?:before|above|so far|previously|until now|earlier|i said|told you|were told)\b",
    ),
    Signal(
        "drop-orders-de", 0.9,
        r"\b(?:ignorier|vergiss|vergessen sie|missacht)\w{0,3}(?:\W{1,3}\w{1,16}){0,4}\W{1,3}"
        r"(?:anweisung|aufgabe|instruktion|befehl|vorgabe|vorherig|bisherig|obige|auftr[aä]g|"
        r"alles)\w{0,4}\b",
    ),
    Signal(
        "drop-orders-romance", 0.9,
        r"\b(?:ignora|olvida|oublie[zr]?|ignore[zr]?|esquece)(?:\W{1,3}\w{1,16}){0,4}\W{1,3}"
        r"(?:instruc+i?ones|instructions|instruções|istruzioni|consignes|órdenes|anteriores|"
        r"précédentes)\b",
    ),
    Signal(
        "show-prompt", 0.7,
        r"\b(?:show|print|reveal|repeat|output|tell|give|display|leak|spell.?check|say|list|write)"
        r"(?:\W{1,3}\w{1,12}){0,5}\W{1,3}(?:(?:system|initial|original|hidden|secret|full|entire|"
        r"complete|own|previous|above)\W{1,3}){1,3}(?:prompt|instruction|message|text)s?\b",
    ),
    Signal(
        "show-prompt-all", 0.7,
        r"\b(?:show|print|reveal|repeat|output|"
        r"display)\W{1,3}(?:me\W{1,3})?(?:all\W{1,3})?(?:of\W{1,3})?"
        r"your\W{1,3}(?:\w{1,12}\W{1,3}){0,2}(?:prompt|instruction)(?:s| texts?)?\b",
    ),
    Signal(
        "new-orders", 0.6,
        r"\b(?:your|the|a) new (?:task|instruction|role|order|objective|goal|persona)s?\b|"
        r"\bnew (?:instructions?|task|orders)\W{1,3}(?:are|is|follow)\b|"
        r"\bfrom now on\W{1,3}(?:you|your|act|i want)\b",
    ),
    Signal(
        "no-limits", 0.7,
        r"\b(?:do anything now|developer mode|jailbr(?:eak|oken) mode|are jailbroken|dan mode|"
        r"god mode|evil mode|"
        r"(?:no|without(?: any)?|free (?:of|from)(?: all)?|not bound by(?: any)?|"
        r"not have(?: any)?) "
        r"(?:\w{1,14} ){0,2}(?:restrictions?|limitations?|filters?|censorship|guidelines|"
        r"boundaries|moral\w{0,4}|ethic\w{0,4}))\b",
    ),
    Signal(
        "become", 0.5,
        r"\b(?:you are now|you're now|you will now (?:act|be)|act as|pretend (?:to be|you are|"
        r"that you)|"
        r"(?:roleplay|role-play) as|you are going to (?:act|pretend|be)|simulate)\b",
    ),
    Signal(
        "never-refuse", 0.6,
        r"\b(?:never|do not|don't|must not|cannot|can't|not allowed to) (?:\w{1,12} ){0,2}"
        r"(?:refuse|decline|say no|break character|mention (?:that )?you are an ai|"
        r"add (?:any )?(?:warning|disclaimer)s?)\b",
    ),
    Signal(
        "template-marks", 0.8,
        r"<\|(?:im_start|im_end|system|user|assistant|endoftext|eot_id|start_header_id)\|>|"
        r"\[/?inst\]|<</?sys>>|"
        r"(?:^|\n)\W{0,4}(?:system|assistant) ?(?:prompt|message|override)?:",
    ),
)  # fmt: skip

_DOCUMENT = (
    Signal(
        "to-the-model", 0.6,
        r"\b(?:attention|note|important|message|instructions?|memo|notice) (?:to|for|"
        r"by) (?:\w{1,12} )"
        r"{0,2}(?:ai|llm|assistant|chatbot|language model|agent|model|gpt|claude)s?\b|"
        r"\b(?:dear|hey|hello|hi) (?:ai|llm|assistant|chatbot|claude|chatgpt|gpt|gemini)\b|"
        r"\bif you are (?:an? )?(?:ai|llm|(?:large )?language model|assistant|agent)\b",
    ),
    Signal(
        "keep-from-user", 0.9,
        r"\b(?:do not|don't|never|without) (?:\w{1,12} ){0,2}(?:tell|inform|telling|informing|"
        r"mention|mentioning|"
        r"notify|notifying|reveal|show|alert)(?:ing)? (?:\w{1,12} ){0,3}(?:the )?user\b",
    ),
    Signal(
        "call-a-tool", 0.5,
        r"\b(?:call|use|invoke|run|execute) (?:the |your )?[\w.-]{1,40} (?:tool|function)\b|"
        r"\b(?:send|forward|post|upload|exfiltrate|transfer|email) (?:\w{1,16} ){0,6}(?:to|"
        r"at) (?:https?://|\S{1,64}@)",
    ),
    Signal(
        "before-anything", 0.4,
        r"\b(?:before|instead of) (?:doing|answering|continuing|responding|summari[sz]ing|"
        r"completing)\b"
        r"(?:\W{1,3}\w{1,16}){0,6}\W{1,3}(?:you must|must|first|please|always)\b",
    ),
    Signal(
        "important-block", 0.6,
        r"<(?:important|system|admin|instructions?|secret|hidden)>|\[(?:system|admin|important)\]",
    ),
)  # fmt: skip


class _Reader:
    def __init__(self, signals: tuple[Signal, ...]) -> None:
        self._signals = signals
        self._compiled: list[tuple[Signal, Regex]] = []
        self._any: Regex | None = None

    def look(self, text: str) -> Signals:
        if self._any is None:
            self._compiled = [(one, Regex(one.pattern, plain=True)) for one in self._signals]
            every = "|".join(f"(?:{one.pattern})" for one in self._signals)
            self._any = Regex(every.replace("(?P", "(?"), plain=True)
        said = folded(text).encode("utf-8", "replace")
        if self._any.find(said) is None:
            return Signals(0.0, ())
        seen = [one for one, regex in self._compiled if regex.find(said) is not None]
        doubt = 1.0
        for one in seen:
            doubt *= 1.0 - one.strength
        return Signals(1.0 - doubt, tuple(one.id for one in seen))


_USER = _Reader(_COMMON)
_IN_DOCUMENT = _Reader(_COMMON + _DOCUMENT)


def from_user(text: str) -> Signals:
    """Return what a text of a user shows."""
    return _USER.look(text)


def from_document(text: str) -> Signals:
    """Return what a document, a mail or the result of a tool shows."""
    return _IN_DOCUMENT.look(text)
