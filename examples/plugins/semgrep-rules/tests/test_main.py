import json

from main import SemgrepRules

from tavo.plugins import ConfigError, PluginError, ProgramResult
from tavo.plugins.testing import find_in, started

RULES = {".semgrep/own.yaml": b"rules: []\n"}
CODE = "x = 1\ns = 'gr\u00f6\u00dfe'; eval(s)\n"


class Program:
    """A program that answers what it is told to, and remembers what it was asked."""

    def __init__(self, *results, errors=(), code=0, out=None):
        self.asked = []
        self._answer = {"results": list(results), "errors": list(errors)}
        self._code, self._out = code, out

    def __call__(self, arguments, stdin, files):
        self.asked.append((list(arguments), dict(files)))
        out = json.dumps(self._answer).encode() if self._out is None else self._out
        return ProgramResult(code=self._code, out=out, errors="")


def result(path, line, start, end, severity="ERROR", rule="rules.own-eval"):
    return {
        "check_id": rule, "path": path, "start": {"line": line, "col": start},
        "end": {"line": line, "col": end}, "extra": {"message": "runs text", "severity": severity},
    }  # fmt: skip


def find(program, files, *, rules=RULES, config=None):
    project = {**rules, **{path: text.encode() for path, text in files.items()}}
    return find_in(
        SemgrepRules, files, config=config, project=project, programs={"semgrep-core": program}
    )


def test_places_are_those_of_the_file_in_characters():
    program = Program(result("src/a.py", 2, 16, 23))
    (finding,) = find(program, {"a.py": CODE})
    assert finding.rule_id == "semgrep-error"
    assert finding.message == "own-eval: runs text"
    assert finding.location.region.start_column == 14
    assert CODE.split("\n")[1][13:20] == "eval(s)"
    ((arguments, files),) = program.asked
    assert arguments[-1] == "src"
    assert "--metrics=off" in arguments
    assert files["rules/0.yaml"] == RULES[".semgrep/own.yaml"]
    assert files["src/a.py"] == CODE.encode()
    assert files[".semgrepignore"] == b""


def test_severities():
    for said, rule in (
        ("CRITICAL", "semgrep-error"), ("WARNING", "semgrep-warning"), ("INFO", "semgrep-info"),
        ("new", "semgrep-warning"),
    ):  # fmt: skip
        (finding,) = find(Program(result("src/a.py", 1, 1, 2, said)), {"a.py": CODE})
        assert finding.rule_id == rule


def test_a_place_that_is_not_in_the_file_is_moved_into_it():
    (finding,) = find(Program(result("src/a.py", 99, 99, 0)), {"a.py": CODE})
    assert finding.location.region.start_line == 3


def test_paths_that_cannot_be_laid_out_are_found_again():
    deep = "/".join("abcdefgh") + "/k.py"
    program = Program(result("src/deep/0/file.py", 1, 1, 2))
    (finding,) = find(program, {deep: CODE})
    assert str(finding.location.path) == deep


def test_many_files_are_several_runs():
    program = Program()
    find(program, {f"f{n}.py": "x" for n in range(801)})
    assert [len(files) for _, files in program.asked] == [803, 4]  # with rules and more


def test_what_fails_is_said():
    files = {"a.py": CODE}
    bad = {"level": "error", "message": "Invalid rule schema"}
    assert "Invalid rule schema" in failed(Program(errors=[bad], code=7), files)
    assert "no report" in failed(Program(out=b"Traceback", code=2), files)
    assert "there are no rules" in failed(Program(), files, rules={})
    odd = {"level": "warn", "type": ["PartialParsing", []], "message": "Syntax error"}
    assert find(Program(errors=[odd]), files) == []
    slow = {"level": "warn", "type": "Timeout", "message": "Timeout of rules.x", "path": "src/a.py"}
    expected = "not looked at to the end: a.py: Timeout of rules.x"
    assert failed(Program(errors=[slow]), files) == expected
    foreign = result("src/other.py", 1, 1, 2)
    assert "another form than that of 1.185" in failed(Program(foreign), files)


def test_a_folder_outside_of_the_project_is_refused():
    for folder in ("/etc/rules", "../rules"):
        try:
            started(SemgrepRules, {"rules": folder})
        except ConfigError as error:
            assert "leaves what is scanned" in str(error)  # noqa: PT017
        else:
            raise AssertionError(folder)


def failed(program, files, **more):
    try:
        find(program, files, **more)
    except PluginError as error:
        return str(error)
    return ""
