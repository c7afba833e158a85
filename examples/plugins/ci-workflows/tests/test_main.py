import json

from main import CiWorkflows

from tavo.plugins import ConfigError, PluginError, ProgramError, ProgramResult
from tavo.plugins.testing import find_in, started

FLOW = ".github/workflows/ci.yml"
LINE = '      - run: echo "Grüße an ${{ github.event.issue.title }}"'
TEXT = f"on: issues\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps:\n{LINE}\n"
START = LINE.encode().index(b"github.event")  # in bytes, from 0, as zizmor counts


class Program:
    """A program that answers what it is told to, and remembers what it was asked."""

    def __init__(self, *results, refused="", out=None):
        self.asked = []
        self._results, self._refused, self._out = results, refused, out

    def __call__(self, arguments, stdin, files):
        self.asked.append((list(arguments), dict(files)))
        if self._refused and any(self._refused in name for name in files):
            said = "fatal: no audit was performed\n\nCaused by:\n    0: invalid YAML syntax\n"
            return ProgramResult(code=3, out=b"", errors=said + "\nStack backtrace:\n 0: x")
        some = [one for one in self._results if path_of(one) in files]
        out = json.dumps(some).encode() if self._out is None else self._out
        return ProgramResult(code=0, out=out, errors="")


class Late:
    def __call__(self, arguments, stdin, files):
        raise ProgramError("zizmor: it took longer than 120 s")


def path_of(one):
    return one["locations"][-1]["symbolic"]["key"]["Local"]["verbatim_path"].removeprefix("./")


def place(kind, path, annotation, row, start, end):
    return {
        "symbolic": {
            "key": {"Local": {"verbatim_path": path}}, "annotation": annotation, "kind": kind
        },
        "concrete": {"location": {
            "start_point": {"row": row, "column": start}, "end_point": {"row": row, "column": end}
        }},
    }  # fmt: skip


def result(path=f"./src/0/{FLOW}", ident="template-injection", severity="High", row=5):
    return {
        "ident": ident, "desc": "code injection", "url": f"https://docs.zizmor.sh/audits/#{ident}",
        "determinations": {"confidence": "Low", "severity": severity, "persona": "Regular"},
        "locations": [
            place("Hidden", path, "this step", 0, 0, 2),
            place("Primary", path, "may expand into code", row, START, START + 24),
        ],
        "ignored": False, "fixes": [{"title": "use a variable", "disposition": "unsafe"}],
    }  # fmt: skip


def find(program, files=None, **more):
    files = files or {FLOW: TEXT}
    project = {path: text.encode() for path, text in files.items()}
    project |= more.pop("project", {})
    return find_in(CiWorkflows, files, project=project, programs={"zizmor": program}, **more)


def failed(program, files=None, **more):
    try:
        find(program, files, **more)
    except PluginError as error:
        return str(error)
    return ""


def test_places_are_those_of_the_file_in_characters():
    program = Program(result())
    (finding,) = find(program)
    assert finding.rule_id == "zizmor-template-injection"
    assert finding.message == "template-injection: code injection: may expand into code"
    assert (finding.severity.value, finding.confidence.value) == ("high", "low")
    region = finding.location.region
    assert region.start_line == region.end_line == 6
    found = LINE[region.start_column - 1 : region.end_column - 1]
    assert found == "github.event.issue.title"
    assert finding.evidence["to mend it"] == "use a variable"
    assert finding.evidence["reference"].endswith("#template-injection")
    ((arguments, files),) = program.asked
    assert "--offline" in arguments
    assert "--no-config" in arguments
    assert arguments[-1] == "src"
    assert files == {f"src/0/{FLOW}": TEXT.encode()}


def test_lines_are_those_of_a_scan():
    odd = "\ufeff" + TEXT.replace("\n", "\r\n")
    program = Program(result())
    (finding,) = find(program, {FLOW: odd})
    assert finding.location.region.start_line == 6
    assert program.asked[0][1][f"src/0/{FLOW}"] == TEXT.encode()


def test_levels_and_audits_to_come():
    for said, level in (("Medium", "medium"), ("Low", "low"), ("Informational", "info")):
        (finding,) = find(Program(result(severity=said)))
        assert finding.severity.value == level
    (finding,) = find(Program(result(ident="new-audit", severity="Unheard")))
    assert finding.rule_id == "zizmor-other"
    assert finding.severity.value == "medium"
    assert finding.message.startswith("new-audit: ")


def test_each_rule_is_an_audit():
    for rule in CiWorkflows.rules[:-1]:
        (finding,) = find(Program(result(ident=rule.id.removeprefix("zizmor-"))))
        assert finding.rule_id == rule.id


def test_paths_of_older_versions_are_understood():
    old = result()
    for place in old["locations"]:
        key = place["symbolic"]["key"]["Local"]
        place["symbolic"]["key"]["Local"] = {"prefix": "src", "given_path": key["verbatim_path"]}
    (finding,) = find(Program(out=json.dumps([old]).encode()))
    assert str(finding.location.path) == FLOW


def test_a_place_that_is_not_in_the_file_is_moved_into_it():
    (finding,) = find(Program(result(row=99)))
    assert finding.location.region.start_line == 7


def test_only_what_github_reads_is_handed_over():
    files = {
        "a/.github/dependabot.yml": "x", "deep/a/b/c/d/e/action.yaml": "x", "ci.yml": "x",
        ".github/workflows/notes.md": "x", ".github/workflows/o:d.yml": "x", "action.txt": "x",
        ".github/workflows/more/x.yml": "x",
    }  # fmt: skip
    program = Program()
    find(program, files)
    assert sorted(program.asked[0][1]) == [
        "src/0/.github/workflows/workflow.yml",
        "src/1/.github/dependabot.yml",
        "src/3/action.yaml",
    ]


def test_without_workflows_no_program_is_asked_for():
    assert find(Late(), {"a.py": "x = 1", "compose.yml": "services: {}\n"}) == []


def test_from_inside_of_its_folder_a_file_is_known_by_what_it_holds():
    files = {
        "ci.yml": TEXT, "workflows/b.yaml": '{"on": push, "jobs": {}}',
        "dependabot.yml": "version: 2\nupdates: []\n", "values.yml": "jobs: 1\n",
        "deep/ci.yml": TEXT, "workflows/deep/ci.yml": TEXT,
    }  # fmt: skip
    program = Program(result("./src/0/.github/workflows/ci.yml"))
    (finding,) = find(program, files)
    assert str(finding.location.path) == "ci.yml"
    assert sorted(program.asked[0][1]) == [
        "src/0/.github/workflows/ci.yml", "src/1/.github/dependabot.yml",
        "src/3/.github/workflows/b.yaml",
    ]  # fmt: skip


def test_many_files_are_several_runs():
    program = Program()
    find(program, {f".github/workflows/{n}.yml": "x" for n in range(51)})
    assert [len(files) for _, files in program.asked] == [50, 1]


def test_a_file_that_is_refused_does_not_hide_the_others():
    program = Program(result(), refused="bad.yml")
    said = []
    plugin = started(
        CiWorkflows, programs={"zizmor": program},
        project={FLOW: TEXT.encode(), ".github/workflows/bad.yml": b"x: ["},
    )  # fmt: skip
    program._results = (result(f"./src/1/{FLOW}"),)
    try:
        for finding in plugin.analyze_project(plugin._context.project_files("*.yml")):
            said.append(finding.rule_id)  # noqa: PERF401
    except ProgramError as error:
        said.append(str(error))
    assert said == [
        "zizmor-template-injection",
        "not audited: .github/workflows/bad.yml: zizmor does not take it: invalid YAML syntax",
    ]


def test_settings_of_the_project_count_where_they_are_named():
    program = Program()
    find(program, config={"config": "zizmor.yml", "persona": "auditor", "ignores": False},
         project={"zizmor.yml": b"rules: {}\n"})  # fmt: skip
    ((arguments, files),) = program.asked
    assert arguments[-3:] == ["--config", "zizmor.yml", "src"]
    assert {"--persona=auditor", "--no-ignores"} < set(arguments)
    assert "--no-config" not in arguments
    assert files["zizmor.yml"] == b"rules: {}\n"


def test_what_fails_is_said():
    assert failed(Late()) == "zizmor: it took longer than 120 s"
    assert "not the form json-v1: Traceback" in failed(Program(out=b"Traceback"))
    assert "not the form json-v1" in failed(Program(out=b'{"a": 1}'))
    assert "not the form json-v1" in failed(Program(out=json.dumps([{"ident": "x"}]).encode()))
    huge = {FLOW: "#" * 1_000_001}
    assert failed(Program(), huge) == f"not audited: {FLOW}: has more than 1000000 bytes"


def test_a_file_of_settings_outside_of_the_project_is_refused():
    for path in ("/etc/zizmor.yml", "../zizmor.yml"):
        try:
            started(CiWorkflows, {"config": path})
        except ConfigError as error:
            assert "leaves what is scanned" in str(error)  # noqa: PT017
        else:
            raise AssertionError(path)
