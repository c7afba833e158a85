"""Personal data that has a form of its own: e-mail, payment cards, IBAN, SSN, IP, telephone.

Rules this module keeps:
- each pattern is bounded, so that a stream is held back for a value at most;
- a value with check digits counts only when they fit;
- names, addresses and organisations have no form: this module does not find them.

Sources: ISO/IEC 7812-1 (Luhn), ISO 13616 (IBAN), RFC 5321 section 4.5.3.1 (lengths of addresses).
"""

from __future__ import annotations

import ipaddress

from tavo.detect.rules import Rule

__all__ = ["PII"]


def _digits(text: str) -> str:
    return "".join(one for one in text if one.isdigit())


def _is_card(text: str) -> bool:
    digits = _digits(text)
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1 or digits[0] not in "23456":
        return False
    total = 0
    for number, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if number % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _is_iban(text: str) -> bool:
    plain = text.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    turned = plain[4:] + plain[:4]
    return int("".join(str(int(one, 36)) for one in turned)) % 97 == 1


def _is_ssn(text: str) -> bool:
    area, group, serial = text[:3], text[4:6], text[7:]
    return area not in {"000", "666"} and area[0] != "9" and group != "00" and serial != "0000"


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_phone(text: str) -> bool:
    return 8 <= len(_digits(text)) <= 15


PII: tuple[Rule, ...] = (
    Rule(
        id="pii.email",
        label="EMAIL",
        pattern=r"\b[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,24}\b",
    ),
    Rule(id="pii.card", label="CARD", pattern=r"\b\d(?:[ -]?\d){12,18}\b", check=_is_card),
    Rule(
        id="pii.iban",
        label="IBAN",
        pattern=r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b",
        check=_is_iban,
    ),
    Rule(id="pii.ssn", label="SSN", pattern=r"\b\d{3}-\d{2}-\d{4}\b", check=_is_ssn),
    Rule(
        id="pii.ip",
        label="IP",
        pattern=r"\b(?:\d{1,3}\.){3}\d{1,3}\b|\b(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}\b",
        check=_is_ip,
    ),
    Rule(
        id="pii.phone",
        label="PHONE",
        pattern=r"\+[1-9]\d{0,2}(?:[ .()/-]{0,2}\d{1,4}){2,5}\b|\(\d{3}\) ?\d{3}-\d{4}\b",
        check=_is_phone,
    ),
)
"""The rules, in the order in which they are asked at one place."""
