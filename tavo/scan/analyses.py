"""Analyses of what a string holds: whether it looks random, and whether a regex can explode.

Rules this module keeps:
- both are judgements on one short string, bounded by its length; nothing is run;
- a regular expression explodes where a repeated part can take the same text in several ways.
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
    """Yield what is repeated where something follows that can fail."""
    items = list(parsed)
    for number, item in enumerate(items):
        more = followed or number + 1 < len(items)
        if more and _is_repeated(item):
            yield item[1][2]
        for part in _parts(item[1]):
            yield from _repeated(part, followed=more)


def _is_repeated(item: tuple[Any, Any]) -> bool:
    """Tell whether a part can come several times, and not always the same number of times."""
    name, value = item
    return str(name) in {"MAX_REPEAT", "MIN_REPEAT"} and value[1] > 1 and value[0] != value[1]


def _explodes(body: _Parsed) -> bool:
    """Tell whether something in a repeated part is repeated itself; as Semgrep not what it is."""
    return any(
        _is_repeated(item) or any(_explodes(part) for part in _parts(item[1])) for item in body
    )


def _parts(value: Any) -> Iterable[_Parsed]:
    if isinstance(value, list | tuple):
        for part in value:
            if hasattr(part, "getwidth"):
                yield part
            elif isinstance(part, list | tuple):
                yield from _parts(part)
