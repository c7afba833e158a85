"""Rego by the program opa, where the user has it on PATH.

Rules this module keeps:
- what asks the network or reads the environment is taken out of its capabilities, and it gets no
  variable of ours;
- the policy is evaluated once for each document, in one process, bounded in time and output;
- an error of a built-in function is an error, never a value that is missing.

Units: seconds, bytes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tavo.errors import ConfigError, InputError
from tavo.printable import printable
from tavo.programs import Answer, run_program
from tavo.results.policy.answers import Answers, query_of
from tavo.results.policy.files import PolicyFiles

__all__ = ["by_opa"]

_SECONDS, _EACH_S = 60.0, 0.02
_MOST_ANSWERS = 256 << 20
_PASSED = ("SYSTEMROOT",)
_VARIABLES = {"GOMEMLIMIT": "1GiB", "OPA_TELEMETRY_SERVICE_URL": "", "HOME": "/nonexistent"}
_TAKEN_OUT = frozenset({"http.send", "net.lookup_ip_addr", "opa.runtime", "rego.parse_module"})


def by_opa(program: Path, files: PolicyFiles, documents: Sequence[bytes]) -> Answers:
    """Evaluate a policy on documents. Raises ConfigError for one that cannot be used at all."""
    with TemporaryDirectory(prefix="tavo-policy-") as folder:
        place = Path(folder)
        version = _ask(program, ["version"], place).out.decode("utf-8", "replace")
        name = f"opa {version.partition('Version: ')[2].split(chr(10))[0].strip()[:20]}".strip()
        capabilities = place / "capabilities.json"
        capabilities.write_bytes(_capabilities(program, place))
        words = [
            "eval", "--format", "json", "--v1-compatible", "--strict-builtin-errors",
            "--stdin-input", "--capabilities", str(capabilities),
        ]  # fmt: skip
        for number, module in enumerate(files.modules):
            file = place / f"{number}" / Path(module.name).name
            file.parent.mkdir()
            file.write_text(module.text, encoding="utf-8")
            words += ["--data", str(file)]
        data = place / "data.json"
        data.write_text(json.dumps(files.data), encoding="utf-8")
        words += ["--data", str(data)]
        query = f"[r | d := input.documents[_]; r := {query_of(files, given='d')}]"
        given = b'{"documents":[' + b",".join(documents) + b"]}"
        answer = _ask(program, [*words, query], place, given=given, documents=len(documents))
        if answer.stopped:
            problem = answer.stopped.replace("it ", "the policy ", 1)
            return Answers(evaluator=name, problem=problem)
        return _read(name, files, answer, folder)


def _read(name: str, files: PolicyFiles, answer: Answer, folder: str) -> Answers:
    try:
        said: Any = json.loads(answer.out)
        if not isinstance(said, dict):
            raise ValueError("no object")
    except (ValueError, RecursionError):
        said = {"errors": [{"message": answer.errors.strip() or f"it ended with {answer.code}"}]}
    if errors := said.get("errors"):
        texts = [_told(one, folder) for one in errors[:3]]
        problem = printable("; ".join(texts))[:600]
        if all(str(one.get("code", "")).startswith("eval_") for one in errors):
            return Answers(evaluator=name, problem=problem)
        raise ConfigError(
            f"--policy {', '.join(files.names)}: {name}: {problem}",
            hint="`opa check` names the place.",
        )
    values = said["result"][0]["expressions"][0]["value"]
    return Answers(evaluator=name, values=values)


def _told(error: dict[str, Any], folder: str) -> str:
    place = error.get("location") or {}
    row = (
        f"{Path(str(place.get('file', ''))).name} line {place['row']}: " if place.get("row") else ""
    )
    return row + str(error.get("message", error)).replace(folder, "").strip()


def _capabilities(program: Path, place: Path) -> bytes:
    answer = _ask(program, ["capabilities", "--current"], place)
    try:
        value = json.loads(answer.out)
        value["builtins"] = [one for one in value["builtins"] if one["name"] not in _TAKEN_OUT]
    except (ValueError, KeyError, TypeError):
        raise ConfigError(
            f"{program}: does not say what it can do, so what reaches the network cannot be taken"
            " out",
            hint="Use opa 0.42 or newer, or take it off PATH for regopy to evaluate.",
        ) from None
    value["allow_net"] = []
    return json.dumps(value).encode()


def _ask(
    program: Path, words: Sequence[str], place: Path, *, given: bytes = b"", documents: int = 0
) -> Answer:
    try:
        return run_program(
            [str(program), *words], extra=_VARIABLES, passed=_PASSED, folder=place, given=given,
            seconds=_SECONDS + documents * _EACH_S, most=_MOST_ANSWERS,
        )  # fmt: skip
    except OSError as error:
        raise InputError(f"{program}: does not start: {error.strerror}") from error
