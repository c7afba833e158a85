"""Analyses of what a string holds: whether it looks random, and whether a regex can explode.

Rules this module keeps:
- both are judgements on one short string, bounded by its length; nothing is run;
- a regular expression explodes where a repeated part holds a repeated part and can fail after it.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from typing import Any

__all__ = ["can_explode", "looks_random"]

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
_LONGEST = 2_000
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
    """Tell whether a regular expression that backtracks may take exponential time.

    It may where a repeated part holds a part that is repeated itself, and something follows that
    can fail; whether the two can really take the same text is not asked, as Semgrep does not. One
    that cannot be read cannot be judged, and does not count.
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
            return _explodes(parser.parse(pattern), followed=False)
    except (re.error, RecursionError, OverflowError, ValueError, TypeError):
        return False


_Parsed = Iterable[tuple[Any, Any]]
_REPEATS = frozenset({"MAX_REPEAT", "MIN_REPEAT"})
_CAN_FAIL = frozenset({"LITERAL", "NOT_LITERAL", "ANY", "IN", "CATEGORY", "AT", "GROUPREF"})
_FEWEST_ROUNDS = 4


def _explodes(parsed: _Parsed, *, followed: bool) -> bool:
    """Tell whether a repeated part with a repeated part in it is followed by what can fail."""
    for name, value in reversed(list(parsed)):
        kind = str(name)
        if followed and kind in _REPEATS:
            _, most, body = value
            if most >= _FEWEST_ROUNDS and _repeats(body):
                return True
        if any(_explodes(part, followed=followed) for part in _parts(value)):
            return True
        followed = followed or _can_fail(kind, value)
    return False


def _repeats(parsed: _Parsed) -> bool:
    """Tell whether something inside may be there once or more than once."""
    for name, value in parsed:
        if str(name) in _REPEATS and value[1] > max(value[0], 1):
            return True
        if any(_repeats(part) for part in _parts(value)):
            return True
    return False


def _can_fail(kind: str, value: Any) -> bool:
    if kind in _CAN_FAIL:
        return True
    inner = (item for part in _parts(value) for item in part)
    return any(_can_fail(str(name), below) for name, below in inner)


def _parts(value: Any) -> Iterable[_Parsed]:
    if isinstance(value, list | tuple):
        for part in value:
            if hasattr(part, "getwidth"):
                yield part
            elif isinstance(part, list | tuple):
                yield from _parts(part)
