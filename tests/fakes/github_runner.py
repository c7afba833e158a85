"""What GitHub's runner does with a composite action: expressions, steps, commands, files.

Only what action.yml uses, as GitHub documents it. An expression that this does not know stops the
test. Commands in the log are obeyed as the runner obeys them, also where an attacker wrote them:
`::name …::` at the start of a line after blanks, `##[name …]` anywhere in one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
_UNPACKED = ROOT / ".build" / "unpacked-in-tests"
"""Unpacking anew for each job would be half of the time of these tests."""

_EXPRESSION = re.compile(r"\$\{\{\s*(.*?)\s*\}\}")
_COMMAND = re.compile(r"\s*::([a-z-]+)(?: (.*?))?::(.*)\Z")
_OLD_COMMAND = re.compile(r"##\[([a-z-]+)(?: ([^\]]*))?\](.*)\Z")
_CONDITION = re.compile(
    r"!cancelled\(\) && inputs\.([a-z-]+) == '([a-z]+)' && steps\.scan\.outputs\.([a-z-]+) != ''\Z"
)


class Step:
    """What one run of the action left behind."""

    def __init__(self) -> None:
        self.code = 0
        self.log = ""
        self.outputs: dict[str, str] = {}
        self.commands: list[tuple[str, str, str]] = []
        self.uploads: list[dict[str, str]] = []
        self.summary = ""

    def said(self, *kinds: str) -> str:
        """Return the annotations of these kinds, unescaped, one a line."""
        return "\n".join(
            text.replace("%0D", "\r").replace("%0A", "\n").replace("%25", "%")
            for name, _, text in self.commands
            if name in (kinds or ("error", "warning", "notice"))
        )


class Runner:
    """A job on a fresh machine: a workspace, a temporary folder, and an event."""

    def __init__(self, folder: Path, *, action: Path = ROOT) -> None:
        self.folder = folder
        self.action = action
        self.workspace = folder / "workspace"
        self.temporary = folder / "temp"
        self.home = folder / "home"
        for path in (self.workspace, self.temporary, self.home):
            path.mkdir(parents=True, exist_ok=True)
        self.variables = {
            "HOME": str(self.home), "PATH": os.environ["PATH"], "LANG": "C.UTF-8", "CI": "true",
            "GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(self.workspace),
            "RUNNER_TEMP": str(self.temporary), "GITHUB_EVENT_NAME": "push",
            "RUNNER_OS": "Linux", "TAVO_CACHE": str(_UNPACKED),
        }  # fmt: skip

    def event(self, name: str, value: dict[str, Any], **variables: str) -> None:
        """Make this the event that started the job."""
        path = self.folder / "event.json"
        path.write_text(json.dumps(value))
        self.variables |= {
            "GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": str(path), **variables,
        }  # fmt: skip

    def run(self, **given: str) -> Step:
        """Run the action with these inputs, written with `_` for `-`."""
        document = yaml.safe_load((self.action / "action.yml").read_text())
        inputs = {name.replace("_", "-"): value for name, value in given.items()}
        unknown = set(inputs) - set(document["inputs"])
        assert not unknown, f"no such input: {unknown}"
        for name, declared in document["inputs"].items():
            assert name in inputs or not declared["required"], f"{name} is required"
            inputs.setdefault(name, declared.get("default", ""))
        done = Step()
        context = {"inputs": inputs, "outputs": done.outputs}
        for step in document["runs"]["steps"]:
            if not _holds(step.get("if"), context, failed=done.code != 0):
                continue
            if "uses" in step:
                done.uploads.append({k: _filled(v, context) for k, v in step["with"].items()})
            else:
                self._shell(step, context, done)
        # The outputs of the action itself, as a later step of the job reads them.
        for name, declared in document["outputs"].items():
            inner = re.fullmatch(r"\$\{\{ steps\.scan\.outputs\.([a-z-]+) \}\}", declared["value"])
            assert inner is not None
            assert inner[1] == name
        return done

    def _shell(self, step: dict[str, Any], context: dict[str, Any], done: Step) -> None:
        assert step["shell"] == "bash"
        script = self.temporary / "step.sh"
        script.write_text(_filled(step["run"], context))
        files = {
            name: self.folder / name.lower() for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")
        }
        for path in files.values():
            path.touch()
        environment = {
            **self.variables, "GITHUB_ACTION_PATH": str(self.action),
            **{name: str(path) for name, path in files.items()},
            **{name: _filled(value, context) for name, value in step.get("env", {}).items()},
        }  # fmt: skip
        ended = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", str(script)],
            cwd=self.workspace, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            check=False, stdin=subprocess.DEVNULL, timeout=300,
        )  # fmt: skip
        script.unlink()
        done.code = done.code or ended.returncode
        done.log += ended.stdout.decode("utf-8", "replace")
        _obey(done)
        done.outputs.update(_outputs(files["GITHUB_OUTPUT"].read_text(errors="surrogateescape")))
        done.summary = files["GITHUB_STEP_SUMMARY"].read_text()
        for path in files.values():
            path.unlink()


def _filled(text: str, context: dict[str, Any]) -> str:
    """Put values into a text as GitHub does: whatever they are, before anything reads the text."""

    def value(found: re.Match[str]) -> str:
        kind, _, name = found[1].partition(".")
        if kind == "inputs":
            return str(context["inputs"][name])
        assert found[1].startswith("steps.scan.outputs."), f"not known here: {found[0]}"
        return str(context["outputs"].get(name.removeprefix("scan.outputs."), ""))

    return _EXPRESSION.sub(value, text)


def _holds(condition: str | None, context: dict[str, Any], *, failed: bool) -> bool:
    if condition is None:
        return not failed
    found = _EXPRESSION.fullmatch(condition)
    assert found is not None
    parts = _CONDITION.match(found[1])
    assert parts is not None, f"not known here: {condition}"
    given = context["inputs"][parts[1]] == parts[2]
    return bool(given and context["outputs"].get(parts[3], ""))


def _obey(done: Step) -> None:
    token = ""
    for line in re.split(r"\r\n|\r|\n", done.log):
        if token:
            if line.strip() == f"::{token}::":
                token = ""
            continue
        found = _COMMAND.match(line)
        if found is None:
            at = line.find("##[")
            found = _OLD_COMMAND.match(line[at:]) if at >= 0 else None
        if found is None:
            continue
        name, properties, text = found[1], found[2] or "", found[3]
        if name == "stop-commands":
            token = text
        elif name == "set-output":
            key = re.search(r"name=([\w-]+)", properties)
            if key is not None:
                done.outputs[key[1]] = text
        else:
            done.commands.append((name, properties, text))


def _outputs(text: str) -> dict[str, str]:
    """Read GITHUB_OUTPUT as the runner does: `name=value`, or lines up to a delimiter."""
    found: dict[str, str] = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, heredoc, delimiter = line.partition("<<")
        if heredoc and "=" not in name:
            value: list[str] = []
            for inner in lines:
                if inner == delimiter:
                    break
                value.append(inner)
            else:
                raise AssertionError(f"no end of {name}")
            found[name] = "\n".join(value)
        elif line:
            name, _, plain = line.partition("=")
            found[name] = plain
    return found
