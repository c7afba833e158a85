"""Score the plugin pii-redactor on labelled texts, and count what it says of harmless ones.

    python benchmarks/pii_redactor.py --labelled DATA.json --harmless FOLDER [--wheel WHEEL]

`DATA.json` is a list of objects with `full_text` and `spans` (`entity_type`, `start_position`,
`end_position`), the form of presidio-research's data sets. `--harmless` is a folder of code, logs
or prose. The built-in rules of the proxy's filter `pii` are scored in the same run. Texts of our
own, with numbers made for the occasion, are always scored: half of them have a wrong check digit.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "examples" / "plugins" / "pii-redactor")]

from tavo.detect.pii import PII  # noqa: E402
from tavo.detect.rules import RuleSet, from_bytes, to_bytes  # noqa: E402

SAME = {
    "CREDIT_CARD": "CARD", "PHONE_NUMBER": "PHONE", "EMAIL_ADDRESS": "EMAIL", "IBAN_CODE": "IBAN",
    "US_SSN": "SSN", "IP_ADDRESS": "IP",
}  # fmt: skip
WIDER = {"BIRTH_DATE": "DATE_TIME"}
REGIONS = ("US", "GB", "DE", "FR", "ES", "IT", "NL", "BR", "IN")
Spans = list[tuple[str, int, int]]
SAID = {
    "SSN": ["My social security number is {}.", "ssn: {}", "Employee {} was paid."],
    "CARD": ["Charge {} please.", "card={}; exp=12/30", "Karte {} 12/27"],
    "IBAN": ["Pay to {} by Friday.", "IBAN: {}", "konto={}"],
    "NIR": ["Numéro de sécurité sociale : {}", "NIR {}"],
    "TAX_ID": ["Meine Steuer-ID ist {}.", "Steueridentifikationsnummer: {}"],
    "DNI": ["Mi DNI es {}.", "NIF {}"],
    "CODICE_FISCALE": ["Codice fiscale: {}", "CF {}"],
    "BSN": ["BSN: {}", "Mijn burgerservicenummer is {}."],
    "PESEL": ["PESEL: {}", "Numer PESEL {}"],
    "CPF": ["CPF: {}", "O CPF do cliente é {}"],
    "CNPJ": ["CNPJ {}"],
    "AADHAAR": ["Aadhaar {}", "My Aadhaar number: {}"],
    "NHS": ["NHS number {}", "NHS no: {}"],
}


def made(rnd: random.Random) -> Iterator[tuple[str, str, bool]]:
    """Yield a kind, a number in one of its forms, and whether its check digits are right."""
    import checks

    def digits(size: int) -> str:
        return "".join(rnd.choice("0123456789") for _ in range(size))

    def dashed(text: str, *sizes: int, by: str = " ") -> str:
        parts, at = [], 0
        for size in sizes:
            parts.append(text[at : at + size])
            at += size
        return by.join(parts)

    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    ways: dict[str, tuple[Callable[[], str], Callable[[str], bool], Callable[[str], str]]] = {
        "SSN": (lambda: digits(9), checks.is_ssn, lambda t: dashed(t, 3, 2, 4, by="-")),
        "CARD": (lambda: "4" + digits(15), checks.is_card, lambda t: dashed(t, 4, 4, 4, 4)),
        "IBAN": (lambda: "DE" + digits(20), checks.is_iban, lambda t: dashed(t, 4, 4, 4, 4, 4, 2)),
        "NIR": (lambda: rnd.choice("12") + digits(2) + "07" + digits(10), checks.is_nir, str),
        "TAX_ID": (lambda: digits(11), checks.is_german_tax_id, str),
        "DNI": (lambda: digits(8) + rnd.choice(letters), checks.is_dni, str),
        "CODICE_FISCALE": (
            lambda: "RSSMRA" + digits(2) + "A" + digits(2) + "H" + digits(3) + rnd.choice(letters),
            checks.is_codice_fiscale, str,
        ),
        "BSN": (lambda: digits(9), checks.is_bsn, str),
        "PESEL": (lambda: digits(2) + "05" + "1" + digits(6), checks.is_pesel, str),
        "CPF": (
            lambda: digits(11), checks.is_cpf,
            lambda t: f"{t[:3]}.{t[3:6]}.{t[6:9]}-{t[9:]}",
        ),
        "CNPJ": (
            lambda: digits(8) + "0001" + digits(2), checks.is_cnpj,
            lambda t: f"{t[:2]}.{t[2:5]}.{t[5:8]}/{t[8:12]}-{t[12:]}",
        ),
        "AADHAAR": (lambda: digits(12), checks.is_aadhaar, lambda t: dashed(t, 4, 4, 4)),
        "NHS": (lambda: digits(10), checks.is_nhs, lambda t: dashed(t, 3, 3, 4)),
    }  # fmt: skip
    for kind, (draw, check, shape) in ways.items():
        for wanted in (True, False):
            left = 100
            while left:
                number = draw()
                if check(number) is wanted:
                    left -= 1
                    yield kind, shape(number), wanted


def plugin(text: str) -> Spans:
    import forms

    return [tuple(one) for one in forms.find(text, frozenset(forms.KINDS), REGIONS)]  # type: ignore[misc]


def built_in() -> Callable[[str], Spans]:
    rules = RuleSet(PII)

    def look(text: str) -> Spans:
        data = to_bytes(text)
        return [
            (one.rule.label, len(from_bytes(data[: one.start])), len(from_bytes(data[: one.end])))
            for one in rules.found_in(text)
        ]

    return look


def hit(one: tuple[str, int, int], others: Spans) -> bool:
    """Tell whether a span of the kind covers most of this one, or the other way around."""
    kind, start, end = one
    return any(
        kind == other and min(end, last) - max(start, first) >= 0.8 * (end - start)
        for other, first, last in others
    )


def on_labelled(path: Path, look: Callable[[str], Spans]) -> None:
    found: Counter[str] = Counter()
    total: Counter[str] = Counter()
    right: Counter[str] = Counter()
    said: Counter[str] = Counter()
    for row in json.loads(path.read_text("utf-8")):
        every = [
            (SAME.get(one["entity_type"], one["entity_type"]), one["start_position"],
             one["end_position"]) for one in row["spans"]
        ]  # fmt: skip
        own = look(row["full_text"])
        for one in every:
            if one[0] in SAME.values():
                total[one[0]] += 1
                found[one[0]] += hit(one, own)
        for one in own:
            said[one[0]] += 1
            right[one[0]] += any(
                kind in {one[0], WIDER.get(one[0])} and one[1] < end and one[2] > start
                for kind, start, end in every
            )
    for kind in sorted({*total, *said}):
        recall = f"{found[kind] / total[kind]:.3f}" if total[kind] else "-"
        precision = f"{right[kind] / said[kind]:.3f}" if said[kind] else "-"
        print(f"| {kind} | {total[kind]} | {recall} | {precision} | {said[kind]} |")


def on_own() -> None:
    rnd = random.Random(7)
    right: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for kind, number, is_right in made(rnd):
        text = rnd.choice(SAID[kind]).format(number)
        at = text.index(number)
        is_found = any(
            one[0] == kind and one[1] <= at and one[2] >= at + len(number) for one in plugin(text)
        )
        (right if is_right else wrong)[kind] += is_found
    print("\n| texts of our own | found of 100 | taken with a wrong check digit, of 100 |")
    print("|---|---|---|")
    for kind in SAID:
        print(f"| {kind} | {right[kind]} | {wrong[kind]} |")


def on_harmless(folder: Path, look: Callable[[str], Spans], show: bool) -> None:
    size, cpu = 0, 0.0
    said: Counter[str] = Counter()
    samples: dict[str, list[str]] = {}
    files = [one for one in sorted(folder.rglob("*")) if one.is_file()]
    for path in files:
        try:
            text = path.read_bytes()[:1_000_000].decode("utf-8")
        except UnicodeDecodeError:
            continue
        began = time.process_time()
        own = look(text)
        cpu += time.process_time() - began
        size += len(text.encode())
        for kind, start, end in own:
            said[kind] += 1
            samples.setdefault(kind, []).append(f"{path.name}: {text[start:end]!r}")
    each = ", ".join(f"{kind} {count}" for kind, count in said.most_common()) or "none"
    print(f"| {folder.name} | {size / 1e6:.1f} | {cpu * 1e6 / (size or 1):.2f} | {each} |")
    if show:
        for kind, ones in samples.items():
            print(kind, *dict.fromkeys(ones).keys(), sep="\n    ", end="\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--labelled", type=Path, action="append", default=[])
    parser.add_argument("--harmless", type=Path, action="append", default=[])
    parser.add_argument("--wheel", type=Path, help="phonenumberslite, where it is not installed")
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    if options.wheel:
        sys.path.insert(0, str(options.wheel))
    import phones

    phones.warm(REGIONS)
    peers = {"pii-redactor": plugin, "the proxy's pii": built_in()}
    for path in options.labelled:
        for name, look in peers.items():
            print(f"\n| {path.name}, {name} | texts | recall | precision | said |")
            print("|---|---|---|---|---|")
            on_labelled(path, look)
    on_own()
    for name, look in peers.items():
        print(f"\n| {name}, harmless | MB | ms per kB | said |\n|---|---|---|---|")
        for folder in options.harmless:
            on_harmless(folder, look, options.show)
    return 0


if __name__ == "__main__":
    sys.exit(main())
