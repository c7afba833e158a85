"""The detectors on secrets that are made here, so that none lies in the repository."""

import random
import string
import sys

from main import Secrets

from tavo.plugins import ConfigError
from tavo.plugins.testing import find_in

LETTERS = string.ascii_letters + string.digits
UPPER = string.ascii_uppercase + string.digits


def made(number: int, letters: str = LETTERS) -> str:
    draw = random.Random(number)  # the same each time
    return "".join(draw.choice(letters) for _ in range(number))


def found(text: str, name: str = "config.py", **config: object) -> list:
    return find_in(Secrets, {name: text}, config=config)


KINDS = {
    "aws-access-key": f'key = "AKIA{made(16, UPPER)}"',
    "github-token": f'g = "ghp_{made(36)}"',
    "private-key": "-----BEGIN RSA PRIVATE " + "KEY-----",
    "basic-auth-credentials": f'url = "postgres://shop:{made(12)}@db/shop"',
    "secret-keyword": f'password = "{made(14)}"',
    "base64-high-entropy-string": f'x = "{made(40)}"',
    "hex-high-entropy-string": f'x = "{made(40, "0123456789abcdef")}"',
}
HEX = "0123456789abcdef"
LOWER = string.ascii_lowercase + string.digits
PROVIDERS = {  # each in the form that its provider gives out
    "artifactory-credentials": f'a = "AKC{made(20)}"',
    "azure-storage-account-access-key": f"AccountKey={made(86)}==",
    "cloudant-credentials": f'cloudant_password = "{made(64, HEX)}"',
    "discord-bot-token": f'"M{made(23)}.{made(6)}.{made(27)}"',
    "gitlab-token": f'"glpat-{made(20)}"',
    "ibm-cos-hmac-credentials": f'cos_hmac_secret_access_key = "{made(48, HEX)}"',
    "ibm-cloud-iam-key": f'ibm_cloud_iam_api_key = "{made(44)}"',
    "json-web-token": '"' + ".".join(["eyJhbGciOiJIUzI1NiJ9", "eyJhIjoxfQ", made(43)]) + '"',
    "mailchimp-access-key": f'"{made(32, LOWER)}-us11"',
    "npm-tokens": f"//registry.npmjs.org/:_authToken=npm_{made(36)}",
    "openai-token": f'"sk-{made(20)}T3BlbkFJ{made(20)}"',
    "pypi-token": f'"pypi-AgEIcHlwaS5vcmc{made(80)}"',
    "sendgrid-api-key": f'"SG.{made(22)}.{made(43)}"',
    "slack-token": f'"xoxb-{made(12, string.digits)}-{made(13, string.digits)}-{made(24)}"',
    "softlayer-credentials": f'softlayer_password = "{made(64, HEX)}"',
    "square-oauth-secret": f'"sq0csp-{made(43)}"',
    "stripe-access-key": f'"sk_live_{made(24)}"',
    "telegram-bot-token": f"{made(9, '123456789')}:{made(35)}",
    "twilio-api-key": f'"AC{made(32, LOWER)}"',
}
HARMLESS = (
    'password = os.environ["PASSWORD"]',
    'password = "${PASSWORD}"',
    "password = get_password()",
    'id = "123e4567-e89b-42d3-a456-426614174000"',
    'address = "93.184.216.34"',
    f'key = "AKIA{made(16, UPPER)}"  # pragma: allowlist secret',
    'x = "abcdefghijklmnop"',
)


def test_each_kind_is_one_finding_at_its_place() -> None:
    for rule, line in KINDS.items():
        (one,) = found(f"# first\n{line}\n")
        assert one.rule_id == rule
        region = one.location.region
        assert region.start_line == 2
        secret = line[region.start_column - 1 : region.end_column - 1]
        assert len(secret) == int(one.evidence["characters"])
        assert secret not in repr(one).replace(repr(one.location), "")
        assert len(one.evidence["begins"]) <= 4


def test_the_form_of_each_provider_is_known() -> None:
    missed = {rule: [one.rule_id for one in found(f"{line}\n", "a.txt")]
              for rule, line in PROVIDERS.items()}  # fmt: skip
    assert {rule: rules for rule, rules in missed.items() if rule not in rules} == {}


def test_what_is_no_secret_is_none() -> None:
    for line in HARMLESS:
        assert found(line + "\n") == [], line


def test_yaml_is_read_by_lines() -> None:
    text = f"db:\n  password: {made(14)}\n  aws: AKIA{made(16, UPPER)}\n"
    rules = [one.rule_id for one in found(text, "values.yaml")]
    assert rules == ["secret-keyword", "aws-access-key"]


def test_what_is_not_wanted_is_left_out() -> None:
    line = KINDS["secret-keyword"] + "\n"
    assert found(line, without=["secret-keyword"]) == []
    try:
        found(line, without=["nosuch"])
    except ConfigError as error:
        said = str(error)
    else:
        said = "nothing"
    assert said.startswith("without: there is no rule 'nosuch'; there are ")


def test_a_secret_far_inside_a_long_line_is_found_at_its_place() -> None:
    line = "var a=1;" * 1_000 + KINDS["github-token"] + ";var b=2" * 1_000
    (one,) = found(line + "\n", "bundle.js")
    assert one.rule_id == "github-token"
    region = one.location.region
    assert line[region.start_column - 1 : region.end_column - 1].startswith("ghp_")


def test_a_token_is_pointed_at_whole_where_its_detector_names_its_beginning() -> None:
    tokens = f"ghp_{made(36)}", f"ghs_{made(36)[::-1]}", f"ghp_{made(36)[::-1]}"
    line = "A=" + " B=".join(tokens)
    pointed = {
        line[one.location.region.start_column - 1 : one.location.region.end_column - 1]
        for one in found(line + "\n", "settings.env")
    }
    assert pointed == set(tokens)
    (gitlab,) = found(f"C=glpat-{made(20)}\n", "settings.env")
    assert gitlab.evidence == {"begins": "glpa", "characters": "26"}


def test_a_private_key_in_one_line_is_pointed_at_to_its_end() -> None:
    body = "\\n".join(made(64)[number:] + made(64)[:number] for number in range(50))
    whole = f"BEGIN PRIVATE {'KEY'}-----\\n{body}\\n-----END PRIVATE {'KEY'}-----"
    line = f'{{"private_key": "-----{whole}\\n", "client_id": "7"}}'
    (one,) = [each for each in found(line + "\n", "a.json") if each.rule_id == "private-key"]
    region = one.location.region
    pointed = line[region.start_column - 1 : region.end_column - 1]
    assert pointed.startswith(whole)
    assert '"' not in pointed


def test_nothing_can_be_verified() -> None:
    found("x = 1\n")
    assert not hasattr(sys.modules["requests"], "get")
