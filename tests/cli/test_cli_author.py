"""What an author sees who makes mistakes, and a user of a plugin that does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.fakes.authors import author_plugin, static_main

KEY = "sk-" + "a1B2" * 6
ONE = "yield self.found(file_path) if 'bad' in content else self.found(file_path)"


@pytest.fixture(autouse=True)
def _accept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TAVO_ACCEPT_SANDBOX", "L2:acme/sample")


def plugin(folder: Path, body: str, *, before: str = "", **files: str) -> Path:
    files.setdefault("tests__test_main_py", "def test_nothing(): pass\n")
    return author_plugin(folder, main_py=static_main(body, before=before), **files)


def files(number: int) -> None:
    for index in range(number):
        Path(f"f{index}.txt").write_text("one\ntwo\n")


def digest_of(tavo: Run, folder: Path) -> str:
    return str(json.loads(tavo("plugin", "validate", folder, "--json").out)["package"])


def said(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("tavo: ")]


def test_what_a_plugin_logs_and_prints_is_shown_to_its_author(tavo: Run, tmp_path: Path) -> None:
    folder = plugin(tmp_path / "p", "print('look', file_path)", before="print('loaded')")
    main = folder / "main.py"
    main.write_text(main.read_text() + (
        "    def start(self, context): context.log.info('hello\\x1b[2J')\n"
        "    def stop(self): print('bye')\n"
    ))  # fmt: skip
    files(1)
    done = tavo("plugin", "run", folder, "f0.txt")
    assert done.code == 0
    shown = [line for line in done.err.splitlines() if line.startswith("  | ")]
    assert shown == ["  | loaded", "  | info: hello\N{REPLACEMENT CHARACTER}[2J",
                     "  | look f0.txt", "  | bye"]  # fmt: skip
    assert json.loads(tavo("plugin", "run", folder, "f0.txt", "--json").out)["output"]
    digest = digest_of(tavo, folder)
    words = ("scan", ".", "--static-plugins", folder, "--accept-local", digest, "--no-cache")
    assert "look" not in tavo(*words).err
    assert "tavo: acme/sample: look f0.txt" in tavo("-v", *words).err


def test_the_same_failure_of_many_files_is_one_line(tavo: Run, tmp_path: Path) -> None:
    folder = plugin(tmp_path / "p", "raise KeyError('a\\nb')")
    files(30)
    done = tavo("plugin", "run", folder, ".")
    assert done.code == 4
    assert said(done.err) == [
        "tavo: f0.txt, f1.txt, f10.txt, f11.txt, f12.txt and 25 more: it raised KeyError:"
        " 'a\\nb' (main.py line 11)"
    ]
    assert done.err.count("Traceback") == 1
    assert "serve" not in done.err
    assert "\N{REPLACEMENT CHARACTER}" not in done.err
    digest = digest_of(tavo, folder)
    scanned = tavo("scan", ".", "--static-plugins", folder, "--accept-local", digest)
    assert " ".join(scanned.out.split()).count("it raised KeyError") == 1
    assert "and 25 more" in scanned.out
    value = json.loads(
        tavo("scan", ".", "--static-plugins", folder, "--accept-local", digest,
             "--format", "json").out
    )  # fmt: skip
    assert len(value["not_done"]) == 30  # nothing is lost where programs read


def test_a_class_that_is_not_there_is_said_once(tavo: Run, tmp_path: Path) -> None:
    folder = plugin(tmp_path / "p", "pass")
    main = folder / "main.py"
    main.write_text(main.read_text().replace("class Sample", "class Simple"))
    files(1)
    done = tavo("plugin", "run", folder, "f0.txt")
    assert done.code == 4
    assert said(done.err) == [
        "tavo: f0.txt: it cannot be started: TypeError: main has no class Sample, which"
        " entry_point names; it has Simple"
    ]
    assert "`tavo plugin validate` names what is wrong" in done.err
    assert "not started" not in done.err
    packed = tavo("plugin", "pack", folder)
    assert packed.code == 0
    assert "holds no class Sample" in packed.err


def test_a_misspelt_method_is_no_clean_run(tavo: Run, tmp_path: Path) -> None:
    folder = plugin(tmp_path / "p", "pass")
    main = folder / "main.py"
    main.write_text(main.read_text().replace("def analyze_file", "def analyse_file"))
    files(1)
    done = tavo("plugin", "run", folder, "f0.txt")
    assert done.code == 4, done
    assert "it defines none of analyze_file, analyze_binary and analyze_project" in done.err
    found = tavo("plugin", "validate", folder)
    assert "analyse_file looks like it." in found.out
    main.write_text(main.read_text().replace("    rules = ", "    rulez = "))
    assert "Sample has no rules" in tavo("plugin", "validate", folder).out


@pytest.mark.parametrize(
    ("body", "reason"),
    [("return self.found(file_path)", "analyze_file returned a Finding, expected an iterable"),
     ("return None", "analyze_file returned None, expected an iterable"),
     ("return [{'rule_id': 'word'}]", "yielded {'rule_id': 'word'}, expected tavo.plugins.Find"),
     ("Finding(rule_id='word', message='', severity=1, location=2)",
      "finding of word: the message is empty (main.py line 11)")],
)  # fmt: skip
def test_a_wrong_answer_is_told_by_the_authors_own_frame(
    tavo: Run, tmp_path: Path, body: str, reason: str
) -> None:
    folder = plugin(tmp_path / "p", body)
    files(1)
    done = tavo("plugin", "run", folder, "f0.txt")
    assert done.code == 4
    assert reason in done.err
    assert "values.py" not in done.err
    assert "plain.py" not in done.err


@pytest.mark.parametrize(
    ("name", "text", "ignored"),
    [
        ("a.py", "bad()  # tavo: ignore[word] accepted by Ann\n", True),
        ("a.py", "# tavo: ignore[acme/sample] accepted by Ann\nbad()\n", True),
        ("a.py", "x = '# tavo: ignore[word] no comment'; bad()\n", False),
        ("a.py", "bad()  # tavo: ignore[other] accepted\n", False),
        ("a.py", "bad()  # tavo: ignore[word]\n", False),
        ("a.py", "bad()  # nosemgrep\n", False),
        ("a.js", "bad()  // tavo: ignore[acme/sample:word] accepted by Ann\n", True),
        ("a.md", "bad <!-- tavo: ignore[word] accepted by Ann -->\n", True),
        ("a.md", "tavo: ignore[word] is how you do it, bad\n", False),
    ],
)
def test_ignore_comments_hold_for_plugins(
    tavo: Run, tmp_path: Path, name: str, text: str, ignored: bool
) -> None:
    body = (
        "for n, line in enumerate(content.split('\\n'), 1):\n"
        "    if 'bad' in line: yield self.found(file_path, line=n)"
    )
    folder = plugin(tmp_path / "p", body)
    Path(name).write_text(text)
    done = tavo("scan", ".", "--static-plugins", folder, "--accept-local", digest_of(tavo, folder),
                "--format", "json")  # fmt: skip
    (finding,) = [f for f in json.loads(done.out)["findings"] if f["tool"] == "acme/sample"]
    assert (finding["suppression"] is not None) is ignored
    if ignored:
        assert finding["suppression"]["reason"] == "accepted by Ann"
    assert done.code == (0 if ignored else 1)
    if text.endswith("[word]\n"):
        assert any("has no reason" in one["reason"] for one in json.loads(done.out)["not_done"])


def test_a_plugins_rule_is_explained_below_its_findings(tavo: Run, tmp_path: Path) -> None:
    folder = author_plugin(tmp_path / "p")
    Path("a.py").write_text(f"key = '{KEY}'\n")
    done = tavo("scan", "a.py", "--static-plugins", folder,
                "--accept-local", digest_of(tavo, folder))  # fmt: skip
    assert "Why, and how to mend it (hard-coded-model-key): " in done.out
    explained = tavo("explain", "hard-coded-model-key")
    assert explained.code == 2
    assert "those of plugins and findings are in a result store" in explained.err


LIES = """\
from tavo.plugins import *

class Sample(DynamicTestingPlugin):
    rules = (Rule(id="x", title="X", severity=Severity.LOW),)

    def run_attack(self, target, config):
        target.send(ChatRequest(messages=(ChatMessage(role="user", content="hi"),)))
        yield AttackResult(rule_id="x", goal="g", severity=Severity.LOW, score=1.0,
                           attempts=(Attempt(prompt="p", outputs=("invented",), score=1.0),))
"""


def test_a_plugin_that_lies_looks_like_it(tavo: Run, tmp_path: Path) -> None:
    from tests.fakes.model_server import serving

    shown = []
    for main in (LIES, LIES.replace('"invented"', '"No."')):
        folder = author_plugin(tmp_path / str(len(shown)), "dynamic", main_py=main)
        with serving(lambda _: "No.") as model:
            done = tavo("scan", "--dynamic-plugins", folder, "--target", f"{model.url}/v1",
                        "--accept-local", digest_of(tavo, folder))  # fmt: skip
        shown.append(" ".join(done.out.split()))
    lie, truth = shown
    assert "(so says the plugin; tavo saw no such answer)" in lie
    assert "seen by the host: no" in lie
    assert "so says the plugin" not in truth
    assert "seen by the host: yes" in truth
    assert " target low acme/sample x " in lie


SCHEMA = (
    "config_schema:\n  type: object\n  additionalProperties: false\n  properties:\n"
    "    most: {type: integer, minimum: 1}\n    words: {type: array, items: {type: string}}\n"
    "    mode: {enum: [fast, slow]}\n"
)


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"most": 0}, "most: expected at least 1, found 0"),
        ({"most": "3"}, 'most: expected a whole number, found "3"'),
        ({"most": True}, "most: expected a whole number, found true"),
        ({"mots": 3}, "\"mots\" is not known; did you mean 'most'?"),
        ({"words": ["a", 1]}, "words: entry 2: expected a text, found 1"),
        ({"mode": "medium"}, 'mode: expected "fast", "slow", found "medium"'),
        ({"most": 3, "words": [], "mode": "fast"}, ""),
        ({"acme/sample": {"most": 3}}, ""),
        ({"acme/sample": {"most": 0}}, "most: expected at least 1"),
    ],
)
def test_a_configuration_fits_its_schema_or_nothing_runs(
    tavo: Run, tmp_path: Path, config: dict[str, object], problem: str
) -> None:
    folder = plugin(tmp_path / "p", "pass")
    manifest = folder / "plugin.yaml"
    manifest.write_text(manifest.read_text() + SCHEMA)
    files(1)
    Path("c.json").write_text(json.dumps(config))
    done = tavo("plugin", "run", folder, "f0.txt", "--plugin-config", "c.json")
    assert done.code == (2 if problem else 0), done
    assert problem in done.err
    by_plugin = config if "acme/sample" in config else {"acme/sample": config}
    Path("c.json").write_text(json.dumps(by_plugin))
    scanned = tavo("scan", "f0.txt", "--static-plugins", folder, "--plugin-config", "c.json",
                   "--accept-local", digest_of(tavo, folder))  # fmt: skip
    assert scanned.code == (2 if problem else 0), scanned
    assert problem in scanned.err


def test_what_of_a_schema_is_not_checked_is_noted(tavo: Run, tmp_path: Path) -> None:
    folder = plugin(tmp_path / "p", "pass")
    manifest = folder / "plugin.yaml"
    text = manifest.read_text().replace("languages: []", "languages: [pyhton]")
    asked = "permissions:\n  files: project\n  subprocess: [git]"
    text = text.replace("permissions:\n  files: none", asked)
    schema = "config_schema: {properties: {a: {pattern: x, type: text}}}\n"
    manifest.write_text(text + schema)
    found = tavo("plugin", "validate", folder)
    assert found.code == 0
    assert "config_schema: properties: a: 'pattern' is not checked by tavo" in found.out
    assert 'type "text", none of object' in found.out
    assert "is not available" not in found.out
    assert "did you mean 'python'?" in found.out


def test_the_statement_beside_a_package_is_looked_at(tavo: Run, tmp_path: Path) -> None:
    author_plugin(tmp_path / "p")
    tavo("plugin", "pack", tmp_path / "p", "--output", "a.zip")
    assert "dsse" not in tavo("plugin", "validate", "a.zip").out
    tavo("key", "new", "my.key", "--unsafe-no-passphrase")
    tavo("key", "new", "other.key", "--unsafe-no-passphrase")
    keys = [json.loads(tavo("key", "show", name, "--json").out)
            for name in ("my.key", "other.key")]  # fmt: skip
    tavo("plugin", "sign", "a.zip", "--key", "my.key")
    found = tavo("plugin", "validate", "a.zip")
    assert found.code == 0, found
    assert "a.zip.dsse.json: every field agrees with the package" in found.out
    assert keys[0]["key_id"] in found.out
    assert "its signature was not checked" in found.out
    found = tavo("plugin", "validate", "a.zip", "--public-key", keys[0]["public"])
    assert found.code == 0
    assert "its signature is verified" in found.out
    found = tavo("plugin", "validate", "a.zip", "--public-key", keys[1]["public"])
    assert found.code == 1
    assert "is not among the 1 allowed keys" in found.out

    statement = Path("a.zip.dsse.json")
    signed = statement.read_text()
    for broken in ("garbage", signed.replace('"payload":"ey', '"payload":"eX'), "{}"):
        statement.write_text(broken)
        assert tavo("plugin", "validate", "a.zip").code == 1
    # a change of the package alone
    statement.write_text(signed)
    (tmp_path / "p" / "README.md").write_text("changed\n")
    Path("a.zip").unlink()
    tavo("plugin", "pack", tmp_path / "p", "--output", "a.zip")
    found = tavo("plugin", "validate", "a.zip")
    assert found.code == 1
    assert "a.zip.dsse.json: publisher statement for acme/sample 0.1.0: package digest differs" in (
        found.out
    )
    assert "Sign the package again" in found.out
    assert tavo("plugin", "validate", "a.zip", "--public-key", "xx").code == 2


def test_small_things_are_said_well(
    tavo: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = tavo("plugin", "init", "new")
    assert "It is published as `me` until" in done.err
    done = tavo("plugin", "trust")
    assert "tavo: plugin trust: Missing argument" in done.err
    done = tavo("scan", ".", "--static-plugins", "new")
    assert done.code == 2
    assert "Did you mean the folder ./new?" in done.err
    done = tavo("plugin", "run", "new", "--answer", "x")
    assert "is a static plugin; --answer would be for a dynamic one" in done.err
    manifest = Path("new/plugin.yaml")
    manifest.write_text(manifest.read_text().replace("plugin_type: static", "plugin_type: statics"))
    done = tavo("plugin", "validate", "new")
    assert "expected static, dynamic, proxy, log, found 'statics'; did you mean 'static'?" in (
        done.out
    )
    monkeypatch.setattr("typer.prompt", lambda *_, **__: "abc")
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    done = tavo("key", "new", "short.key")
    assert done.code == 5
    assert "shorter than 12 characters" in done.err
    assert not Path("short.key").exists()


def test_a_plugin_that_does_not_start_is_said_once_by_test(tavo: Run, tmp_path: Path) -> None:
    folder = plugin(
        tmp_path / "p", "pass", before="import urllib.request as r\nr.urlopen('http://x.y')"
    )
    done = tavo("plugin", "test", folder)
    assert done.code == 1
    (failed,) = [line for line in done.out.splitlines() if line.startswith("failed")]
    assert "(main.py line 4); the sandbox: a plugin reaches only the hosts" in failed
    assert len(done.out.splitlines()) == 2
    assert "not started" not in done.err
    shown = tavo("plugin", "run", author_plugin(tmp_path / "q", "dynamic", main_py="1 / 0\n"),
                 "--answer", "x")  # fmt: skip
    assert shown.code == 4
    assert shown.err.splitlines() == [
        "tavo: acme/sample: it cannot be started: ZeroDivisionError: division by zero"
        " (main.py line 1)",
        "  `tavo plugin validate` names what is wrong with a plugin's folder.",
    ]


def test_tests_that_fail_alike_are_told_once(tavo: Run, tmp_path: Path) -> None:
    folder = plugin(tmp_path / "p", "raise KeyError('x')", tests__test_main_py=(
        "from main import Sample\nfrom tavo.plugins.testing import find_in\n"
        "def test_one(): find_in(Sample, {'a': 'x'})\n"
        "def test_two(): find_in(Sample, {'a': 'x'})\n"
    ))  # fmt: skip
    out = tavo("plugin", "test", folder).out
    assert out.count("\nKeyError: 'x' (main.py line 11)\n") == 1
    assert "tests/test_main.py::test_one\ntests/test_main.py::test_two\nKeyError" in out
