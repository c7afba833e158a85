"""Credentials in a log are found, and no report shows them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tavo.logs import incidents
from tavo.logs import shown as shown_of
from tavo.logs.masking import masked, masked_piece
from tests.cli.conftest import Run, home, tavo

__all__ = ["home", "tavo"]

TOKEN = "ghp_" + "a1B2" * 9
KEY = "sk-" + "proj-" + "Zx9Qw8" * 8
BODY = "MIIEpAIBAAKCAQEA7bq3"
PEM = f"-----BEGIN RSA PRIVATE KEY-----\n{BODY}\n{BODY}\n-----END RSA PRIVATE KEY-----"
SECRETS = (TOKEN, KEY, BODY, "AKIA" + "ABCDEFGHIJKLMNOP")


def log(path: Path) -> None:
    lines = []
    for n, secret in enumerate((TOKEN, KEY, PEM, SECRETS[3])):
        said = [f"why does\n{secret} fail", f"{'x ' * 190}{secret}", secret + " and so on " * 50]
        lines += [
            {"timestamp": f"2026-01-01T00:0{n}:00Z", "user": f"u{n}", "prompt": one,
             "response": f"The key is {secret}.", "api_key_id": secret}
            for one in said
        ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, lines)) + "\n")


def reports(tavo: Run) -> str:
    log(Path("a.jsonl"))
    done = tavo("logs", "analyze", "a.jsonl", "-v", "--save", "r.db", "--output", "html=a.html",
                "--output", "json=a.json", "--output", "sarif=a.sarif")  # fmt: skip
    assert done.code == 1
    assert "genai-secret-in-answer" in done.out
    files = [Path(one).read_bytes() for one in ("r.db", "a.html", "a.json", "a.sarif")]
    return done.out + done.err + b"".join(files).decode("utf-8", "replace")


def test_no_report_shows_a_credential(tavo: Run) -> None:
    shown = reports(tavo)
    assert "ghp_a1…B2" in shown
    for secret in SECRETS:
        assert secret[:16] not in shown
        assert secret[-12:] not in shown


def test_without_the_mask_reports_show_them(tavo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shown_of, "masked_piece", lambda text, start, end: text[start:end])
    monkeypatch.setattr(incidents, "masked", str)
    shown = reports(tavo)
    assert all(secret in shown for secret in SECRETS)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"a {TOKEN} b", "a ghp_a1…B2 b"),
        (rf"x\n{KEY}\n", r"x\nsk-pro…w8\n"),
        (json.dumps(PEM) + " b", '"-----BEGIN RSA PRIVATE KEY-----…" b'),
        ("postgres://u:hunter22@db/x", "postgres://u:…@db/x"),
        (r"\"api_key\": \"abcdefgh12345\"", r"\"api_key\": \"abcdef…45\""),
        ("Authorization: Bearer abcdefabcdefabcdef==", "Authorization: Bearer abcdef…=="),
        ("api_key=https://secretvalue1", "api_key=https:…e1"),
        ("risk-management-of-very-many-things, my password: short", None),
    ],
)
def test_what_is_left_of_a_credential(text: str, shown: str | None) -> None:
    assert masked(text) == (text if shown is None else shown)
    assert masked(masked(text)) == masked(text)


def test_a_cut_leaves_nothing_of_a_credential() -> None:
    text = f"{'é' * 100} {TOKEN} {'y ' * 20}"
    for start in range(len(text)):
        piece = masked_piece(text, start, start + 30)
        assert not any(TOKEN[at : at + 9] in piece for at in range(len(TOKEN) - 9))
