"""Credentials that say what they are: tokens with a prefix, keys in PEM, passwords in URLs.

Rules this module keeps:
- only forms that their issuer documents, or that nothing else has: a long random word is no secret;
- each pattern is bounded, but for the body of a PEM key, which ends where its alphabet ends.

Sources: the public documentation of each issuer about the form of its tokens; RFC 7468 (PEM),
RFC 7519 (JWT).
"""

from __future__ import annotations

import math
from collections import Counter

from tavo.detect.rules import Rule

__all__ = ["SECRETS"]

_LEAST_BITS = 2.8
_LOOKED_AT = 40


def _is_random(text: str) -> bool:
    """Tell whether a token is one, and no example such as sk-xxxxxxxxxxxxxxxxxxxx.

    It begins right behind its prefix, so what somebody put at its end makes it no example.
    """
    return _bits(text[4 : 4 + _LOOKED_AT]) >= _LEAST_BITS


def _ends_random(text: str) -> bool:
    """Tell the same of a value that stands behind its name."""
    return _bits(text[-_LOOKED_AT:]) >= _LEAST_BITS


def _bits(text: str) -> float:
    """Return how many bits each character of a text tells."""
    total = len(text)
    return -sum(n / total * math.log2(n / total) for n in Counter(text).values())


SECRETS: tuple[Rule, ...] = (
    Rule(
        id="secret.private-key",
        label="PRIVATE_KEY",
        pattern=r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY-----[A-Za-z0-9+/=\s]*"
        r"(?:-----END (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY-----)?",
    ),
    Rule(
        id="secret.model-provider-key",
        label="API_KEY",
        pattern=r"\bsk-(?:[a-z0-9]{2,12}-){0,3}[A-Za-z0-9_-]{20,200}",
        check=_is_random,
    ),
    Rule(
        id="secret.aws-key-id",
        label="AWS_KEY_ID",
        pattern=r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b",
        check=_is_random,
    ),
    Rule(
        id="secret.aws-secret",
        label="AWS_SECRET",
        pattern=r"(?i:aws_?secret(?:_?access)?_?key)[\"']?\s{0,4}[=:]\s{0,4}[\"']?[A-Za-z0-9/+]{40}",
        check=_ends_random,
    ),
    Rule(
        id="secret.github-token",
        label="GITHUB_TOKEN",
        pattern=r"\b(?:gh[opsur]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255})",
        check=_is_random,
    ),
    Rule(
        id="secret.gitlab-token",
        label="GITLAB_TOKEN",
        pattern=r"\bgl(?:pat|dt|rt|ptt|cbt)-[A-Za-z0-9_-]{20,64}",
        check=_is_random,
    ),
    Rule(
        id="secret.slack-token",
        label="SLACK_TOKEN",
        pattern=r"\bxox[abeprs]-[A-Za-z0-9-]{10,250}",
        check=_is_random,
    ),
    Rule(
        id="secret.google-api-key",
        label="GOOGLE_API_KEY",
        pattern=r"\bAIza[A-Za-z0-9_-]{35}",
        check=_is_random,
    ),
    Rule(
        id="secret.payment-key",
        label="PAYMENT_KEY",
        pattern=r"\b(?:sk|rk)_live_[A-Za-z0-9]{16,120}",
        check=_is_random,
    ),
    Rule(
        id="secret.package-token",
        label="PACKAGE_TOKEN",
        pattern=r"\b(?:npm_[A-Za-z0-9]{36}|pypi-AgE[A-Za-z0-9_-]{50,255}|hf_[A-Za-z]{34})",
        check=_is_random,
    ),
    Rule(
        id="secret.jwt",
        label="JWT",
        pattern=r"\beyJ[A-Za-z0-9_-]{10,900}\.eyJ[A-Za-z0-9_-]{10,900}\.[A-Za-z0-9_-]{10,900}",
    ),
    Rule(
        id="secret.password-in-url",
        label="URL_PASSWORD",
        pattern=r"\b(?:postgres(?:ql)?|mysql|mongodb(?:\+srv)?|redis|amqp|https?|ftp)"
        r"://[^\s:@/\"'<>]{1,64}:[^\s:@/\"'<>]{3,128}@",
    ),
)  # fmt: skip
"""The rules, in the order in which they are asked at one place."""
