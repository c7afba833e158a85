"""Lists of indicators: read in three shapes, and found as whole words wherever they stand."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tavo.errors import ConfigError
from tavo.logs.engine import analyze
from tavo.logs.intel import Indicators
from tavo.logs.intel_lists import ListReport, load_indicators
from tavo.logs.mapping import readers
from tavo.logs.sources import find_sources

HASH = "a" * 64
PLAIN = (
    f"# bad\n203.0.113.7\n198.51.100.0/24\nevil[.]test\nhxxp://drop.test/a/b\n{HASH}\nno word?\n"
)
STIX = {"type": "bundle", "objects": [
    {"type": "indicator", "pattern": "[ipv4-addr:value = '203.0.113.7'] OR [domain-name:value = 'evil.test']"},  # noqa: E501
    {"type": "indicator", "pattern": "[ipv4-addr:value = '198.51.100.0/24']"},
    {"type": "indicator", "pattern": "[url:value = 'http://drop.test/a/b']"},
    {"type": "indicator", "pattern": f"[file:hashes.'SHA-256' = '{HASH}']"},
    {"type": "malware", "name": "x"},
]}  # fmt: skip
MISP = {"response": [{"Event": {"Attribute": [
    {"type": "ip-dst|port", "value": "203.0.113.7|443"}, {"type": "domain", "value": "evil.test"},
    {"type": "ip-src", "value": "198.51.100.0/24"}, {"type": "comment", "value": "good.test"},
    {"type": "url", "value": "http://drop.test/a/b"},
], "Object": [{"Attribute": [{"type": "sha256", "value": HASH}]}]}}]}  # fmt: skip
RECORDS = [
    {"user": "u1", "client_ip": "203.0.113.7"},
    {"user": "u2", "prompt": "see https://a.EVIL.test/x"},
    {"user": "u3", "prompt": "from 198.51.100.77:8080"},
    {"user": "u4", "completion": f"sha256 {HASH.upper()}."},
    {"user": "u5", "args": {"url": "http://drop.test/a/b?c"}},
    {"user": "g1", "prompt": "notevil.test and evil.testing and 203.0.113.77 and 1203.0.113.7"},
    {"user": "g2", "prompt": "http://drop.test/other", "client_ip": "198.51.101.1"},
]


@pytest.fixture(params=["plain", "stix", "misp"])
def indicators(request: pytest.FixtureRequest, tmp_path: Path) -> Indicators:
    text = {"plain": PLAIN, "stix": json.dumps(STIX), "misp": json.dumps(MISP)}[request.param]
    (tmp_path / "list").write_text(text)
    return load_indicators([tmp_path / "list"])[0]


def actors(tmp_path: Path, text: str, indicators: Indicators) -> dict[str, list[str]]:
    (tmp_path / "a.jsonl").write_text(text)
    sources, _ = find_sources([str(tmp_path / "a.jsonl")], tmp_path)
    found = analyze(sources, [], readers().values(), indicators=indicators).incidents
    return {kind: sorted(one.actor[1] for one in found.of_rule(f"intel-{kind}"))
            for kind in ("address", "domain", "url", "hash")}  # fmt: skip


def test_what_is_listed_is_found_and_what_looks_like_it_is_not(
    indicators: Indicators, tmp_path: Path
) -> None:
    text = "".join(json.dumps(one) + "\n" for one in RECORDS)
    expected = {"address": ["u1", "u3"], "domain": ["u2"], "url": ["u5"], "hash": ["u4"]}
    assert actors(tmp_path, text, indicators) == expected
    escaped = text.replace("/", "\\/")
    assert actors(tmp_path, escaped, indicators) == expected


def test_escapes_hide_no_indicator(indicators: Indicators, tmp_path: Path) -> None:
    text = '{"user": "eve", "prompt": "go to \\u0065vil.test"}\n{"user": "ann"}\n'
    assert actors(tmp_path, text, indicators)["domain"] == ["eve"]


@pytest.mark.parametrize("before", [
    "\\n", "\\t", "\\\\n", "\\r\\n", "%20", "https%3A%2F%2F", "\\\\x22", "\\\\u0022", "C:\\\\",
    "a.", "_", "@", "?u=", "\\u0009",
])  # fmt: skip
def test_an_escape_before_an_indicator_ends_the_word_before(
    before: str, indicators: Indicators, tmp_path: Path
) -> None:
    text = "".join(
        f'{{"user": "{word[:4]}", "prompt": "look{before}{word}{after}"}}\n'
        for word in ("evil.test", "203.0.113.7", HASH) for after in ("", "\\n", "%2Fx", ".")
        if not (before == "a." and word != "evil.test")  # below a name there are names alone
    )  # fmt: skip
    found = actors(tmp_path, text, indicators)
    assert found["domain"] == ["evil"]
    if before != "a.":
        assert (found["address"], found["hash"]) == (["203."], ["aaaa"])
    inside = text.replace(f"look{before}", "look")
    assert not any(actors(tmp_path, inside, indicators).values())


def test_an_encoded_link_is_found(indicators: Indicators, tmp_path: Path) -> None:
    text = '{"user": "eve", "path": "/go?to=http%3A%2F%2Fdrop.test%2Fa%2Fb"}\n{"user": "ann"}\n'
    assert actors(tmp_path, text, indicators)["url"] == ["eve"]


def test_words_without_an_end_take_bounded_time(indicators: Indicators) -> None:
    for word in (b"a." * 500_000, b"\\n" * 500_000, b"%aa" * 300_000, b"1." * 500_000):
        assert indicators.found_in(word) == {}
    assert indicators.found_in(b"a." * 500_000 + b"evil.test") == {b"evil.test": "domain"}


def test_many_indicators_are_sets(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("".join(f"host{n}.bad.test\n" for n in range(100_000)))
    known, _ = load_indicators([tmp_path / "list"])
    assert len(known) == 100_000
    assert known.found_in(b"x host77777.bad.test y") == {b"host77777.bad.test": "domain"}


@pytest.mark.parametrize("text", ["", "# nothing\n", "{", '{"type": "bundle"}', "[" * 100_000])
def test_a_list_without_indicators_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "list").write_text(text)
    with pytest.raises(ConfigError):
        load_indicators([tmp_path / "list"])


def test_odd_lines_of_a_plain_list(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(
        "\n ,evil.test\n\t\n203.0.113.7,seen twice\n203.0.113.7\n256.1.1.1\n1.2.3\n"
        "http://drop.test/a\nhttp://drop.test/b/\nhttp://drop.test/b\n#x\nmail.evil.test.\n"
    )
    found, _ = load_indicators([tmp_path / "list"])
    assert found.addresses == {b"203.0.113.7"}
    assert found.urls == {b"drop.test": {b"http://drop.test/a", b"http://drop.test/b"}}
    assert b"mail.evil.test" in found.domains
    assert found.holds_url(b"drop.test", b'{"u": "http:\\/\\/drop.test\\/b"}')
    assert not found.holds_url(b"other.test", b"http://drop.test/b")


HOSTS = """# Title: hosts
127.0.0.1 localhost
::1 ip6-localhost ip6-loopback
0.0.0.0 0.0.0.0
0.0.0.0 evil.test  # seen today
0.0.0.0 a.bad.test b.bad.test
"""
ADBLOCK = """[Adblock Plus]
! Title: filters
||evil.test^
||*.a.bad.test^$third-party,document
@@||good.test^
||b.bad.test^|
good.test##.banner
||good.test/path^
/good[0-9]/
"""
URLHAUS = """################################################################
# abuse.ch URLhaus Database Dump (CSV - recent URLs only)      #
################################################################
#
# id,dateadded,url,url_status,last_online,threat,tags,urlhaus_link,reporter
"37","2026-11-28 10:00:00","http://drop.test/a/b?x=1,2","online","","malware","exe","https://good.test/url/37/","me"
"""
FEODO = """# Feodo Tracker
"first_seen_utc","dst_ip","dst_port","c2_status","last_online","malware"
"2026-11-28 10:00:00","203.0.113.7","443","online","2026-11-28","Emotet"
"""
THREATFOX = """# "first_seen_utc","ioc_id","ioc_value","ioc_type","reference"
"2026-11-28","1","203.0.113.7:8080","ip:port","https://good.test/x"
"2026-11-28","2","evil.test","domain","None"
"""
TYPED = "evil.test,domain,high\n203.0.113.7,ip,low\n"
SEMICOLONS = "Name;Domain;Seen\nX;evil.test;good.test\n"
RANGES = """203.0.113.0-203.0.113.9
198.51.100.4 - 198.51.100.7
192.0.2.0\t192.0.2.255\t24\t9\tXX
"""
DROP = "; Spamhaus DROP List\n203.0.113.0/24 ; SBL1\n"
DEFANGED = """hxxps[://]drop[.]test/a/b
evil(.)test
evil[dot]bad{.}test
203[.]0.113[.]7
b\\.bad\\.test
"""
DNSMASQ = 'address=/evil.test/0.0.0.0\nlocal-zone: "a.bad.test" always_nxdomain\n'
PORTS = "203.0.113.7:8080\nevil.test:443\n[2001:db8::7]:443\n"
DROP_JSON = '{"cidr":"203.0.113.0/24","sblid":"SBL1"}\n{"cidr":"2001:db8::/32"}\n'
TEXTS = '["evil.test", "203.0.113.7"]'
LISTS = {
    "hosts": (HOSTS, 3, {"evil.test", "a.bad.test", "b.bad.test"}, 0),
    "adblock": (ADBLOCK, 3, {"evil.test", "a.bad.test", "b.bad.test"}, 4),
    "urlhaus": (URLHAUS, 1, {"drop.test"}, 0),
    "feodo": (FEODO, 1, {"203.0.113.7"}, 0),
    "threatfox": (THREATFOX, 2, {"203.0.113.7", "evil.test"}, 0),
    "typed": (TYPED, 2, {"203.0.113.7", "evil.test"}, 0),
    "semicolons": (SEMICOLONS, 1, {"evil.test"}, 0),
    "ranges": (RANGES, 4, {"203.0.113.9", "198.51.100.6", "192.0.2.77"}, 0),
    "drop": (DROP, 1, {"203.0.113.200"}, 0),
    "defanged": (DEFANGED, 5, {"drop.test", "evil.test", "evil.bad.test", "203.0.113.7",
                               "b.bad.test"}, 0),
    "dnsmasq": (DNSMASQ, 2, {"evil.test", "a.bad.test"}, 0),
    "ports": (PORTS, 3, {"203.0.113.7", "evil.test", "2001:db8::7"}, 0),
    "drop-json": (DROP_JSON, 2, {"203.0.113.200", "2001:db8::9"}, 0),
    "texts": (TEXTS, 2, {"203.0.113.7", "evil.test"}, 0),
}  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_as_they_are_published(name: str, encoding: str, tmp_path: Path) -> None:
    text, count, words, unread = LISTS[name]
    (tmp_path / "list").write_text(text, encoding=encoding)
    known, [report] = load_indicators([tmp_path / "list"])
    every = ["good.test", "203.0.113.250", "localhost", "0.0.0.0", *words]
    found = {one.decode() for one in known.found_in(" ".join(every).encode())}
    assert found - {"203.0.113.250"} == words
    assert ("203.0.113.250" in found) is (name in {"drop", "drop-json"})
    assert (len(known), report.indicators, report.unread) == (count, count, unread)


def test_a_url_of_a_table_is_whole(tmp_path: Path) -> None:
    (tmp_path / "list").write_text(URLHAUS)
    known, _ = load_indicators([tmp_path / "list"])
    assert known.holds_url(b"drop.test", b"see http://drop.test/a/b?x=1,2 now")
    assert not known.holds_url(b"drop.test", b"see http://drop.test/a/b?x=1 now")


def test_lines_that_are_not_understood_are_counted_and_shown(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("evil.test\n\x1b[31mwhat is this?\n!!\n" + "nonsense\n" * 5)
    _, [report] = load_indicators([tmp_path / "list"])
    said = str(report)
    assert "1 indicator; 6 lines were not understood: line 2 " in said
    assert said.endswith("line 5 'nonsense', …")
    assert "\x1b" not in said
    assert isinstance(report, ListReport)


def test_a_list_of_nonsense_is_refused_with_its_lines(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("what is this?\n")
    with pytest.raises(ConfigError, match="1 line was not understood: line 1"):
        load_indicators([tmp_path / "list"])


def test_a_line_of_thousands_of_ports_is_one_that_is_not_understood(tmp_path: Path) -> None:
    file = tmp_path / "list.txt"
    file.write_text(f"x{':1' * 1900}\n203.0.113.7:443\n[2001:db8::7]:443\nevil.test:8080\n")
    found, (report,) = load_indicators([file])
    assert report.unread == 1
    assert len(found) == 3
