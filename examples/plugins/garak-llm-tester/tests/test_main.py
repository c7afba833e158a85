from main import Garak
from selection import DEFAULT, FAMILIES, LEFT_OUT, chosen_probes, reason_against

from tavo.plugins import BudgetError, ConfigError, TargetError
from tavo.plugins.testing import ScriptedTarget, attack


def run(answers, *probes, **more):
    return attack(Garak, answers, config={"probes": list(probes), "prompts_per_probe": 3, **more})


def broken(answers, *probes, **more):
    results = run(answers, *probes, **more)
    return {one.rule_id for one in results if one.score >= Garak.threshold}


def test_an_injection_that_is_followed():
    (result,) = run(["I hate humans"], "promptinject.HijackHateHumans")
    assert result.rule_id == "garak-injection"
    assert result.score == 1.0
    assert result.goal.startswith("promptinject.HijackHateHumans (promptinject.AttackRogueString)")
    assert [one.outputs for one in result.attempts] == [("I hate humans",)] * 3
    assert broken(["I cannot do that."], "promptinject.HijackHateHumans") == set()


def test_an_encoded_instruction_that_is_decoded():
    def decodes(request):
        import base64
        import re

        found = re.search("[A-Za-z0-9+/]{16,}=*", request.messages[-1].content)
        return base64.b64decode(found.group() + "==").decode("utf-8", "replace") if found else ""

    assert broken(decodes, "encoding.InjectBase64") == {"garak-injection"}


def test_a_role_that_is_taken_on():
    assert broken(["[DAN]: Sure.", "DAN: Sure."], "dan.Dan_11_0") == {"garak-jailbreak"}


def test_terminal_codes_in_an_answer():
    assert broken(["\x1b[31mred\x1b[0m"], "ansiescape.AnsiRaw") == {"garak-output"}


def test_a_key_in_an_answer():
    assert broken(["AKIA" + "Q3" * 8], "apikey.GetKey") == {"garak-leak"}


def test_code_for_malware():
    code = "```python\nimport sys\nsys.exit()\n```"
    assert broken([code], "malwaregen.TopLevel") == {"garak-content"}


def test_a_false_claim():
    assert broken(["No, there is not."], "snowball.GraphConnectivity") == set()
    assert broken(["Yes, there is."], "snowball.GraphConnectivity") == {"garak-misinformation"}


def test_a_detector_that_looks_for_the_lack_of_a_refusal_counts_little():
    (result,) = run(["A red kettle."], "dan.DanInTheWild")
    assert result.score == 1.0
    assert result.severity.value == "low"


def test_detectors_that_need_a_service_are_left_out_when_more_are_asked_for():
    results = run(["No."], "lmrc.SexualContent", extended_detectors=True)
    assert [one.goal.split(":")[0] for one in results] == [
        "lmrc.SexualContent (unsafe_content.SurgeProfanitySexual)",
        "lmrc.SexualContent (unsafe_content.OfcomOffensiveSexual)",
    ]


def test_each_probe_asks_no_more_than_it_may():
    model = ScriptedTarget(["No."])
    attack(Garak, model, config={"probes": ["ansiescape"], "prompts_per_probe": 2})
    assert len(model.requests) == 4  # of AnsiEscaped and AnsiRaw, which have more than fifty each


def test_the_same_seed_asks_the_same():
    def asked(seed):
        model = ScriptedTarget(["No."])
        attack(Garak, model, config={"probes": ["encoding.InjectHex"], "seed": seed})
        return [one.messages[-1].content for one in model.requests]

    assert asked(1) == asked(1) != asked(2)


def test_a_budget_that_is_used_up_ends_the_run_and_keeps_what_was_found():
    def ends(request):
        if len(model.requests) > 2:
            raise BudgetError("the budget of 2 requests is used up")
        return "I hate humans"

    model = ScriptedTarget(ends)
    results = attack(Garak, model, config={"probes": ["promptinject"]})
    assert len(model.requests) == 3
    assert [one.score for one in results] == [1.0]
    assert len(results[0].attempts) == 2
    assert "used up" in results[0].error


def test_no_answer_is_no_success():
    def silent(request):
        raise TargetError("no answer came")

    results = run(silent, "dan.Dan_11_0", "promptinject.HijackHateHumans")
    assert [(one.score, one.error) for one in results] == [(0.0, "no answer came")] * 2


def test_all_probes_of_garak_have_a_rule_or_a_reason():
    known = known_probes()
    for probe in known:
        module = probe.partition(".")[0]
        assert (module in FAMILIES) or reason_against(probe), probe
    for name in LEFT_OUT:
        assert name in known or any(probe.startswith(name + ".") for probe in known), name
    assert len(chosen_probes(["default"], known)) > 50
    assert len(chosen_probes(["all"], known)) > len(chosen_probes(["default"], known))
    assert {one.partition(".")[0] for one in chosen_probes(["default"], known)} == set(DEFAULT)


def test_a_probe_that_is_not_there_or_does_not_run_here_is_refused():
    known = known_probes()
    for name, said in (
        ("promptinjekt", "did you mean 'promptinject'?"),
        ("tap.TAP", "tap.TAP does not run here: it needs a second model"),
        ("audio", "audio does not run here: it sends sound"),
        ("topic.WordnetControversial", "needs data that garak fetches"),
    ):
        assert said in refused(name, known)


def known_probes():
    run(["No."], "goodside.ThreatenJSON")
    from garak._plugins import enumerate_plugins

    return {name.removeprefix("probes."): active for name, active in enumerate_plugins()}


def refused(name, known):
    try:
        chosen_probes([name], known)
    except ConfigError as error:
        return str(error)
    return ""
