"""Pull requests in the GitHub Action: the commit that they want to change brings what judges them.

Each repository is made with git, and checked out as actions/checkout does it: shallow or whole.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.fakes.github_runner import Runner, Step
from tests.fakes.single_file import PYZ
from tests.integrations.test_github_action import EVIL, SAFE, scan, without

pytestmark = pytest.mark.skipif(
    not PYZ.exists(), reason="run the tests with `python3 build.py test`, which builds the file"
)
LOOSE = '[scan]\nexclude = ["*"]\n'


class Project:
    """A repository on a server: main, and a branch that wants to be merged."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "server"
        self.folder.mkdir()
        self.git("init", "-q", "-b", "main")
        self.git("config", "uploadpack.allowAnySHA1InWant", "true")
        self.write({"lib.py": SAFE})
        self.base = self.commit("base")
        self.head = self.merge = ""

    def git(self, *words: str, folder: Path | None = None) -> str:
        done = subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@t", "-c", "protocol.file.allow=always",
             *words],
            cwd=folder or self.folder, check=True, capture_output=True, text=True,
            env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1"},
        )  # fmt: skip
        return done.stdout.strip()

    def write(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, message: str) -> str:
        self.git("add", "-A", "-f")
        self.git("commit", "-q", "-m", message)
        return self.git("rev-parse", "HEAD")

    def on_main(self, files: dict[str, str]) -> None:
        self.write(files)
        self.base = self.commit("more on main")

    def pull_request(self, files: dict[str, str]) -> None:
        self.git("checkout", "-q", "-b", "change")
        self.write(files)
        self.head = self.commit("change")
        self.git("checkout", "-q", "-b", "merged", "main")
        self.git("merge", "-q", "--no-ff", "-m", "merge", "change")
        self.merge = self.git("rev-parse", "HEAD")

    def check_out(self, runner: Runner, commit: str, depth: int = 2) -> None:
        folder = runner.workspace
        self.git("init", "-q", folder=folder)
        bound = [f"--depth={depth}"] if depth else []
        self.git("fetch", "-q", *bound, f"file://{self.folder}", commit, folder=folder)
        self.git("checkout", "-q", "FETCH_HEAD", folder=folder)

    def event(self, runner: Runner, name: str = "pull_request") -> None:
        value = {"pull_request": {"base": {"sha": self.base}, "head": {"sha": self.head}}}
        at = self.merge if name == "pull_request" else self.base
        runner.event(name, value, GITHUB_SHA=at, GITHUB_BASE_REF="main")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


@pytest.fixture
def runner(tmp_path: Path) -> Runner:
    return Runner(tmp_path / "job")


def pull(project: Project, runner: Runner, files: dict[str, str], *, depth: int = 2) -> None:
    project.pull_request(files)
    project.check_out(runner, project.merge, depth)
    project.event(runner)


def test_a_pull_request_that_brings_nothing_needs_no_base(project: Project, runner: Runner) -> None:
    pull(project, runner, {"app.py": EVIL}, depth=1)
    assert scan(runner).outputs["findings"] == "1"


def test_settings_of_the_pull_request_do_not_judge_it(project: Project, runner: Runner) -> None:
    pull(project, runner, {"app.py": EVIL, "tavo.toml": LOOSE})
    done = scan(runner)
    assert (done.code, done.outputs["findings"]) == (1, "1"), done.log
    assert (
        f"this pull request changes tavo.toml; it is judged by what {project.base[:12]} has"
        in done.said("notice")
    )
    control = scan(runner, gate_from="checkout")
    assert (control.code, control.outputs["findings"]) == (0, "0")  # its own settings hide it


def test_settings_of_the_base_hold_with_their_rules(project: Project, runner: Runner) -> None:
    rule = (
        "rules:\n- id: mine\n  languages: [python]\n  severity: ERROR\n"
        "  message: mine\n  pattern: add(1, 2)\n"
    )
    project.on_main(
        {"tavo.toml": '[scan]\nexclude = ["gen/"]\nrules = ["rules/"]\n', "rules/a.yaml": rule}
    )
    pull(
        project, runner,
        {"a.py": "add(1, 2)\n", "gen/b.py": "add(1, 2)\n", "tavo.toml": LOOSE,
         "rules/a.yaml": rule.replace("add(1, 2)", "never()")},
    )  # fmt: skip
    done = scan(runner)
    assert (done.code, done.outputs["findings"]) == (1, "1"), done.log
    assert "changes tavo.toml, rules; it is judged" in done.said("notice")


def test_rules_named_by_an_input_come_from_the_base(project: Project, runner: Runner) -> None:
    rule = (
        "rules:\n- id: mine\n  languages: [python]\n  severity: ERROR\n"
        "  message: mine\n  pattern: add(1, 2)\n"
    )
    project.on_main({"security/rules.yaml": rule})
    weak = rule.replace("add(1, 2)", "never()")
    pull(project, runner, {"a.py": "add(1, 2)\n", "security/rules.yaml": weak})
    assert scan(runner, rules="security/rules.yaml").outputs["findings"] == "1"
    control = scan(runner, rules="security/rules.yaml", gate_from="checkout")
    assert control.outputs["findings"] == "0"


@pytest.mark.parametrize(
    "inputs",
    [{"policy": "p.rego"}, {"policy_data": "p.json"}, {"baseline": "p"}, {"suppressions": "p"},
     {"plugin_config": "p"}, {"rules": "p/"}, {"lock": "p"},
     {"target": "p.yaml", "dynamic_plugins": "./x"}],
    ids=lambda inputs: next(iter(inputs)),
)  # fmt: skip
def test_a_pull_request_cannot_bring_what_judges_it(
    project: Project, runner: Runner, inputs: dict[str, str]
) -> None:
    pull(project, runner, dict.fromkeys(("app.py", "p.rego", "p.json", "p.yaml"), "x"))
    done = scan(runner, **inputs)
    assert done.code == 2
    assert "a pull request cannot bring the files that judge it" in done.said("error"), done.log
    assert "gate-from: checkout" in done.said("error")


def test_a_file_outside_of_the_workspace_is_the_workflows_own(
    project: Project, runner: Runner
) -> None:
    rules = runner.folder / "rules.yaml"
    rules.write_text(
        "rules:\n- id: mine\n  languages: [python]\n  severity: ERROR\n"
        "  message: mine\n  pattern: eval(...)\n"
    )
    pull(project, runner, {"app.py": EVIL}, depth=1)  # the base is not needed
    done = scan(runner, rules=str(rules), args="--no-default-rules")
    assert done.outputs["findings"] == "1", done.log


def test_without_the_base_it_is_a_sentence(project: Project, runner: Runner) -> None:
    pull(project, runner, {"app.py": EVIL, "tavo.toml": LOOSE}, depth=1)
    # A shallow commit of depth 1 still names its parents; they are not there.
    done = scan(runner)
    assert done.code == 2
    said = done.said("error")
    assert f"the base of this pull request, {project.base[:12]}, is not in the checkout" in said
    assert "fetch-depth: 0" in said


def test_no_repository_is_a_sentence(project: Project, runner: Runner) -> None:
    project.pull_request({"app.py": EVIL})
    project.event(runner)
    (runner.workspace / "app.py").write_text(EVIL)
    done = scan(runner, diff="base")
    assert done.code == 3
    assert "not a git repository" in done.said("error")


@pytest.mark.parametrize("depth", [2, 0])
def test_diff_base_counts_what_the_pull_request_brings(
    project: Project, runner: Runner, depth: int
) -> None:
    project.on_main({"old.py": EVIL})
    pull(project, runner, {"new.py": EVIL, "lib.py": SAFE + "\n# more\n"}, depth=depth)
    done = scan(runner, diff="base")
    assert (done.code, done.outputs["findings"]) == (1, "1"), done.log
    assert "new.py" in done.log
    assert scan(runner).outputs["findings"] == "2"


def test_diff_base_of_a_head_that_was_checked_out(project: Project, runner: Runner) -> None:
    project.on_main({"old.py": EVIL})
    project.pull_request({"lib.py": SAFE + "\n# more\n"})
    project.check_out(runner, project.head, 0)
    project.event(runner, "pull_request_target")
    done = scan(runner, diff="base")
    assert (done.code, done.outputs["findings"]) == (0, "0"), done.log


def test_diff_base_of_a_queue_and_of_a_push(project: Project, runner: Runner) -> None:
    project.on_main({"old.py": EVIL})
    project.pull_request({"new.py": EVIL})
    project.check_out(runner, project.merge, 0)
    runner.event("merge_group", {"merge_group": {"base_sha": project.base,
                                                 "head_sha": project.merge}})  # fmt: skip
    assert scan(runner, diff="base").outputs["findings"] == "1"
    runner.event("push", {})
    assert scan(runner, diff="base").outputs["findings"] == "2"  # everything
    assert scan(runner, diff=project.base).outputs["findings"] == "1"


def test_a_merge_of_the_pull_requests_own_is_no_base(project: Project, runner: Runner) -> None:
    """A head that is a merge: its first parent is the attacker's, with loose settings."""
    project.git("checkout", "-q", "-b", "change")
    project.write({"app.py": EVIL})
    project.head = project.commit("change")
    project.git("checkout", "-q", "-b", "evil", "main")
    project.write({"tavo.toml": LOOSE})
    project.commit("loose")
    project.git("merge", "-q", "--no-ff", "-m", "looks like GitHub's", "change")
    forged = project.git("rev-parse", "HEAD")
    project.check_out(runner, forged, 0)
    project.event(runner, "pull_request_target")
    done = scan(runner)
    assert (done.code, done.outputs["findings"]) == (1, "1"), done.log
    control = scan(
        without(
            runner,
            ('if name == "pull_request" and checked_out == environment.get("GITHUB_SHA"):',
             "if True:"),
        )
    )  # fmt: skip
    assert control.outputs["findings"] == "0"


@pytest.mark.parametrize("name", [".tavoignore", "sub/.gitignore"])
def test_new_ignore_patterns_are_named(project: Project, runner: Runner, name: str) -> None:
    pull(project, runner, {"app.py": EVIL, name: "*\n", "tavo.toml": LOOSE})
    done = scan(runner)
    assert f"this pull request changes what is looked at: {name}" in done.said("warning")


def test_hooks_filters_and_links_of_a_repository_do_nothing(
    project: Project, runner: Runner
) -> None:
    (project.folder / "rules.yaml").symlink_to("/etc/passwd")
    project.on_main({".gitattributes": "* filter=evil\n", "a.json": "{}"})
    pull(project, runner, {"app.py": EVIL})
    for key in ("filter.evil.smudge", "filter.evil.clean", "core.fsmonitor", "diff.external"):
        project.git("config", key, "touch pwned; cat", folder=runner.workspace)
    done = scan(runner, plugin_config="a.json", static_plugins="gone")
    assert done.code not in (0, 1)
    assert not (runner.workspace / "pwned").exists()
    done = scan(runner, rules="rules.yaml")
    assert done.code == 2
    assert "rules.yaml: a link or submodule" in done.said("error")


@pytest.mark.parametrize(
    "event",
    ["{}", "[]", "not json", '{"pull_request": {"base": {"sha": "--x"}, "head": {"sha": "y"}}}'],
)
def test_an_event_that_names_no_commits(project: Project, runner: Runner, event: str) -> None:
    pull(project, runner, {"app.py": EVIL, "tavo.toml": LOOSE})
    Path(runner.variables["GITHUB_EVENT_PATH"]).write_text(event)
    done: Step = scan(runner)
    assert done.code == 3
    assert "the event's file" in done.said("error"), done.log
