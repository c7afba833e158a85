"""Rego by the library of regopy, in a process of its own.

Rules this module keeps:
- the process has no variable, no file that it could open and no more memory and time than is given
  to it: a policy is foreign text for native code;
- the library is never loaded into our own process, where it crashes beside other native modules;
- what a policy prints is not an answer; an error is one, never a value that is missing;
- one document is one evaluation: the library's sets take quadratic time.

Known of version 1.5: a time with Z cannot be parsed and says so; a call of what is not there, or a
recursion, comes as text where a value is expected; a text with escaped characters is longer than it
is; a variable that nothing binds takes its rule away without a word, see `unbound`.

Units: seconds, bytes.
"""

from __future__ import annotations

import importlib.util
import json
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tavo.errors import ConfigError
from tavo.printable import printable
from tavo.programs import run_program
from tavo.results.policy.answers import Answers, Values, query_of
from tavo.results.policy.files import PolicyFiles
from tavo.results.policy.unbound import check_bound

__all__ = ["DOCUMENT_S", "by_regopy", "has_regopy"]

DOCUMENT_S = 5.0
"""Processor time that one document may take."""

_SECONDS, _EACH_S = 60.0, 0.02
_MEMORY = 1 << 30
_MOST_ANSWERS = 256 << 20
_LONGEST = 600
_PASSED = ("SYSTEMROOT",)  # without it Windows starts no Python

_EVERYWHERE = frozenset({"print", "trace"})  # known to its compiler, not to its list

# What the child runs. It imports nothing of ours. One line for each document, the first one about
# the policy itself: "+" with the answer, or "-" with what is wrong.
_CHILD = r"""
import ctypes, json, os, re, signal, sys
answers = os.fdopen(os.dup(1), "wb")
nowhere = os.open(os.devnull, os.O_WRONLY)
os.dup2(nowhere, 1); os.dup2(nowhere, 2)
asked = json.loads(sys.stdin.buffer.readline())
lib = ctypes.CDLL(asked["library"])
try:
    import resource
    def limit(what, most):
        hard = resource.getrlimit(what)[1]
        if hard == resource.RLIM_INFINITY or most < hard:
            resource.setrlimit(what, (most, most))
    if sys.platform == "linux":  # elsewhere the system does not keep such a limit
        with open("/proc/self/statm") as sizes:
            here = int(sizes.read().split()[0]) * resource.getpagesize()
        limit(resource.RLIMIT_AS, here + asked["memory"])
    limit(resource.RLIMIT_CORE, 0)
    limit(resource.RLIMIT_FSIZE, 0)
    limit(resource.RLIMIT_NOFILE, 0)
except (ImportError, ValueError, OSError):
    pass
timer = getattr(signal, "setitimer", None)
P, I, C, B = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_char_p, ctypes.c_bool
for name, result, words in (
    ("New", P, []), ("AddModule", I, [P, C, C]), ("AddDataJSON", I, [P, C]),
    ("NewInput", P, []), ("FreeInput", None, [P]), ("SetInput", I, [P, P]),
    ("InputString", I, [P, C]), ("InputInt", I, [P, ctypes.c_int64]),
    ("InputFloat", I, [P, ctypes.c_double]), ("InputBoolean", I, [P, B]), ("InputNull", I, [P]),
    ("InputObjectItem", I, [P]), ("InputObject", I, [P, I]), ("InputArray", I, [P, I]),
    ("SetQuery", I, [P, C]), ("Build", P, [P]), ("BundleOk", B, [P]),
    ("BundleQuery", P, [P, P]), ("OutputOk", B, [P]), ("OutputNode", P, [P]),
    ("OutputJSONSize", I, [P]), ("OutputJSON", I, [P, P, I]), ("FreeOutput", None, [P]),
    ("NodeType", I, [P]), ("NodeSize", I, [P]), ("NodeGet", P, [P, I]), ("NodeValueSize", I, [P]),
    ("NodeValue", I, [P, P, I]), ("ErrorSize", I, [P]), ("Error", I, [P, P, I]),
    ("SetLogLevel", I, [P, I]), ("SetStrictBuiltInErrors", None, [P, B]),
    ("IsAvailableBuiltIn", B, [P, C]),
):
    function = getattr(lib, "rego" + name)
    function.restype, function.argtypes = result, words
def text(size, get, of):
    room = size(of)
    buffer = ctypes.create_string_buffer(room)
    get(of, buffer, room)
    return buffer.value.decode("utf-8", "replace")
def told(said):
    found = []
    for one in re.finditer(r"\(errormsg (\d+):", said):
        raw = said[one.end():].encode()[:int(one[1])].decode("utf-8", "replace")
        place = re.match(r"\)?[\s\S]{0,40}?errorast \|(\d+)", said[one.end() + len(raw):])
        found.append(raw)
    return "; ".join(dict.fromkeys(found)) or said[:300]
def messages(node, depth=0):
    kind = lib.regoNodeType(node)
    if kind in (1801, 1010):
        yield text(lib.regoNodeValueSize, lib.regoNodeValue, node)
    if depth < 6 and kind != 1999:
        for at in range(min(lib.regoNodeSize(node), 50)):
            yield from messages(lib.regoNodeGet(node, at), depth + 1)
escaped = {}
def put(value):
    # it keeps texts as they stand in JSON, between the quotes; parsing JSON is twice as slow
    kind = type(value)
    if kind is str:
        raw = escaped.get(value)
        if raw is None:
            raw = json.encoder.encode_basestring(value)[1:-1].encode("utf-8", "replace")
            if len(escaped) < 5000 and len(value) < 100:
                escaped[value] = raw
        lib.regoInputString(made, raw)
    elif kind is dict:
        for key, one in value.items():
            put(key)
            put(one)
            lib.regoInputObjectItem(made)
        lib.regoInputObject(made, len(value))
    elif kind is list:
        for one in value:
            put(one)
        lib.regoInputArray(made, len(value))
    elif kind is bool:
        lib.regoInputBoolean(made, value)
    elif kind is int:
        lib.regoInputInt(made, value)
    elif kind is float:
        lib.regoInputFloat(made, value)
    else:
        lib.regoInputNull(made)
def say(sign, what):
    answers.write(sign + what.encode("utf-8", "replace") + b"\n")
    answers.flush()
def refuse():
    say(b"-", told(text(lib.regoErrorSize, lib.regoError, rego)))
    sys.exit(0)
rego = lib.regoNew()
lib.regoSetLogLevel(rego, 0)
lib.regoSetStrictBuiltInErrors(rego, True)
unknown = [name for name in asked["calls"] if not lib.regoIsAvailableBuiltIn(rego, name.encode())]
if unknown:
    say(b"-", "calls " + ", ".join(unknown) + ", which it does not have")
    sys.exit(0)
if timer:
    timer(signal.ITIMER_PROF, asked["seconds"])
for name, module in asked["modules"]:
    if lib.regoAddModule(rego, name.encode(), module.encode()):
        refuse()
if lib.regoAddDataJSON(rego, asked["data"].encode()):
    refuse()
if lib.regoSetQuery(rego, asked["query"].encode()):
    refuse()
bundle = lib.regoBuild(rego)
if not bundle or not lib.regoBundleOk(bundle):
    refuse()
say(b"+", "")
for line in sys.stdin.buffer:
    if timer:
        timer(signal.ITIMER_PROF, asked["seconds"])
    made = lib.regoNewInput()
    put(json.loads(line))
    if lib.regoSetInput(rego, made):
        refuse()
    lib.regoFreeInput(made)
    output = lib.regoBundleQuery(rego, bundle)
    if not output:
        refuse()
    said = text(lib.regoOutputJSONSize, lib.regoOutputJSON, output)
    if not lib.regoOutputOk(output):
        say(b"-", ": ".join(messages(lib.regoOutputNode(output))) or "an error without a text")
        sys.exit(0)
    if not said.startswith("{"):
        say(b"-", told(said))
        sys.exit(0)
    say(b"+", said.replace("\n", " "))
    lib.regoFreeOutput(output)
os._exit(0)
"""


def has_regopy() -> bool:
    """Tell whether the library is here, without loading it."""
    return importlib.util.find_spec("regopy") is not None


def by_regopy(files: PolicyFiles, documents: Sequence[bytes]) -> Answers:
    """Evaluate a policy on documents. Raises ConfigError for one that cannot be used at all."""
    name = f"regopy {_version()}"
    own = {function for module in files.modules for function in module.functions}
    calls = {call for module in files.modules for call, _ in module.calls} - _EVERYWHERE
    asked = {
        "library": _library(),
        "modules": [(module.name, module.text) for module in files.modules],
        "data": json.dumps(files.data, ensure_ascii=False),
        "query": f"x := {query_of(files)}",
        "calls": sorted(calls - own),
        "memory": _MEMORY,
        "seconds": DOCUMENT_S,
    }
    given = b"\n".join([json.dumps(asked).encode(), *documents]) + b"\n"
    try:
        answer = run_program(
            [sys.executable, "-I", "-S", "-c", _CHILD], extra={}, passed=_PASSED,
            seconds=_SECONDS + len(documents) * _EACH_S, most=_MOST_ANSWERS, given=given,
        )  # fmt: skip
    except OSError as error:
        raise ConfigError(f"--policy: Python does not start: {error.strerror}") from error
    lines = answer.out.split(b"\n")
    whole = lines[:-1]  # the last one is empty, or was cut
    if not whole or whole[0].startswith(b"-"):
        reason = whole[0][1:].decode() if whole else _ended(answer.code, answer.stopped)
        raise ConfigError(
            f"--policy {', '.join(files.names)}: {name}: {printable(reason)[:_LONGEST]}",
            hint=_hint(reason),
        )
    check_bound(files.modules)  # of what is no Rego at all, the evaluator says more
    values: list[Values] = []
    for line in whole[1:]:
        if line.startswith(b"-"):
            reason = line[1:].decode("utf-8", "replace")
            if reason.startswith("Unable to parse time"):
                reason += "; regopy wants +00:00 instead of Z, the program opa takes both"
            return Answers(evaluator=name, values=values, problem=reason, at=len(values))
        try:
            values.append(_values(line[1:]))
        except (ValueError, KeyError, TypeError, AttributeError):
            reason = f"its answer cannot be read: {line[1:].decode('utf-8', 'replace')[:200]}"
            return Answers(evaluator=name, values=values, problem=reason, at=len(values))
    if len(values) < len(documents):
        reason = _ended(answer.code, answer.stopped)
        return Answers(evaluator=name, values=values, problem=reason, at=len(values))
    return Answers(evaluator=name, values=values)


def _values(line: bytes) -> Values:
    found = json.loads(line)["bindings"]["x"]
    return {str(name): list(values) for name, values in found.items()}


def _hint(reason: str) -> str:
    if "does not have" in reason:
        return "Put the program opa on PATH, which has all of them, or write it without."
    return "`opa check` names the place."


def _ended(code: int, stopped: str) -> str:
    if stopped:
        return stopped.replace("it ", "the policy ", 1)
    import signal

    if code == -getattr(signal, "SIGPROF", 0):
        return f"the policy took longer than {DOCUMENT_S:g} s on one document"
    how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return f"the evaluator {how}; it may use {_MEMORY >> 20} MB"


def _library() -> str:
    """Return where the native library lies, without loading it: in our process it crashes others.

    Inside the single file this hashes it. Raises ConfigError.
    """
    spec = importlib.util.find_spec("regopy")
    name = {"win32": "rego_shared.dll", "darwin": "librego_shared.dylib"}.get(
        sys.platform, "librego_shared.so"
    )
    read = getattr(None if spec is None else spec.loader, "get_data", None)
    if spec is None or spec.origin is None or read is None:
        raise ConfigError("--policy: regopy is not installed as a package of files")
    path = str(Path(spec.origin).with_name(name))
    try:
        read(path)
    except OSError as error:
        raise ConfigError(
            f"--policy: regopy has no library for this system ({path}: {error.strerror})",
            hint="Put the program opa on PATH.",
        ) from error
    return path


def _version() -> str:
    try:
        return version("regopy")
    except PackageNotFoundError:
        return ""
