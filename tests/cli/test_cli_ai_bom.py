"""`tavo scan --format ai-bom` as its user types it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.cli.test_cli_scan import FLAW


def test_a_bill_of_materials_goes_to_stdout_and_its_summary_to_stderr(tavo) -> None:
    Path("agent.py").write_text(FLAW)
    Path("model.safetensors").write_bytes(b"weights")
    done = tavo("scan", ".", "--format", "ai-bom")
    assert done.code == 0
    value = json.loads(done.out)
    assert (value["bomFormat"], value["specVersion"]) == ("CycloneDX", "1.6")
    assert done.err == "1 model, 1 provider, 2 packages in 2 files.\n"
    (model,) = (one for one in value["components"] if one["type"] == "machine-learning-model")
    assert model["hashes"][0]["content"] == hashlib.sha256(b"weights").hexdigest()
    assert tavo("-q", "scan", ".", "--format", "ai-bom").err == ""


def test_flaws_are_not_judged_and_a_file_that_is_broken_makes_it_incomplete(tavo) -> None:
    Path("broken.py").write_text("def f(:\n")
    done = tavo("scan", ".", "--format", "ai-bom")
    assert done.code == 4
    assert "Not looked at, or not in full (1)" in done.err
    value = json.loads(done.out)
    assert value["compositions"][0]["aggregate"] == "incomplete"
    assert any("broken.py" in one["value"] for one in value["metadata"]["properties"])


def test_the_time_is_that_of_the_environment(tavo, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("agent.py").write_text(FLAW)
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    first = tavo("scan", ".", "--format", "ai-bom").out
    assert json.loads(first)["metadata"]["timestamp"] == "2023-11-14T22:13:20Z"
    assert tavo("scan", ".", "--format", "ai-bom").out == first
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "yesterday")
    done = tavo("scan", ".", "--format", "ai-bom")
    assert done.code == 2
    assert "SOURCE_DATE_EPOCH: 'yesterday' is no time" in done.err


@pytest.mark.parametrize(
    "option", ["--diff=HEAD", "--save=r.db", "--rules=x.yaml", "--fail-on=low"]
)
def test_an_option_that_means_nothing_here_is_refused(tavo, option: str) -> None:
    done = tavo("scan", ".", "--format", "ai-bom", option)
    assert done.code == 2
    assert f"{option.partition('=')[0]} means nothing here" in done.err
    assert not Path("r.db").exists()


def test_without_a_path_and_with_a_wrong_one_nothing_is_printed(tavo) -> None:
    done = tavo("scan", "--format", "ai-bom")
    assert (done.code, done.out) == (2, "")
    done = tavo("scan", "gone", "--format", "ai-bom")
    assert (done.code, done.out) == (3, "")
