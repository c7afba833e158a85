"""Numbers next to numbers: each is found for itself, and what only looks like one is not."""

from __future__ import annotations

import dataclasses
import random

import pytest

from tavo.detect.live import Live
from tavo.detect.pii import PII
from tavo.detect.rules import Match, RuleSet, to_bytes

RULES = RuleSet(PII)
CARDS = RuleSet([rule for rule in PII if rule.label == "CARD"])


def in_pieces(text: str, rnd: random.Random | None = None) -> list[Match]:
    """Feed a text byte by byte, or in pieces of any size."""
    live, data, at = Live([RULES]), to_bytes(text), 0
    found: list[Match] = []
    while at < len(data):
        size = rnd.choice((1, 1, 2, 3, 8)) if rnd else 1
        found += live.feed(data[at : at + size])[0]
        at += size
    return found + live.feed(b"", close=True)[0]


def shown(text: str) -> str:
    """Return a text with labels in the place of what was found."""
    found = RULES.found_in(text)
    assert in_pieces(text) == found
    data = to_bytes(text)
    for match in reversed(found):
        data = data[: match.start] + match.rule.label.encode() + data[match.end :]
    return data.decode()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("card 4111111111111111 12/27 123", "card CARD 12/27 123"),
        ("4111 1111 1111 1111 12/27", "CARD 12/27"),
        ("4111 1111 1111 1111 123", "CARD 123"),
        ("4111-1111-1111-1111 123", "CARD 123"),
        ("4111-1111-1111-1111-123", "CARD-123"),
        ("4111111111111111 1", "CARD 1"),
        ("4111111111111111 1 1 1 1", "CARD 1 1 1 1"),
        ("4222222222222 123", "CARD 123"),
        ("30569309025904 12345", "CARD 12345"),
        ("3782 822463 10005 1234", "CARD 1234"),
        ("3782 822463 10005 5500 0055 5555 5559", "CARD CARD"),
        ("7 4111 1111 1111 1111 12 27 123", "7 CARD 12 27 123"),
        ("4111111111111111 5500005555555559 1", "CARD CARD 1"),
        ("é4111111111111111 12 é", "éCARD 12 é"),
        ("+49 170 1234567 212-555-0123", "PHONE PHONE"),
        ("tel +491701234567 (212)555-0123", "tel PHONE PHONE"),
        ("+1 212 555 0123 415-555-2671", "PHONE PHONE"),
        ("+1 212 555 0123 415 555 2671", "PHONE 415 555 2671"),
        ("+49 170 1234567 2026 11 28", "PHONE 2026 11 28"),
        ("+45 12345678 4242 4242 4242 4242", "PHONE CARD"),
        ("+33 6 12 34 56 78 4242 4242 4242 4242 12/27", "PHONE CARD 12/27"),
        ("+1 3782 822463 10005", "+1 CARD"),
        ("+4111 1111 1111 1111", "+CARD"),
        ("212-555-0123 415-555-2671 4111111111111111 9", "PHONE PHONE CARD 9"),
        ("call 212-555-0123.", "call PHONE."),
        ("[2001:db8::1]:443 fe80::1%eth0", "[IP]:443 IP%eth0"),
        ("2001:db8::192.0.2.33/64", "IP/64"),
        ("at 2001:DB8:0:1::a: refused", "at IP: refused"),
    ],
)
def test_numbers_next_to_numbers_are_found(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "20261128170000 123", "1764349800000 1234", "1764349800000000000 12",
        "2019 2020 2021 2022 2023", "order 1234567890123456 12", "302-5551234-1234567",
        "12-212-555-0123", "212-555-0123-4", "1.2.840.212.555.0123.9", "112-555-0123",
        "212-155-0123", "212-555.0123", "978-0-306-40615-7", "DE89 3704 0044 0532 0130 07",
        "550e8400-e29b-41d4-a716-446655440000", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b",
        "4111 1111 1111 1112 123", "12:30:45", "std::add", "a::b face::add C::D", "2026::",
        "2001:db8::1:2:3:4:5:6:7", "16:27:ac:a5:76:28",
    ],
)  # fmt: skip
def test_what_only_looks_like_one_is_left_alone(text: str) -> None:
    assert shown(f"x {text} y") == f"x {text} y"


def test_a_shorter_piece_has_to_begin_and_to_be_grouped_like_a_card() -> None:
    """Luhn alone holds for one number in ten: asking at each blank must not multiply that."""
    rnd = random.Random(7)

    def digits(size: int) -> str:
        return "".join(rnd.choice("0123456789") for _ in range(size))

    plain = RuleSet([dataclasses.replace(rule, cut=None) for rule in CARDS.rules])
    for sizes in ((14, 3), (8, 6, 4), (3, 7, 7), (2, 4, 6, 4, 2), (4, 2, 2, 6, 3), (5, 5, 5, 3)):
        for _ in range(300):
            text = " ".join(["2" + digits(sizes[0] - 1), *map(digits, sizes[1:])])
            assert CARDS.found_in(text) == [
                match._replace(rule=CARDS.rules[0]) for match in plain.found_in(text)
            ]


def test_control_without_the_cut_a_card_before_a_number_passes() -> None:
    plain = RuleSet([dataclasses.replace(rule, cut=None) for rule in PII])
    assert plain.found_in("4111 1111 1111 1111 123") == []
    assert plain.found_in("+49 170 1234567 212-555-0123")[0].start > 0


def test_numbers_in_any_order_and_in_any_pieces() -> None:
    rnd = random.Random(3)
    parts = ["4111111111111111", "4111 1111 1111 1111", "3782 822463 10005", "+49 170 1234567",
             "212-555-0123", "(212) 555-0123", "2001:db8::1", "12/27", "123", "1", "+", "-", ".",
             "é", ":", " ", "DE89 3704 0044 0532 0130 00", "536-90-4399"]  # fmt: skip
    for _ in range(300):
        text = "".join(rnd.choice(parts) + rnd.choice(("", " ", " ")) for _ in range(6))
        assert in_pieces(text, rnd) == RULES.found_in(text), text
