"""What each kind of personal data looks like, and how a text is searched for all of them.

Rules this module keeps:
- a form with a check digit counts only when it fits; a form that could be any number counts only
  beside a word that says what it is (`Form.beside`), within 48 characters before it or 24 after it;
- every expression is bounded and begins where no longer run of its letters can begin, so that time
  grows with the length of a text and not faster;
- where two kinds claim one place, the one that is listed first has it.

Units: spans in code points of the text as it came; `plain` changes letters one for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import checks
import phones

__all__ = ["KINDS", "Found", "find", "plain"]

_BEFORE, _AFTER = 48, 24
_WIDE = {
    **{0xFF01 + one: 0x21 + one for one in range(94)},
    **{start + one: 0x30 + one for start in (0x660, 0x6F0, 0x966) for one in range(10)},
    **dict.fromkeys((0xA0, 0x2007, 0x2009, 0x202F, 0x3000), 0x20),
    **dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0x2212), 0x2D),
}
_NUMBERS = re.compile(r"\d(?:[ ./-]{0,2}\d){7,}", re.ASCII)
_SEPARATORS = str.maketrans("", "", " ./-")


class Found(NamedTuple):
    """One value: its kind, and where it stands."""

    kind: str
    start: int
    end: int


class Form(NamedTuple):
    """One form of a kind. `needs`: texts of which one is in every text that holds it."""

    kind: str
    pattern: re.Pattern[str]
    check: Callable[[str], bool] | None = None
    beside: re.Pattern[str] | None = None
    needs: tuple[str, ...] = ()
    is_number: bool = False


def _form(
    kind: str, pattern: str, check: Callable[[str], bool] | None = None, *,
    beside: str = "", needs: tuple[str, ...] = (), is_number: bool = False,
) -> Form:  # fmt: skip
    words = re.compile(rf"(?<![a-z])(?:{beside})(?![a-z])", re.IGNORECASE) if beside else None
    return Form(kind, re.compile(pattern), check, words, needs, is_number)


def _number(kind: str, pattern: str, check: Callable[[str], bool] | None, beside: str = "") -> Form:
    pattern = rf"(?<![A-Za-z0-9])(?<![0-9][.,/-]){pattern}(?![A-Za-z0-9])(?![./-][0-9])"
    return _form(kind, pattern, check, beside=beside, is_number=True)


_FILES = frozenset({
    "png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "json", "yaml", "yml", "xml", "html", "css",
    "js", "txt", "service", "socket", "timer", "target", "mount",
})  # fmt: skip
"""Names of files and units that end like this are no addresses; none is a top-level domain."""
_KEY = (
    r"sk-(?:proj-|ant-(?:api\d\d-)?|or-v1-)?[A-Za-z0-9_-]{20,200}|A[KS]IA[A-Z2-7]{16}|"
    r"gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{60,100}|glpat-[A-Za-z0-9_-]{20,64}|"
    r"xox[abprs]-[A-Za-z0-9-]{10,200}|AIza[A-Za-z0-9_-]{35}|hf_[A-Za-z0-9]{30,64}|"
    r"[rs]k_live_[A-Za-z0-9]{16,99}|npm_[A-Za-z0-9]{36}|"
    r"eyJ[A-Za-z0-9_-]{10,2000}\.eyJ[A-Za-z0-9_-]{10,8000}\.[A-Za-z0-9_-]{10,2000}"
)
_KEY_NEEDS = (
    "sk-", "akia", "asia", "gh", "glpat-", "xox", "aiza", "hf_", "k_live_", "npm_", "eyj",
)  # fmt: skip
_SAID_NEEDS = (
    "pass", "pwd", "kennwort", "contraseña", "senha", "wachtwoord", "hasło", "key", "token",
    "secret",
)  # fmt: skip
_SAID = (
    r"(?i:pass ?word|passwd|pwd|passcode|passphrase|passwort|kennwort|mot de passe|contraseña|"
    r"senha|wachtwoord|hasło|api[ _-]?key|secret[ _-]?key|access[ _-]?token|auth[ _-]?token|"
    r"client[ _-]?secret)"
)
_DATE = (
    r"\d{1,2}[./-]\d{1,2}[./-](?:\d{4}|\d{2})|\d{4}[./-]\d{1,2}[./-]\d{1,2}|"
    r"(?:\d{1,2}(?:st|nd|rd|th|er|\.|º)?,? ?(?:of |de |d')?)?"
    r"[A-Za-zÀ-ž]{3,10}\.?,? (?:de |del )?(?:\d{1,2}(?:st|nd|rd|th)?,? )?\d{4}"
)
_BORN = (
    r"(?i:date of birth|birth ?date|birth ?day|d\.?o\.?b\.?|born|geboren|geburtsdatum|geb\.|"
    r"date de naissance|née?|fecha de nacimiento|nacid[oa]|data di nascita|nat[oa] il|"
    r"geboortedatum|data de nascimento|nascid[oa]|data urodzenia|urodzon[ya]|ur\.)"
)
_PASSPORT = r"(?i:passport|reisepass|passeport|pasaporte|passaporto|passaporte|paspoort|paszport)"


def _is_mail(text: str) -> bool:
    local, _, domain = text.rpartition("@")
    return (
        ".." not in text and not local.startswith(".")
        and domain.rpartition(".")[2].lower() not in _FILES
    )  # fmt: skip


def _is_password(text: str) -> bool:
    """Tell whether it is a value rather than a name, a type, a call or a variable."""
    return (
        any(one.isdigit() or one in "!#%&*@^~+?" for one in text)
        and any(map(str.isalpha, text))
        and not any(one in text for one in "()[]{}<>$=")
        and set(text) != {"x"}
    )


def _is_mac(text: str) -> bool:
    return len(set(text.replace("-", ":").lower().split(":"))) > 2


def _is_nino(text: str) -> bool:
    return text[:2] not in {"BG", "GB", "KN", "NK", "NT", "TN", "ZZ"}


def _has_digits(text: str) -> bool:
    return sum(map(str.isdigit, text)) >= 5


_TAX = r"steuer\S{0,30}|tax[ -]?(?:id|number|identification)\S{0,10}|idnr\.?|tin"
_FORMS: tuple[Form, ...] = (
    _form("CREDENTIAL", rf"(?<![A-Za-z0-9_-])(?:{_KEY})(?![A-Za-z0-9_-])", needs=_KEY_NEEDS),
    _form("CREDENTIAL", r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----[A-Za-z0-9+/=\s:,-]{20,8000}?"
          r"-----END [A-Z ]{0,30}PRIVATE KEY-----", needs=("-----begin",)),
    _form("CREDENTIAL", r"(?<=://)[^\s/:@\"'<>]{1,64}:[^\s/:@\"'<>]{1,128}(?=@)", needs=("://",)),
    _form("CREDENTIAL", rf"(?<![A-Za-z]){_SAID}(?: (?i:is|ist|est|es|é|to))?[\"']?(?: ?[:=]>? ?| )"
          r"[\"'`]?"
          r"(?P<value>[^\s\"'`,;]{6,128})(?<![.?)])", _is_password, needs=_SAID_NEEDS),
    _form("EMAIL", r"(?<![\w.%+-])[\w.%+-]{1,64}@(?:[\w-]{1,63}\.){1,6}[A-Za-z]{2,24}(?![\w-])"
          r"(?!:[\w./~-])", _is_mail, needs=("@",)),
    _form("IBAN", r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?: ?[A-Za-z0-9]{4}){2,7}"
          r"(?: ?[A-Za-z0-9]{1,3})?"
          r"(?![A-Za-z0-9])", None),
    _form("CRYPTO", r"(?<![A-Za-z0-9])[13][1-9A-HJ-NP-Za-km-z]{25,34}(?![A-Za-z0-9])",
          checks.is_base58),
    _form("CRYPTO", r"(?<![A-Za-z0-9])(?:bc1[02-9ac-hj-np-z]{11,87}|BC1[02-9AC-HJ-NP-Z]{11,87})"
          r"(?![A-Za-z0-9])", checks.is_bech32, needs=("bc1",)),
    _form("CRYPTO", r"(?<![A-Za-z0-9])0x[0-9a-fA-F]{40}(?![A-Za-z0-9])", needs=("0x",),
          beside=r"eth|ethereum|wallet|address|erc-?20|usdt|usdc|send|pay|donate|crypto|adresse"),
    _number("CARD", r"\d(?:[ -]?\d){11,18}", None),
    _number("SSN", r"\d{3}([ -])\d{2}\1\d{4}", checks.is_ssn),
    _number("SSN", r"\d{9}", checks.is_ssn, "ssn|social security(?: number| no)?"),
    _number("NIR", r"[1-478] ?\d\d ?\d\d ?(?:\d\d|2[AaBb]) ?\d{3} ?\d{3} ?\d\d", checks.is_nir),
    _number("TAX_ID", r"\d{2} ?\d{3} ?\d{3} ?\d{3}", checks.is_german_tax_id, _TAX),
    _number("PESEL", r"\d{11}", checks.is_pesel, "pesel"),
    _number("CPF", r"\d{3}\.\d{3}\.\d{3}-\d{2}", checks.is_cpf),
    _number("CPF", r"\d{11}", checks.is_cpf, "cpf"),
    _number("CNPJ", r"\d{2}\.\d{3}\.\d{3}/\d{4}-\d{2}", checks.is_cnpj),
    _number("CNPJ", r"\d{14}", checks.is_cnpj, "cnpj"),
    _form("CNPJ", r"(?<![A-Za-z0-9.])[A-Z0-9]{2}\.[A-Z0-9]{3}\.[A-Z0-9]{3}/[A-Z0-9]{4}-\d{2}(?!\w)",
          checks.is_cnpj, needs=("/",)),
    _number("AADHAAR", r"[2-9]\d{3}([ -])\d{4}\1\d{4}", checks.is_aadhaar),
    _number("AADHAAR", r"[2-9]\d{11}", checks.is_aadhaar, "a?adhaar|uidai|uid"),
    _number("NHS", r"\d{3}([ -]?)\d{3}\1\d{4}", checks.is_nhs, "nhs"),
    _number("BSN", r"\d{9}|\d{4}[ .]\d{2}[ .]\d{3}|\d{3}[ .]\d{3}[ .]\d{3}", checks.is_bsn,
            r"bsn(?:-?nummer)?|burgerservicenummer|sofi-?nummer"),
    _form("DNI", r"(?<![A-Za-z0-9])(?:\d{8}|\d{2}\.\d{3}\.\d{3}|[XYZxyz]-?\d{7})"
          r"-?[A-HJ-NP-TV-Za-hj-np-tv-z]"
          r"(?![A-Za-z0-9])", checks.is_dni),
    _form("CODICE_FISCALE", r"(?<![A-Za-z0-9])(?i:[A-Z]{6}[0-9LMNP-V]{2}[A-EHLMPRST][0-9LMNP-V]{2}"
          r"[A-Z][0-9LMNP-V]{3}[A-Z])(?![A-Za-z0-9])", checks.is_codice_fiscale),
    _form("NINO", r"(?<![A-Za-z0-9])[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"
          r"( ?)\d{2}\1\d{2}\1\d{2}\1[A-D]"
          r"(?![A-Za-z0-9])", _is_nino),
    _form("PASSPORT", rf"(?<![A-Za-z]){_PASSPORT}[^\n\d]{{0,24}}?(?<![A-Za-z0-9])"
          r"(?P<value>[A-Z]{0,3}\d[A-Z0-9]{5,8})(?![A-Za-z0-9])", _has_digits,
          needs=("pas", "reisep")),
    _form("BIRTH_DATE", rf"(?<![A-Za-z]){_BORN}(?![a-z])[^\n\d]{{0,24}}?(?<![A-Za-z0-9])"
          rf"(?P<value>{_DATE})(?![A-Za-z0-9])"),
    _form("MAC", r"(?<![A-Za-z0-9:-])[0-9A-Fa-f]{2}([:-])(?:[0-9A-Fa-f]{2}\1){4}[0-9A-Fa-f]{2}"
          r"(?![A-Za-z0-9:-])", _is_mac),
    _form("IP", r"(?<![A-Za-z0-9.-])(?:\d{1,3}\.){3}\d{1,3}(?![A-Za-z0-9-])(?!\.\d)",
          checks.is_public_ip,
          needs=(".",)),
    _form("IP", r"(?<![A-Za-z0-9:.])[0-9A-Fa-f]{1,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![A-Za-z0-9:])",
          checks.is_public_ip, needs=(":",)),
)  # fmt: skip
_CARD_SHAPES = {(4, 4, 4, 4), (4, 4, 4, 4, 3), (4, 4, 4, 3), (4, 6, 5), (4, 6, 4), (6, 13)}
_CARD_WORDS = re.compile(
    r"(?<![a-z])(?:(?:credit|debit|bank)? ?cards?|visa|mastercard|maestro|amex|jcb|kreditkarte|"
    r"karten?(?:nummer)?|"
    r"carte(?: bancaire)?|tarjeta|cartão|carta di credito|kaart|karta|cc)(?![a-z])",
    re.IGNORECASE,
)
_VERSION = re.compile(r"(?i)(?:version|release|v|oid|section|chapter)[ .:=\"'-]{0,4}\Z")

KINDS: tuple[str, ...] = tuple(dict.fromkeys([*(one.kind for one in _FORMS), "PHONE"]))
"""Every kind, in the order in which they are asked."""


def plain(text: str) -> str:
    """Return a text of the same length with the digits, blanks and hyphens of ASCII."""
    return text if text.isascii() else text.translate(_WIDE)


def find(text: str, kinds: frozenset[str], regions: tuple[str, ...]) -> list[Found]:
    """Return what a text holds of the kinds, in order, without overlaps."""
    text = plain(text)
    runs = [one.span() for one in _NUMBERS.finditer(text)]
    taken = bytearray(len(text))
    found: list[Found] = []
    for kind, start, end in _claims(text, runs, kinds, regions):
        if not any(taken[start:end]):
            taken[start:end] = b"\x01" * (end - start)
            found.append(Found(kind, start, end))
    return sorted(found, key=lambda one: one.start)


def _claims(
    text: str, runs: list[tuple[int, int]], kinds: frozenset[str], regions: tuple[str, ...]
) -> Iterator[Found]:
    lowered = text.lower()
    for form in _FORMS:
        if form.kind not in kinds or (form.is_number and not runs):
            continue
        if form.needs and not any(one in lowered for one in form.needs):
            continue
        for start, end in runs if form.is_number else [(0, len(text))]:
            for match in form.pattern.finditer(text, start, min(end + 1, len(text))):
                yield from _of(form, text, match)
    if "PHONE" in kinds:
        for start, end in phones.find(text, regions, _is_beside):
            yield Found("PHONE", start, end)


def _of(form: Form, text: str, match: re.Match[str]) -> Iterator[Found]:
    start, end = match.span("value" if "value" in form.pattern.groupindex else 0)
    value = text[start:end]
    if form.kind == "CARD":
        sure = _is_beside(_CARD_WORDS, text, start, end)
        end = start + _card(value, checks.is_luhn if sure else checks.is_card)
    elif form.kind == "IBAN":
        end = start + _iban(value)
    elif form.kind == "IP" and _VERSION.search(text, max(0, start - 14), start):
        return
    elif form.check is not None:
        bare = form.is_number or form.kind in {"DNI", "CNPJ"}
        if not form.check(value.translate(_SEPARATORS) if bare else value):
            return
    if end > start and (form.beside is None or _is_beside(form.beside, text, start, end)):
        yield Found(form.kind, start, end)


def _is_beside(words: re.Pattern[str], text: str, start: int, end: int) -> bool:
    before = text[max(0, start - _BEFORE) : start].rpartition("\n\n")[2]
    return bool(words.search(before) or words.search(text[end : end + _AFTER].partition("\n\n")[0]))


def _card(value: str, check: Callable[[str], bool]) -> int:
    """Return how much of digits is a card, in a form in which cards are printed."""
    longest, sizes = 0, []
    for group in re.finditer(r"\d+", value):
        sizes.append(len(group[0]))
        printed = len(sizes) == 1 or tuple(sizes) in _CARD_SHAPES
        if printed and check(value[: group.end()].translate(_SEPARATORS)):
            longest = group.end()
    return longest


def _iban(value: str) -> int:
    """Return how much of a text is an IBAN: words may follow one."""
    ends = [one.start() for one in re.finditer(" ", value)]
    for end in (len(value), *reversed(ends)):
        if checks.is_iban(value[:end].replace(" ", "").upper()):
            return end
    return 0
