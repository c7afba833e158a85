"""Indicators of every kind are found as the feed means them, and only then."""

import main
from main import ThreatIntel

from tavo.plugins import ConfigError, Severity
from tavo.plugins.testing import analyze, event, started

SHA = "ab" * 32


def bundle(*indicators):
    return {"type": "bundle", "objects": [
        {"type": "indicator", "id": f"indicator--{n}", "name": f"Kettle {n}", **one}
        for n, one in enumerate(indicators, start=1)
    ]}  # fmt: skip


def stix(*indicators):
    return [{"name": "f", "stix": bundle(*indicators)}]


def listed(*lines):
    return [{"name": "f", "list": list(lines)}]


def found(feeds, *texts):
    return analyze(ThreatIntel, texts, config={"feeds": feeds}).findings


def rules_of(feeds, *texts):
    return [one.rule_id.removeprefix("threat-intel-") for one in found(feeds, *texts)]


def test_every_kind_of_a_plain_list():
    for line, text, kind in (
        ("203.0.113.7", "from 203.0.113.7 port 22", "address"),
        ("198.51.100.0/24", "addr=198.51.100.9;", "address"),
        ("2001:db8:1::/48", "client 2001:db8:1::5 said", "address"),
        ("evil[.]test", '{"url": "https://a.evil.test/x"}', "domain"),
        ("hxxp://evil.test/kit/", "see http://evil.test/kit/index.html now", "url"),
        (SHA.upper(), f"sha256:{SHA}", "hash"),
        ("eve@evil.test # note", "To: Eve@evil.test,", "email"),
        ("evil.test", "next=https%3A%2F%2Fevil.test%2Fkit", "domain"),
    ):
        assert rules_of(listed(line), text) == [kind], line


def test_what_only_looks_like_it_is_not_found():
    for line, text in (
        ("evil.test", "notevil.test evil.testing x.evil.test.example"),
        ("203.0.113.7", "1203.0.113.7 203.0.113.70"),
        ("198.51.100.0/24", "198.51.101.9"),
        ("http://evil.test/kit", "http://evil.test/kitchen https://evil.test/kit"),
        ("eve@evil.test", "steve@evil.test"),
    ):
        assert rules_of(listed(line), text) == [], line


def test_a_pattern_with_and_needs_all_of_it():
    both = stix({"pattern": "[domain-name:value = 'evil.test' AND file:hashes.MD5 = '"
                 + "cd" * 16 + "']"})  # fmt: skip
    assert rules_of(both, "evil.test alone") == []
    assert rules_of(both, "evil.test and " + "cd" * 16) == ["pattern"]
    either = stix({"pattern": "[ipv4-addr:value IN ('203.0.113.7', '203.0.113.8')]"
                   " OR [url:value = 'http://evil.test/a']"})  # fmt: skip
    assert rules_of(either, "203.0.113.8", "203.0.113.7") == ["pattern"]


def test_an_indicator_counts_while_it_is_valid():
    one = {"pattern": "[ipv4-addr:value = '203.0.113.7']", "valid_from": "2026-01-01T00:00:02Z",
           "valid_until": "2026-01-01T00:00:04Z"}  # fmt: skip
    result = analyze(ThreatIntel, ["203.0.113.7"] * 5, config={"feeds": stix(one)})
    (finding,) = result.findings
    assert finding.evidence["count"] == "2"
    assert finding.location.region.start_line == 3
    assert result.metrics["hits outside of an indicator's time"] == 3


def refusal(feeds):
    try:
        started(ThreatIntel, {"feeds": feeds})
    except ConfigError as error:
        return str(error)
    return ""


def test_what_cannot_be_used_is_told():
    plain = {"pattern": "[ipv4-addr:value = '203.0.113.7']"}
    for one, reason in (
        ({**plain, "revoked": True}, "1 revoked"),
        ({"pattern": "[url:value LIKE 'http://%']"}, "a pattern with LIKE"),
        ({"pattern": "[process:name = 'x']"}, "a pattern about process:name"),
        ({"pattern": "[ipv4-addr:value = '0.0.0.0/0']"}, "too wide"),
        ({"pattern": "[ipv4-addr:value = '1.1.1.1'] FOLLOWEDBY [ipv4-addr:value = '1.1.1.2']"},
         "a pattern with FOLLOWEDBY"),
        ({"pattern": "alert tcp", "pattern_type": "snort"}, "is not STIX"),
        ({"pattern": "[" * 400}, "nested too deep"),
        ({"pattern": "[ipv4-addr:value != '1.1.1.1']"}, "!="),
    ):  # fmt: skip
        assert reason in refusal(stix(one)), one
    result = analyze(ThreatIntel, ["x"], config={"feeds": stix(plain, {"pattern": "?"})})
    assert result.metrics["indicators left out"] == 1
    assert "expected a name" in refusal([{"name": "x"}])
    assert "is taken" in refusal([{"name": "eicar", "list": ["203.0.113.7"]}])


def test_the_newest_version_of_an_indicator_counts():
    old = {"id": "indicator--1", "modified": "2026-01-01T00:00:00Z",
           "pattern": "[domain-name:value = 'evil.test']"}  # fmt: skip
    new = {**old, "modified": "2026-02-01T00:00:00Z", "revoked": True}
    assert "1 revoked" in refusal(stix(new, old))


def test_misp_context_is_no_indicator():
    misp = {
        "Event": {
            "info": "Kettle gang",
            "threat_level_id": "1",
            "Attribute": [
                {
                    "type": "domain",
                    "value": "evil.test",
                    "to_ids": True,
                    "category": "Network activity",
                },
                {"type": "domain", "value": "example.org", "to_ids": False},
                {
                    "type": "filename|sha256",
                    "value": f"a.exe|{SHA}",
                    "to_ids": True,
                    "comment": "dropper",
                },
                {"type": "ip-dst|port", "value": "203.0.113.7|443", "to_ids": True},
            ],
            "Object": [
                {"Attribute": [{"type": "url", "value": "http://evil.test/a", "to_ids": True}]}
            ],
        }
    }
    feeds = [{"name": "misp", "misp": [misp]}]
    assert rules_of(feeds, "example.org") == []
    one, two = found(feeds, "evil.test", SHA)
    assert one.severity is Severity.HIGH
    assert one.evidence["says the feed"] == "Kettle gang"
    assert two.evidence["says the feed"] == "dropper"
    assert rules_of(feeds, "203.0.113.7:443", "http://evil.test/a/b") == [
        "address", "domain", "url",
    ]  # fmt: skip


def test_one_indicator_is_one_finding_with_who_it_was():
    events = [event(number=n, **{"user.id": who, "gen_ai.tool.call.arguments": ["GET evil.test"]})
              for n, who in enumerate(("ann", "bob", "ann"), start=1)]  # fmt: skip
    (one,) = analyze(ThreatIntel, events, batch=1, config={"feeds": listed("evil.test")}).findings
    assert one.message == (
        "evil.test of the feed f was seen in 3 records (user.id ann, user.id bob): f."
    )


def test_confidence_of_the_feed_is_the_severity():
    for confidence, severity in ((90, Severity.HIGH), (40, Severity.MEDIUM), (5, Severity.LOW)):
        one = {"pattern": "[domain-name:value = 'evil.test']", "confidence": confidence}
        assert found(stix(one), "evil.test")[0].severity is severity


def test_a_run_without_a_feed_says_so():
    assert rules_of([], "hello") == ["no-feed"]
    assert rules_of([], "44d88612fea8a8f36de82e1278abb02f") == ["hash", "no-feed"]


def test_many_indicators_and_too_many():
    many = [f"203.{n >> 16}.{n >> 8 & 255}.{n & 255}" for n in range(20_000)]
    assert rules_of(listed(*many), "from 203.0.78.31") == ["address"]
    most, main._MOST_INDICATORS = main._MOST_INDICATORS, 1000
    try:
        assert "--intel" in refusal(listed(*many))
    finally:
        main._MOST_INDICATORS = most
