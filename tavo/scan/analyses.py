"""Analyses of what a string holds: whether it looks random, and whether a regex can explode.

Rules this module keeps:
- both are judgements on one short string, bounded by its length; nothing is run;
- a regular expression explodes where a repeated part can take the same text in several ways.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

__all__ = ["can_explode", "looks_random"]

_LONGEST = 2_000
_FEWEST_RARE = 9
_FEWEST_DIFFERENT = 2
_SHARE_RARE = 0.7
_TEXT = (
    "abeabiablabsaccaceachackacoactadaaddadeadiadmadsaftageailainairaitakealaalcalealgali"
    "allaloalpalsaltaluameamiammampanaancandaneanganiannanoansantapeaphappapsaptaraarcard"
    "areargariarkarlarmarnarparrarsartaryascaseashasiaskasoassastataatcateathatiatoatrats"
    "attatuaulausautavaaveaxiayebacbalbanbarbasbefbelberbesbetbilbinbitbjebleblobolboobou"
    "boxbrabrebribrobsebstbufbuibulbutbytcaccalcamcancapcarcascatcceccocdfcedcelcencepcer"
    "ceschachechichochrciacincirckecksclacleclicloclucmdcodcolcomconcoocopcorcoscoucrecri"
    "croctactectictoctrctscumcurcuscutdardasdatdcadcoddeddiddrdeadecdeddefdeldendepderdes"
    "detdevdexdfidgediadicdifdigdimdindiodirdisditdivdledlidocdomdotdoudowdpadradredridro"
    "dstdtoducduleadeakealeameaneareaseatebaebuecaechecieckeclecoectecuedaedeedgediedoedr"
    "edueedeeneepefaefeeffefiefoefreftegeegiegreigeinelaeldeleelielleloelpelsemaembemeemi"
    "emoempenaencendeneengenoensentenuenveopeouepaepeeplepoepreptequeraerbercerdereerferg"
    "erierlermerneroerperrerserterveryesceseeshesiesoespessestesuetaetbetcetdeteetfetheti"
    "etletmetnetoetpetretsettetuetvetwetyevaeveeviewiexcexeexiexpextfacfauferfetffeffific"
    "fiefigfilfinfirfixflafleflofolfonforfrafrefroftefulfungamgatgedgengeogergesgetghtgin"
    "gisgitgleglognogragregrigrogslguigurhalhanharhasheahechedhelhenherheshilhinhishodhol"
    "honhoohorhoshothowhreialianiatiblibribuicaiceiciickicoicsictideidiidtiedielienieries"
    "iewiffifiiftifyighigniguildileiliilliltimaimeimiimpinaincindineinfinginiinkinoinpins"
    "intinuinvioniptireirsisaisciseishisiisoispissistitaitciteithitiitsittityiupivaiveivi"
    "izaizejeckcokedkenkerketkeykinlablaclaglanlarlaslatlaylcdlcoldeldilealecledlefleglei"
    "lellemlenlerlesletlevlexlgelialibliclidlieliglimlinliplislitlizllallellillollsllyloa"
    "loblocloglonloolorloslotlowlpalralrelselsflstltalteltiluelumluslutlvemacmagmaimakmal"
    "manmapmarmasmatmaxmbembimdlmedmemmenmermesmetmicmidminmismitmmammemodmonmormoumovmpa"
    "mpimplmpomprmptmtlmulmutnabnagnalnamnarnatncancenchnclnconctndandcndendindlndondpndr"
    "ndsndtneanecnednelnennernesnetnewnexnfinfongenginglngsngtngunicnimninnitnlenlinlonma"
    "nmennennonodnoinomnonnornosnotnownpanpunrensensfnsinsonspnstnsuntantcntenthntintlnto"
    "ntpntrntsnttnumnvanvenvioadoatobaobiobjocaoceockocoocuodeodioduoffofiogiogroinoisoke"
    "olaoldoleoliolloloolsoluolyomaomeomiommomoompomsonaoncondoneonfongonionlonmonnonoonr"
    "onsontonvookooloopootopeoptopyoraorcordoreoriorkormorrorsortoryoscoseosiossostotaote"
    "otiotoounoupourousoutoveovioweownowspacpadpagpanparpaspatpcopdapdfpeapecpedpenperpfi"
    "phaphipicpinplaplepliploplupoipolponporpospowppepplpprprepripropseptiptoputquaquequi"
    "quoracradragrairalramranraprarrasratrawrayrcerchrclrcorderdirdsrearecredreerefregrel"
    "remrenrepreqrerresretrevrgeriaribricridrierigrimrinrioriprisritrivrixrlarlirmarmermi"
    "rmornarnerobrocrodrofrogrolromronroprorrosrotrourovrowrporrarrerrorsersirsorstrtcrte"
    "rtirtortsrtyrucrunrvarvesagsamsavscasceschsciscnscoscrseasecsedseesegselsemsensepseq"
    "sersessetshasheshishosicsidsigsimsinsiosissitsizslaslcsleslisloslssmasocsolsonsorsou"
    "spaspesplsposprsqlsqusressassessisslssostastcstdstestistostrstsstysubsulsumsupsurswi"
    "symsynsystabtactadtaftagtaitaltantartastattcatchtcltcotdatdetditeatectedteftegteltem"
    "tenteptertestettextfitfothathethithothrtiatictietiftiltimtintiotiptittivtletlitmatme"
    "tmotnatobtoctodtoftoktomtontootoptortostottpatpotprtputratretritrltrotrutrytsetsitst"
    "ttattettittottrttytupturtustvatyltypualublubsuctudiueruesuffuicuiduiluitulauleullult"
    "umbumeumnumpuncunduniunsuntuotupduppupsuraurcureuriurlurnurrursuseushusiustutauteuth"
    "utiutoutputsuttvalvarvasvatvecvedvelvenvervesvicvidvievinvisvoiwarwavwcoweiwerwidwin"
    "witworwrixcexcoxecxerxisxmlxpoxprxtextryeryinyleynayncyouypeystytezedzer"
)
# The runs of three letters that are common in English and in the names that programs use.
_COMMON = frozenset(_TEXT[at : at + 3] for at in range(0, len(_TEXT), 3))


def looks_random(text: str) -> bool:
    """Tell whether a string looks like a key or a password made by a machine.

    Words, short strings and repetitions of one or two characters do not: most of the runs of three
    characters must be such that words do not have.
    """
    text = text[:_LONGEST].lower()
    runs = [text[at : at + 3] for at in range(len(text) - 2)]
    if len(set(runs)) <= _FEWEST_DIFFERENT:
        return False
    rare = sum(run not in _COMMON for run in runs)
    return rare >= _FEWEST_RARE and rare >= _SHARE_RARE * len(text)


def can_explode(pattern: str) -> bool:
    """Tell whether a regular expression that backtracks can take exponential time.

    One that cannot be read cannot be judged, and does not count.
    """
    # The standard library's reader of expressions has had two places.
    try:
        from re import _parser as parser  # type: ignore[attr-defined]
    except ImportError:
        return False
    if len(pattern) > _LONGEST:
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            parsed = parser.parse(pattern)
            return any(_explodes(body) for body in _repeated(parsed))
    except (re.error, RecursionError, OverflowError, ValueError, TypeError):
        return False


_Parsed = Iterable[tuple[Any, Any]]


def _repeated(parsed: _Parsed, *, followed: bool = False) -> Iterable[_Parsed]:
    """Yield what is repeated without a limit where something follows that can fail."""
    items = list(parsed)
    for number, (name, value) in enumerate(items):
        more = followed or number + 1 < len(items)
        if str(name) in {"MAX_REPEAT", "MIN_REPEAT"}:
            _, high, body = value
            if high > _LONGEST and more:
                yield body
        for part in _parts(value):
            yield from _repeated(part, followed=more)


def _explodes(body: _Parsed) -> bool:
    """Tell whether something in a repeated part can be split between its rounds in several ways."""
    items = _unwrapped(body)
    if len(items) == 1 and str(items[0][0]) == "BRANCH":
        firsts = [_first(branch) for branch in items[0][1][1]]
        return any(
            _overlap(one, other)
            for number, one in enumerate(firsts)
            for other in firsts[number + 1 :]
        ) or any(_explodes(branch) for branch in items[0][1][1])
    items = [inner for item in items for inner in _opened(item)]
    repeats = [item for item in items if str(item[0]) in {"MAX_REPEAT", "MIN_REPEAT"}]
    needed = [item for item in items if item not in repeats or item[1][0] > 0]
    long = [item for item in repeats if item[1][1] > _LONGEST]
    if not long:
        return False
    others = [item for item in needed if item not in long]
    if not others:
        return True
    inner = _first(long[0][1][2])
    return all(_overlap(inner, _first([item])) for item in others)


def _unwrapped(body: _Parsed) -> Sequence[tuple[Any, Any]]:
    items = [item for item in body if str(item[0]) != "AT"]
    while len(items) == 1 and str(items[0][0]) == "SUBPATTERN":
        items = [item for item in items[0][1][-1] if str(item[0]) != "AT"]
    return items


def _opened(item: tuple[Any, Any]) -> Sequence[tuple[Any, Any]]:
    """Return what a group holds, the item itself where it is none."""
    if str(item[0]) != "SUBPATTERN":
        return [item]
    return [inner for part in item[1][-1] for inner in _opened(part)]


def _parts(value: Any) -> Iterable[_Parsed]:
    if isinstance(value, list | tuple):
        for part in value:
            if hasattr(part, "getwidth"):
                yield part
            elif isinstance(part, list | tuple):
                yield from _parts(part)


_ALL = frozenset(range(128))
_WORDS = frozenset(
    ord(c) for c in "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_"
)
_DIGITS = frozenset(range(48, 58))
_SPACES = frozenset((9, 10, 11, 12, 13, 32))
_CATEGORIES = {
    "CATEGORY_WORD": _WORDS, "CATEGORY_NOT_WORD": _ALL - _WORDS, "CATEGORY_DIGIT": _DIGITS,
    "CATEGORY_NOT_DIGIT": _ALL - _DIGITS, "CATEGORY_SPACE": _SPACES,
    "CATEGORY_NOT_SPACE": _ALL - _SPACES,
}  # fmt: skip


def _first(body: _Parsed) -> frozenset[int]:
    """Return the ASCII characters with which a part can begin."""
    found: frozenset[int] = frozenset()
    for name, value in body:
        kind = str(name)
        if kind == "AT":
            continue
        if kind == "LITERAL":
            return found | {value}
        if kind == "NOT_LITERAL":
            return found | (_ALL - {value})
        if kind == "ANY":
            return found | (_ALL - {10})
        if kind == "IN":
            return found | _members(value)
        if kind == "CATEGORY":
            return found | _CATEGORIES.get(str(value), _ALL)
        if kind == "SUBPATTERN":
            return found | _first(value[-1])
        if kind == "BRANCH":
            return found.union(*(_first(branch) for branch in value[1]))
        if kind in {"MAX_REPEAT", "MIN_REPEAT"}:
            found |= _first(value[2])
            if value[0] > 0:
                return found
            continue
        return found
    return found


def _members(items: Iterable[tuple[Any, Any]]) -> frozenset[int]:
    found: set[int] = set()
    negated = False
    for name, value in items:
        kind = str(name)
        if kind == "NEGATE":
            negated = True
        elif kind == "LITERAL":
            found.add(value)
        elif kind == "RANGE":
            found.update(range(value[0], min(value[1], 127) + 1))
        elif kind == "CATEGORY":
            found |= _CATEGORIES.get(str(value), _ALL)
    return _ALL - found if negated else frozenset(found)


def _overlap(one: frozenset[int], other: frozenset[int]) -> bool:
    return bool(one & other)
