"""Sentences that tell a model to do something behind its user's back.

A description says what a tool does and what it takes. These patterns look for what it has no reason
to say: orders about other tools, about files with secrets, about what the user may know. All of
them are bounded, because the text is a stranger's.
"""

from __future__ import annotations

import re

from hidden import visible

__all__ = ["instruction_in"]

_SECRETS = (
    r"(?:\.ssh\b|id_rsa|id_ed25519|\.aws/credentials|(?<!\w)\.env\b|mcp\.json|\.netrc|\.npmrc"
    r"|/etc/(?:passwd|shadow)|\.git-credentials|\.kube/config|private keys?|seed phrase"
    r"|(?:saved |stored |all )passwords|environment variables)"
)
_PATTERNS = tuple(
    (what, re.compile(pattern, re.IGNORECASE | re.DOTALL))
    for what, pattern in (
        ("it overrides other instructions",
         r"\b(?:ignore|disregard|forget|override)\s+(?:(?:all|any|the|your|of|these|those)\s+){0,3}"
         r"(?:previous|prior|earlier|above|preceding|system|original|other)\s+(?:\w+\s+)?"
         r"(?:instruction|rule|prompt|message|guideline|direction)s?\b"),
        ("it hides something from the user",
         r"\b(?:do\s+not|don['’]?t|never|must\s+not|without|avoid)\s+(?:ever\s+)?"
         r"(?:tell|mention|inform|notify|reveal|disclose|show|telling|mentioning|informing"
         r"|notifying|revealing|asking|alerting|alert)\b[^.\n]{0,60}?\b(?:to\s+)?(?:the\s+"
         r"|your\s+)?"
         r"(?:user|human|operator|developer|anyone|anybody)\b"
         r"(?!\s+(?:to|how|that you (?:can|will)|if)\b)"),
        ("it has secrets read or handed over",
         r"\b(?:read|open|cat|load|fetch|include|send|pass|attach|upload|append|copy|post|get)\b"
         r"[^.\n]{0,30}?(?:[^\n]{0,40}?)" + _SECRETS +
         r"[^\n]{0,160}?\b(?:pass|send|include|provide|attach|put|append|upload"
         r"|as\s+(?:the\s+)?`?\w+`?"
         r"|parameter|argument|sidenote|to\s+https?:)"),
        ("it sends what the agent knows elsewhere",
         r"\b(?:send|post|forward|upload|exfiltrate|transmit|bcc|leak)\b[^.\n]{0,60}?"
         r"\b(?:conversation|chat history|message history|history|prompts?|system prompt|context"
         r"|credentials?|tokens?|secrets?|api[ _-]?keys?|passwords?|files?|e-?mails?|messages)\b"
         r"[^\n]{0,60}?(?:\bto\b|via|using)[^\n]{0,30}?(?:https?://|[\w.+-]{1,40}@[\w-]{1,40}\.\w|\b\d{1,3}\.\d{1,3}\.\d)"),
        ("it takes over other tools",
         r"\b(?:before|whenever|when|after|instead\s+of)\s+(?:you\s+)?(?:us(?:e|ing)|call(?:ing)?"
         r"|invok(?:e|ing)|run(?:ning)?)\s+(?:any|every|all|other"
         r"|another)\s+(?:other\s+)?(?:of\s+the\s+)?tools?\b"
         r"[^\n]{0,120}?\b(?:must|always|first|required|mandatory)\b[^\n]{0,80}?\b(?:call|read|use|run|send)\b"),
        ("it speaks to the model as somebody with authority",
         r"<\s*/?\s*(?:important|system|secret|hidden|admin|instructions?|critical)\s*>[^<]{0,400}?"
         r"\b(?:must|do not|never|always|before|read|send|ignore|otherwise)\b"),
        ("it runs what is fetched or cannot be read",
         r"\b(?:curl|wget)\b[^|\n]{0,200}\|\s*(?:sudo\s+)?(?:ba|z|da)?sh\b"
         r"|\bbase64\s+(?:-d|--decode)\b[^|\n]{0,100}\|\s*(?:ba|z)?sh\b"),
    )
)  # fmt: skip


def instruction_in(text: str) -> tuple[str, str] | None:
    """Return what is wrong with a text and the words that say so, or None."""
    seen = visible(text)
    for what, pattern in _PATTERNS:
        match = pattern.search(seen)
        if match is not None:
            return what, " ".join(match[0].split())[:200]
    return None
