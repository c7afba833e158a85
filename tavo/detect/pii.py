"""Personal data that has a form of its own: e-mail, payment cards, IBAN, SSN, IP, telephone.

Rules this module keeps:
- each pattern is bounded, so that a stream is held back for a value at most;
- a value with check digits counts only when they fit;
- a number that another number follows is found without it;
- names, addresses and organisations have no form: this module does not find them.

Sources: ISO/IEC 7812-1 (Luhn), ISO 13616 (IBAN), RFC 5321 section 4.5.3.1 (lengths of addresses),
RFC 4291 and the address space of IPv6 at IANA, E.164 and the numbering plan of North America.
"""

from __future__ import annotations

import ipaddress
import re

from tavo.detect.rules import Rule

__all__ = ["PII"]

_PRINTED = {(4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 4, 4, 3), (4, 6, 5), (4, 6, 4), (6, 13)}
"""How the digits of a card are grouped where they are not written as one."""
_RUN = re.compile(r"\d+(?:[ -]\d+)*")
_INTERNATIONAL = r"\+[1-9]\d{0,2}(?:[ .()/-]{0,2}\d{1,4})"
_ONE_NUMBER = re.compile(_INTERNATIONAL + r"{2,5}\b")
_US = re.compile(r"(?:(?:1[-. ])?[2-9]\d\d([-.])[2-9]\d\d\1\d{4}|\(\d{3}\) ?\d{3}-\d{4})(?!\d)")
_BLANK = re.compile(r"(?<=\d) {1,2}(?=[\d(])")


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


def _is_issued(digits: str) -> bool:
    """Tell whether cards that begin like this have so many digits."""
    size, four = len(digits), int(digits[:4])
    if digits[0] == "4":
        return size in {13, 16, 19}
    if 5100 <= four <= 5599 or 2200 <= four <= 2204 or 2221 <= four <= 2720:
        return size == 16
    if digits[:2] in {"34", "37"}:
        return size == 15
    if 3000 <= four <= 3059 or digits[:2] in {"36", "38", "39"}:
        return size in {14, 16}
    return size >= 16 and (digits[0] in "56" or 3528 <= four <= 3589)


def _first_card(text: str) -> int:
    """Return how long the card is that digits begin with, in a form that cards have, or 0."""
    run = _RUN.match(text)
    longest, sizes = 0, []
    for group in re.finditer(r"\d+", run[0] if run else ""):
        sizes.append(len(group[0]))
        if sum(sizes) > 19:
            break
        start = text[: group.end()]
        printed = len(sizes) == 1 or tuple(sizes) in _PRINTED
        if printed and _is_card(start) and _is_issued(_digits(start)):
            longest = len(start)
    return longest


def _card_cut(text: str) -> int:
    return _first_card(text) or len(text)


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


def _phone_cut(text: str) -> int:
    """Return where a number ends that another may follow: in US form, a card, or any other."""
    if text[0] != "+":
        return len(text)
    if _first_card(text[1:]):
        return 1  # what is left is too short for a number, so that the card is found
    blanks = list(_BLANK.finditer(text))
    for blank in blanks:
        rest = text[blank.end() :]
        if _first_card(rest) or (_is_phone(text[: blank.start()]) and _US.match(rest)):
            return blank.start()
    one = _ONE_NUMBER.match(text)
    end = one.end() if one else len(text)
    if len(_digits(text[:end])) <= 15:
        return end
    most = 11 if text.startswith("+1") else 13
    ends = [one.start() for one in blanks if 8 <= len(_digits(text[: one.start()])) <= most]
    return ends[-1] if ends else end


def _is_us_phone(text: str) -> bool:
    return text[-5] in "-."  # more digits follow otherwise


PII: tuple[Rule, ...] = (
    Rule(
        id="pii.email",
        label="EMAIL",
        pattern=r"\b[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9-]{1,63}\.){1,4}[A-Za-z]{2,24}\b",
    ),
    Rule(
        id="pii.card",
        label="CARD",
        pattern=r"\b\d(?:[ -]?\d){12,18}\b",
        check=_is_card,
        cut=_card_cut,
    ),
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
        # a short form only where addresses are given out: `a::b` is a name in many languages
        pattern=r"\b(?:\d{1,3}\.){3}\d{1,3}\b|\b(?:[0-9A-Fa-f]{1,4}:){7}[0-9A-Fa-f]{1,4}\b"
        r"|\b(?:[23][0-9A-Fa-f]{3}|[Ff][CDcd][0-9A-Fa-f]{2}|[Ff][Ee]80)"
        r"(?::[0-9A-Fa-f]{1,4}){0,5}::(?:[0-9A-Fa-f]{1,4}:){0,5}"
        r"(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9A-Fa-f]{1,4})\b",
        check=_is_ip,
    ),
    Rule(
        id="pii.phone",
        label="PHONE",
        # wider than a number, so that what follows it is seen whole: see `_phone_cut`
        pattern=_INTERNATIONAL + r"{2,9}\b|\(\d{3}\) ?\d{3}-\d{4}\b",
        check=_is_phone,
        cut=_phone_cut,
    ),
    Rule(
        id="pii.phone-us",
        label="PHONE",
        pattern=r"\b(?:1[-. ])?[2-9]\d{2}(?:-[2-9]\d{2}-|\.[2-9]\d{2}\.)\d{4}(?:[-.]\d|\b)",
        check=_is_us_phone,
        not_after="-.",
    ),
)
"""The rules, in the order in which they are asked at one place."""
