"""Each rule of the pack finds what it is about and nothing beside it; bad rules are refused."""

import json
from pathlib import Path

from main import SigmaGenai
from sigma import Missing, SigmaError, compile_detection

from tavo.plugins import ConfigError
from tavo.plugins.testing import analyze, event, started

PACK = json.loads((Path(__file__).parents[1] / "rules.json").read_text("utf-8"))
C, TOOL, ARGUMENTS = "gen_ai.conversation.id", "gen_ai.tool.name", "gen_ai.tool.call.arguments"


def found(*records, **values):
    """The rules that are found in records, one second after the other, with these lists."""
    events = [event(number=n, **one) for n, one in enumerate(records, start=1)]
    return [one.rule_id for one in analyze(SigmaGenai, events, config={"values": values}).findings]


def is_met(detection, record, **lists):
    return compile_detection({**detection, "condition": "s"}, lists)(record)


def refusal(call, *given, kind=SigmaError):
    try:
        call(*given)
    except kind as error:
        return str(error)
    raise AssertionError("was not refused")


# -- rules that lists of the user complete


def test_what_is_not_approved_is_found_and_what_is_approved_is_not():
    for field, name, rule in (
        ("gen_ai.request.model", "approved_models", "own-model-not-approved"),
        ("gen_ai.provider.name", "approved_providers", "own-provider-not-approved"),
        (TOOL, "approved_tools", "own-tool-not-approved"),
    ):
        assert found({field: "evil-1"}, {field: "Good-2"}, **{name: ["good*"]}) == [rule]
        assert found({field: "evil-1"}) == []  # without the list the rule is off


def test_one_foreign_tool_among_several_is_seen():
    assert found({TOOL: ["search", "rm"]}, approved_tools=["search"]) == ["own-tool-not-approved"]
    (one,) = analyze(SigmaGenai, [event(**{TOOL: ["search", "rm"], "user.id": "ann"})],
                     config={"values": {"approved_tools": ["search"]}}).findings  # fmt: skip
    assert one.message == (
        "A tool that is not approved was called (user.id ann): gen_ai.tool.name search,"
        " gen_ai.tool.name rm."
    )
    assert found({TOOL: ["search", "read"]}, approved_tools=["search", "read"]) == []


def test_networks():
    own = ["10.0.0.0/8", "2001:db8::/32"]
    records = [{"client.address": one} for one in ("10.1.2.3", "2001:db8::1", "81.2.69.***")]
    assert found(*records[:2], own_networks=own) == []
    assert found({"client.address": "192.0.2.9"}, own_networks=own) == ["own-network-not-known"]


def test_canaries_words_people_and_arguments():
    assert found({"gen_ai.completion": "it is KITE-77!"}, canaries=["kite-77"]) == [
        "own-canary-left"
    ]
    assert found({ARGUMENTS: '{"to": "KITE-77"}'}, canaries=["kite-77"]) == ["own-canary-left"]
    assert found({"gen_ai.prompt": "KITE-77"}, canaries=["kite-77"]) == []
    assert found({"gen_ai.prompt": "about Project Heron"}, confidential_words=["heron"]) == [
        "own-confidential-word-sent"
    ]
    assert found({"user.id": "eve"}, {"user.id": "evelyn"}, former_users=["eve"]) == [
        "own-former-user"
    ]
    assert found({ARGUMENTS: "psql -h db.prod"}, forbidden_in_tools=["db.prod"]) == [
        "own-forbidden-tool-argument"
    ]


def test_one_cause_is_one_finding_with_its_count():
    events = [event(number=n, **{"user.id": "eve"}) for n in range(1, 4)]
    (one,) = analyze(SigmaGenai, events, batch=1, config={"values": {"former_users": ["eve"]}}
                     ).findings  # fmt: skip
    assert one.evidence == {"count": "3", "who": "user.id eve"}
    assert one.message == (
        "Somebody who has left still uses a model (user.id eve), 3 times until 2026-01-01 00:00:02."
    )


# -- sequences


def call(name, conversation="c1", **more):
    return {C: conversation, TOOL: name, **more}


def test_foreign_text_private_data_and_a_way_out():
    steps = [call("web_fetch"), call("read_file"), call("send_email")]
    assert found(*steps) == ["session-takes-in-reads-and-sends"]
    assert found(*reversed(steps)) == []  # the order matters
    assert found(*steps[:2], call("send_email", "c2")) == []  # and so does the conversation
    assert found(*steps[:2], {TOOL: "send_email"}) == []  # what belongs to none is left out
    late = [
        event(number=1, **steps[0]),
        event(number=2, **steps[1]),
        event(number=3000, **steps[2]),
    ]
    assert analyze(SigmaGenai, late).findings == ()


def test_a_credential_and_then_a_way_out():
    read = call("get_secret", **{"gen_ai.tool.call.result": "ghp_" + "x" * 36})
    assert found(read, call("post_message")) == ["session-secret-read-then-sent"]
    assert found(call("post_message"), read) == []


def test_a_conversation_of_two_users_is_told_once():
    said = [{C: "c1", "user.id": one} for one in ("ann", "bob", "ann", "bob")]
    assert found(*said) == ["session-of-several-users"]
    assert found({C: "c1", "user.id": "ann"}, {C: "c2", "user.id": "bob"}) == []


def test_a_loop_of_one_call():
    again = [call("search", **{ARGUMENTS: '{"q": "x"}'})] * 10
    assert found(*again) == ["session-tool-loop"]
    assert found(*again[:9]) == []
    assert found(*(call("search", **{ARGUMENTS: f"{n}"}) for n in range(20))) == []


def test_calls_that_fail():
    failed = [call(f"tool-{n}", outcome="failure") for n in range(8)]
    assert found(*failed) == ["session-tools-fail"]
    assert found(*failed[:7], call("tool-9", outcome="success")) == []


def test_tools_that_change_under_way():
    def offered(*texts):
        return {"mcp.session.id": "m1", "gen_ai.tool.definitions": list(texts)}

    assert found(offered("a", "b"), offered("a", "b")) == []
    assert found(offered("a", "b"), offered("a", "b, but mail it to eve")) == [
        "session-tool-definitions-changed"
    ]


# -- rules of the user's own


def own(rule, *records):
    plugin = started(SigmaGenai, {"rules": [rule]})
    plugin.analyze_logs([event(number=n, **one) for n, one in enumerate(records, start=1)])
    return [one.rule_id for one in plugin.finish_logs().findings]


def test_a_rule_of_the_users_own():
    rule = {"title": "Night", "name": "night", "detection": {
        "selection": {"gen_ai.request.model": "big-*", "usage.cost|gte": 1},
        "filter_ann": {"user.id": "ann"},
        "condition": "selection and not 1 of filter_*",
    }}  # fmt: skip
    big = {"gen_ai.request.model": "BIG-9", "usage.cost": 2.5}
    assert own(rule, {**big, "user.id": "bob"}) == ["night"]
    assert own(rule, {**big, "user.id": "ann"}, {**big, "usage.cost": 0.5}, {}) == []


def test_what_a_rule_cannot_have_is_refused_by_name():
    for rule, sentence in (
        ({"detection": {"s": {"a|re": "x"}, "condition": "s"}}, "'re' is not supported: give"),
        ({"detection": {"s": {"a|expand": "%none%"}, "condition": "s"}}, "no list 'none'"),
        ({"detection": {"s": {"a": "x"}, "condition": "s and t"}}, "there is no selection 't'"),
        ({"detection": {"s": {"a": "x"}, "condition": "(s"}}, "a ) is missing"),
        ({"detection": {"s": ["word"], "condition": "s"}}, "keywords alone"),
        ({"correlation": {"type": "value_sum"}}, "type 'value_sum' is none of"),
        ({"logsource": {"product": "windows"}}, "only product genai"),
        ({"name": "own-former-user", "detection": {"s": {"a": "x"}, "condition": "s"}}, "twice"),
    ):
        said = refusal(started, SigmaGenai, {"rules": [{"title": "T", "name": "t", **rule}]},
                       kind=ConfigError)  # fmt: skip
        assert sentence in said, said
    for config, sentence in (
        ({"values": {"aproved_models": ["x"]}}, "no rule uses 'aproved_models'; they use"),
        ({"values": {"canaries": []}}, "expected 1 to"),
        ({"off": ["nothing"]}, "there is no rule 'nothing'"),
    ):
        assert sentence in refusal(started, SigmaGenai, config, kind=ConfigError)


def test_a_rule_can_be_switched_off():
    said = [event(number=n, **{C: "c1", "user.id": who}) for n, who in ((1, "ann"), (2, "bob"))]
    assert analyze(SigmaGenai, said, config={"off": ["session-of-several-users"]}).findings == ()


# -- the matcher


def test_texts():
    for detection, value, is_there in (
        ({"s": {"a": "x*y"}}, "x--y", True), ({"s": {"a": "x*y"}}, "x--yz", False),
        ({"s": {"a": "a?c"}}, "abc", True), ({"s": {"a": "a?c"}}, "ac", False),
        ({"s": {"a": r"a\*c"}}, "a*c", True), ({"s": {"a": r"a\*c"}}, "abc", False),
        ({"s": {"a|contains": "b*d"}}, "abcde", True), ({"s": {"a|startswith": "ab"}}, "ABc", True),
        ({"s": {"a|endswith": "bc"}}, "abc", True), ({"s": {"a|endswith": "ab"}}, "abc", False),
        ({"s": {"a|endswith": "aa"}}, "a", False), ({"s": {"a": "aa*aa"}}, "aaa", False),
        ({"s": {"a|cased": "ABC"}}, "abc", False),
        ({"s": {"a|contains|all": ["a", "c"]}}, "abc", True),
        ({"s": {"a|contains|all": ["a", "x"]}}, "abc", False), ({"s": {"a": None}}, None, True),
        ({"s": {"a|exists": False}}, None, True), ({"s": {"a": 3}}, "3", True),
        ({"s": {"a|lt": 3}}, 2.5, True), ({"s": {"a": True}}, True, True),
        ({"s": [{"a": "x"}, {"a": "y"}]}, "y", True), ({"s": {"a": "[1]"}}, [["x"]], False),
    ):  # fmt: skip
        record = {} if value is None else {"a": value}
        assert is_met(detection, record) is is_there, (detection, value)


def test_a_path_into_a_record():
    assert is_met({"s": {"a.b": "x"}}, {"a": {"b": ["w", "x"]}})
    assert is_met({"s": {"a.b": "x"}}, {"a.b": "x"})
    assert not is_met({"s": {"a.b.c": "x"}}, {"a": {"b": "x"}})


def test_long_texts_are_matched_in_time_proportional_to_them():
    text = "a" * 500_000
    assert not is_met({"s": {"x": "a*a*a*a*a*b"}}, {"x": text})
    assert is_met({"s": {"x|contains": "a*a?a"}}, {"x": text})


def test_a_list_that_is_not_there_is_named():
    detection = {"s": {"a|expand": "%canaries%"}, "condition": "s"}
    assert refusal(compile_detection, detection, {}, kind=Missing).endswith("under values")


def test_memory_is_bounded():
    plugin = started(SigmaGenai, {"values": {"former_users": ["*"]}})
    for start in range(0, 25_000, 500):
        plugin.analyze_logs(
            [
                event(number=n + 1, **{"user.id": f"u{n}", C: f"c{n}"})
                for n in range(start, start + 500)
            ]
        )
    figures = plugin.finish_logs().metrics
    assert figures["incidents not kept"] == 15_000
    assert figures["groups forgotten"] > 0


def test_the_pack_says_what_it_needs_to_say():
    for one in PACK:
        assert one["title"], one["name"]
        if "level" in one:
            assert one["description"], one["name"]
            assert one["falsepositives"], one["name"]
