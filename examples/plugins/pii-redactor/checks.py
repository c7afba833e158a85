"""Check digits: whether a number can be one that its kind gives out.

Rules this module keeps:
- a check takes digits and letters without separators and tells yes or no; it never raises;
- what a check cannot tell (whether the number was ever given out) it does not claim.

Sources: ISO/IEC 7812-1 (Luhn), ISO 13616 and ISO 7064 (IBAN; mod 11,10), SSA's rules for numbers
since 2011, INSEE (NIR), the Spanish, Italian, Dutch, Polish, Brazilian and Indian authorities'
published algorithms, NHS Data Dictionary, BIP 173 and 350, Base58Check.
"""

from __future__ import annotations

import hashlib
import ipaddress
from datetime import date

__all__ = [
    "is_aadhaar",
    "is_base58",
    "is_bech32",
    "is_bsn",
    "is_card",
    "is_cnpj",
    "is_codice_fiscale",
    "is_cpf",
    "is_dni",
    "is_german_tax_id",
    "is_iban",
    "is_luhn",
    "is_nhs",
    "is_nir",
    "is_pesel",
    "is_public_ip",
    "is_ssn",
]

_LENGTHS = """
    AL:28 AD:24 AE:23 AT:20 AZ:28 BA:20 BE:16 BG:22 BH:22 BI:27 BR:29 BY:28 CH:21 CR:22
    CY:28 CZ:24 DE:22 DJ:27 DK:18 DO:28 EE:20 EG:29 ES:24 FI:18 FK:18 FO:18 FR:27 GB:22
    GE:22 GI:23 GL:18 GR:27 GT:28 HN:28 HR:21 HU:28 IE:22 IL:23 IQ:23 IS:26 IT:27 JO:30
    KW:30 KZ:20 LB:28 LC:32 LI:21 LT:20 LU:20 LV:21 LY:25 MC:27 MD:24 ME:22 MK:19 MN:20
    MR:27 MT:31 MU:30 NI:28 NL:18 NO:15 OM:23 PK:24 PL:28 PS:29 PT:25 QA:29 RO:24 RS:22
    RU:33 SA:24 SC:31 SD:18 SE:24 SI:19 SK:24 SM:27 SO:23 ST:25 SV:28 TL:23 TN:24 TR:26
    UA:29 VA:22 VG:24 XK:20 YE:30
"""
_IBAN = dict(pair.split(":") for pair in _LENGTHS.split())
_DNI = "TRWAGMYFPDXBNJZSQVHLCKE"
_ODD = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", (
    1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6,
    8, 12, 14, 16, 10, 22, 25, 24, 23,
), strict=True))  # fmt: skip
_TIMES = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678", "5987604321",
    "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_TURNED = (
    "0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901",
    "2793806415", "7046913258",
)  # fmt: skip
_BASE58 = {
    one: number
    for number, one in enumerate("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz")
}
_BECH32 = {one: number for number, one in enumerate("qpzry9x8gf2tvdw0s3jn54khce6mua7l")}


def is_card(digits: str) -> bool:
    """Tell whether a payment card of a known issuer may have this number."""
    size = len(digits)
    if not 13 <= size <= 19 or not is_luhn(digits):
        return False
    two, four = int(digits[:2]), int(digits[:4])
    if digits[0] == "4":
        return size in {13, 16, 19}
    if 51 <= two <= 55 or 2221 <= four <= 2720 or 2200 <= four <= 2204:
        return size == 16
    if two in {34, 37}:
        return size == 15
    if two in {36, 38, 39} or 3000 <= four <= 3059:
        return size in {14, 16}
    return size >= 16 and (two in {50, 56, 57, 58} or digits[0] == "6" or 3528 <= four <= 3589)


def is_luhn(digits: str) -> bool:
    """Tell whether digits fit the check digit of cards, whoever issued it."""
    if not 12 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    total = 0
    for place, one in enumerate(reversed(digits)):
        value = int(one) << (place & 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_iban(text: str) -> bool:
    """Tell whether an account of its country may have this number (upper case, no blanks)."""
    if _IBAN.get(text[:2]) != str(len(text)):
        return False
    turned = text[4:] + text[:4]
    return int("".join(str(int(one, 36)) for one in turned)) % 97 == 1


def is_ssn(digits: str) -> bool:
    """Tell whether the United States may have given out this number."""
    area, group, serial = digits[:3], digits[3:5], digits[5:]
    return (
        len(digits) == 9 and area not in {"000", "666"} and area[0] != "9"
        and group != "00" and serial != "0000"
        and digits not in {"078051120", "219099999", "123456789", "111111111"}
    )  # fmt: skip


def is_german_tax_id(digits: str) -> bool:
    """Tell whether it is a German Steuer-IdNr. (ISO 7064 mod 11,10; one digit stands twice)."""
    if len(digits) != 11 or digits[0] == "0":
        return False
    counts = [digits[:10].count(one) for one in set(digits[:10])]
    if max(counts) not in {2, 3} or sum(count > 1 for count in counts) != 1:
        return False
    product = 10
    for one in digits[:10]:
        product = ((int(one) + product) % 10 or 10) * 2 % 11
    return (11 - product) % 10 == int(digits[10])


def is_nir(text: str) -> bool:
    """Tell whether it is a French numéro de sécurité sociale with its key."""
    plain = text.upper().replace("2A", "19").replace("2B", "18")
    if len(plain) != 15 or not plain.isdigit() or plain[0] not in "123478":
        return False
    month = int(plain[3:5])
    if not (1 <= month <= 12 or 20 <= month <= 42 or month >= 50):
        return False
    return 97 - int(plain[:13]) % 97 == int(plain[13:])


def is_dni(text: str) -> bool:
    """Tell whether it is a Spanish DNI or NIE with its letter."""
    number = text[:-1].upper()
    if number[0] in "XYZ":
        number = str("XYZ".index(number[0])) + number[1:]
    return len(number) == 8 and number.isdigit() and _DNI[int(number) % 23] == text[-1].upper()


def is_codice_fiscale(text: str) -> bool:
    """Tell whether it is an Italian codice fiscale with its letter."""
    text = text.upper()
    if len(text) != 16:
        return False
    total = 0
    for place, one in enumerate(text[:15]):
        total += _ODD[one] if place % 2 == 0 else (int(one) if one.isdigit() else ord(one) - 65)
    return chr(total % 26 + 65) == text[15]


def is_bsn(digits: str) -> bool:
    """Tell whether it is a Dutch burgerservicenummer (the test of eleven)."""
    if len(digits) != 9 or len(set(digits)) < 3:
        return False
    total = sum(int(one) * (9 - place) for place, one in enumerate(digits[:8])) - int(digits[8])
    return total % 11 == 0


def is_pesel(digits: str) -> bool:
    """Tell whether it is a Polish PESEL: a date of birth and a check digit."""
    if len(digits) != 11:
        return False
    month = int(digits[2:4])
    century = {0: 1900, 1: 2000, 2: 2100, 3: 2200, 4: 1800}[month // 20]
    try:
        date(century + int(digits[:2]), month % 20, int(digits[4:6]))
    except ValueError:
        return False
    total = sum(int(o) * w for o, w in zip(digits, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), strict=True))
    return total % 10 == 0


def is_cpf(digits: str) -> bool:
    """Tell whether it is a Brazilian CPF with its two check digits."""
    if len(digits) != 11 or len(set(digits)) == 1:
        return False
    return all(
        sum(int(one) * (size + 1 - place) for place, one in enumerate(digits[:size])) * 10 % 11 % 10
        == int(digits[size])
        for size in (9, 10)
    )


def is_cnpj(text: str) -> bool:
    """Tell whether it is a Brazilian CNPJ, also one with letters (in use since 2026)."""
    if len(text) != 14 or len(set(text)) == 1 or not text[12:].isdigit():
        return False
    values = [ord(one) - 48 for one in text.upper()]
    for size in (12, 13):
        weights = [(size - 1 - place) % 8 + 2 for place in range(size)]
        rest = sum(v * w for v, w in zip(values, weights, strict=False)) % 11
        if (0 if rest < 2 else 11 - rest) != values[size]:
            return False
    return True


def is_aadhaar(digits: str) -> bool:
    """Tell whether it is an Indian Aadhaar number (Verhoeff)."""
    if len(digits) != 12 or digits[0] in "01" or len(set(digits)) < 3:
        return False
    state = 0
    for place, one in enumerate(reversed(digits)):
        state = int(_TIMES[state][int(_TURNED[place % 8][int(one)])])
    return state == 0


def is_nhs(digits: str) -> bool:
    """Tell whether it is a number of the NHS of England and Wales (mod 11)."""
    if len(digits) != 10 or len(set(digits)) < 3:
        return False
    check = 11 - sum(int(one) * (10 - place) for place, one in enumerate(digits[:9])) % 11
    return check != 10 and check % 11 == int(digits[9])


def is_base58(text: str) -> bool:
    """Tell whether it is a Bitcoin address of the old form."""
    number = 0
    for one in text:
        number = number * 58 + _BASE58[one]
    if number >= 1 << 200:
        return False
    data = number.to_bytes(25, "big")
    digest = hashlib.sha256(hashlib.sha256(data[:21]).digest()).digest()
    return data[0] in {0, 5} and digest[:4] == data[21:]


def is_bech32(text: str) -> bool:
    """Tell whether it is a Bitcoin address of the segregated witness form."""
    text = text.lower()
    state = 1
    for value in (3, 3, 0, 2, 3, *(_BECH32.get(one, -1) for one in text[3:])):
        if value < 0:
            return False
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ value
        for bit, mask in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            if top >> bit & 1:
                state ^= mask
    return state in {1, 0x2BC830A3}


def is_public_ip(text: str) -> bool:
    """Tell whether it is an address on the internet: not private, local or for documents."""
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False
