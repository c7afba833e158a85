import json

from main import CodeShield

from tavo.plugins import PluginError, ProgramResult
from tavo.plugins.testing import find_in

INSECURE = "import hashlib\n\n\ndef f(x):\n    return hashlib.md5(x)\n"
OFF = {"semgrep": False, "rules": "cyberseceval"}


def semgrep(*results, errors=(), code=0):
    def run(arguments, stdin, files):
        run.asked.append((arguments, files))
        out = json.dumps({"results": list(results), "errors": list(errors)})
        return ProgramResult(code=code, out=out.encode(), errors="")

    run.asked = []
    return run


def find(files, *, program=None, config=None):
    return find_in(
        CodeShield, files, config=config,
        project={path: text.encode() for path, text in files.items()},
        programs={"semgrep-core": program or semgrep()},
    )  # fmt: skip


def test_its_patterns_are_matched_without_semgrep():
    (finding,) = find({"a.py": INSECURE}, config=OFF)
    assert finding.rule_id == "codeshield-warning"
    assert finding.message.startswith("insecure-md5-hash-usage: The MD5 hash function")
    assert finding.evidence["cwe"] == "CWE-328"
    assert finding.location.region.start_line == 5
    assert finding.location.region.start_column == 5
    assert find({"a.py": "import hashlib\nhashlib.sha256(b'')\n"}, config=OFF) == []
    assert find({"a.txt": INSECURE}, config=OFF) == []


def test_c_has_rules_of_other_severities():
    code = "void f(char *s) {\n  char b[8];\n  gets(b);\n}\n"
    found = find({"a.c": code}, config={"semgrep": False})
    assert [one.rule_id for one in found] == ["codeshield-error"]


def test_its_rules_for_semgrep_are_handed_to_semgrep():
    program = semgrep({
        "check_id": "rules.eval-usage", "path": "src/1.py", "start": {"line": 1, "col": 9},
        "end": {"line": 1, "col": 16}, "extra": {
            "message": "eval", "severity": "INFO", "metadata": {"cwe_id": "CWE-94"}},
    })  # fmt: skip
    (finding,) = find({"pkg/a.py": "s='\u00fc'; eval(s)\n"}, program=program)
    assert finding.rule_id == "codeshield-advice"
    assert finding.evidence == {"rule": "eval-usage", "cwe": "CWE-94", "analyzer": "semgrep"}
    assert str(finding.location.path) == "pkg/a.py"
    assert finding.location.region.start_column == 8
    ((arguments, files),) = program.asked
    assert "--metrics=off" in arguments
    assert json.loads(files["rules/python.json"])["rules"]
    assert files["src/1.py"]


def test_a_rule_that_semgrep_does_not_take_stops_no_others():
    program = semgrep()
    find({"A.java": "class A {}\n", "a.py": "x = 1\n"}, program=program)
    ((_, files),) = program.asked
    names = {rule["id"] for rule in json.loads(files["rules/java.json"])["rules"]}
    assert "ssrf_insecure_patterns" not in names
    assert len(names) == 10


def test_semgrep_that_fails_is_said():
    bad = {"level": "error", "message": "Invalid rule"}
    try:
        find({"a.py": "x = 1\n"}, program=semgrep(errors=[bad], code=7))
    except PluginError as error:
        assert "Invalid rule" in str(error)  # noqa: PT017
    else:
        raise AssertionError
    slow = {"level": "warn", "type": "Timeout", "message": "Timeout of x", "path": "src/1.py"}
    try:
        find({"a.py": "x = 1\n"}, program=semgrep(errors=[slow]))
    except PluginError as error:
        assert str(error) == "not looked at to the end: a.py: Timeout of x"  # noqa: PT017
    else:
        raise AssertionError


def test_no_code_no_semgrep():
    program = semgrep()
    assert find({"README.md": "eval(x)\n"}, program=program) == []
    assert program.asked == []
