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


def test_nothing_can_be_verified() -> None:
    found("x = 1\n")
    assert not hasattr(sys.modules["requests"], "get")
