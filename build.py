#!/usr/bin/env python3
"""Bootstrap, build, run and check tavo. Standard library only, any CPython from 3.11.

    python3 build.py run ARGS...      build dist/tavo.pyz when the sources changed, then run it
    python3 build.py test ARGS...     run the tests (arguments go to pytest)
        --slow                        and those that take minutes each
    python3 build.py check [--slow]   format, lint, types, import contracts, tests, docs
    python3 build.py pyz              build dist/tavo.pyz for every system and interpreter
        --target linux-x86_64         only these systems, or one interpreter: linux-x86_64-cp311
        --full                        with the optional engines, as dist/tavo-full.pyz
        --plain-shiv                  an ordinary shiv file for here, as dist/tavo-shiv.pyz
    python3 build.py plugins [ID...]  build dist/repository with the plugins' wheels for all systems
        --heavy                       with those of the heavy plugins, too
        --here                        for this system only
        --sizes                       build nothing; write down how long the locked wheels are
    python3 build.py lock             write the hashed locks; what is pinned stays pinned
        --upgrade                     resolve everything again

run and test build for this machine only. SOURCE_DATE_EPOCH sets the time of the build; with the
same commit, keys and time the file is the same, byte for byte.

The tools live in a virtual environment below .venv/, made once from requirements-dev.lock with
every hash checked. Nothing else of this machine is changed.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NoReturn

ROOT = Path(__file__).resolve().parent
TAG = f"cp{sys.version_info[0]}{sys.version_info[1]}"
WORK = ROOT / ".build"
# In a clone of pre-commit .venv is a file that leads to its own environment.
ENVIRONMENT = (WORK / "venv" if (ROOT / ".venv").is_file() else ROOT / ".venv") / TAG
DIST = ROOT / "dist"
PYZ = DIST / "tavo.pyz"
REPOSITORY = DIST / "repository"
STAMP = DIST / ".built"
RUNTIME_LOCK = ROOT / "requirements.lock"
FULL_LOCK = ROOT / "requirements-full.lock"
DEV_LOCK = ROOT / "requirements-dev.lock"
PLUGINS = ROOT / "examples" / "plugins"
DEMO = (ROOT / "examples" / "shop-agent", ROOT / "examples" / "flawed-agent")
WHEELS = WORK / "wheels"
PACKAGES = ("tavo", "marketplace_db", "signing")
FRESH_S = 2 * 24 * 3600
_LINT_IMPORTS = (
    "import sys; from importlinter.cli import lint_imports_command as lint;"
    " sys.argv[:] = ['lint-imports']; lint()"
)
USAGE_EXIT, FAILED_EXIT, INTERRUPTED_EXIT = 2, 3, 130


def main(arguments: Sequence[str]) -> int:
    """Run one of the commands of the module text; return the exit code."""
    commands = {
        "run": run,
        "test": test,
        "check": check,
        "pyz": pyz,
        "plugins": plugins,
        "lock": lock,
    }
    if not arguments or arguments[0] in {"-h", "--help"}:
        print(__doc__.strip())
        return 0 if arguments else USAGE_EXIT
    command = commands.get(arguments[0])
    if command is None:
        stop(f"{arguments[0]!r} is not a command; use one of {', '.join(commands)}.", USAGE_EXIT)
    if sys.implementation.name != "cpython" or sys.version_info < (3, 11):
        found = f"{sys.implementation.name} {sys.version.split()[0]}"
        stop(f"tavo needs CPython 3.11 or newer; this is {found} at {sys.executable}.", USAGE_EXIT)
    return command(arguments[1:])


def run(arguments: Sequence[str]) -> int:
    """Build the single file if it is missing or older than the sources, and run it."""
    if not _is_current([f"{here()}-{TAG}"]):
        build_file(PYZ, [f"{here()}-{TAG}"])
    command = [sys.executable, str(PYZ), *arguments]
    if os.name == "posix":
        os.execv(sys.executable, command)  # the tool's own exit code and signals, no middle man
    return subprocess.run(command, check=False).returncode


def test(arguments: Sequence[str]) -> int:
    """Run the tests against a fresh single file for every interpreter that is here."""
    targets = [f"{here()}-cp{minor}" for minor in _minors_here()]
    if not _is_current(targets):
        build_file(PYZ, targets)
    slow, words = "--slow" in arguments, [a for a in arguments if a != "--slow"]
    chosen = slow or any(a.startswith("-m") for a in words)
    selection = [] if chosen else ["-m", "not slow"]
    workers = (os.cpu_count() or 1) + 1  # tests wait for servers and processes about half the time
    spread = [] if words else ["-n", str(workers), "--dist", "loadfile"]
    if slow:  # the order of tests/conftest.py; what is skipped is named, with its reason
        spread += ["--no-loadscope-reorder", "-rs", "--durations=25"]
    return _tool("-m", "pytest", *selection, *spread, *words)


def check(arguments: Sequence[str]) -> int:
    """Run every check that a change must pass; return 1 if any of them failed."""
    if unknown := [a for a in arguments if a != "--slow"]:
        stop(f"check does not know {unknown[0]!r}; it takes --slow or nothing.", USAGE_EXIT)
    steps: list[tuple[str, list[str]]] = [
        ("format", ["-m", "ruff", "format", "--check", "."]),
        ("lint", ["-m", "ruff", "check", "."]),
        ("types", ["-m", "mypy"]),
        ("import contracts", ["-c", _LINT_IMPORTS]),
    ]
    failed = []
    for name, command in steps:
        print(f"== {name}", flush=True)
        if _tool(*command) != 0:
            failed.append(name)
    print("== tests and docs", flush=True)
    if "--slow" not in arguments:  # new examples come with `test` and with --slow
        os.environ["SAME_EXAMPLES"] = "1"
    if test(arguments) != 0:
        failed.append("tests")
    print(f"== {'failed: ' + ', '.join(failed) if failed else 'all checks passed'}", flush=True)
    return 1 if failed else 0


def lock(arguments: Sequence[str]) -> int:
    """Write the locks with hashes for all systems; what is pinned stays, but with --upgrade."""
    if unknown := [a for a in arguments if a != "--upgrade"]:
        stop(f"lock does not know {unknown[0]!r}; it takes --upgrade or nothing.", USAGE_EXIT)
    base = ["-m", "uv", "pip", "compile", "--universal", "--generate-hashes", "--no-header", "-q"]
    base += ["--python-version", "3.11", "pyproject.toml", *arguments]
    _must(*base, "-o", str(RUNTIME_LOCK))
    base += ["-c", RUNTIME_LOCK.name]
    _must(*base, "--all-extras", "-o", str(FULL_LOCK))
    _must(*base, "--group", "dev", "-o", str(DEV_LOCK))
    return 0


def pyz(arguments: Sequence[str]) -> int:
    """Build dist/repository, and a single file with that repository inside."""
    words, targets, full, plain = list(arguments), [], False, False
    while words:
        word = words.pop(0)
        name, _, value = word.partition("=")
        if name == "--target" and (value or words):
            targets += (value or words.pop(0)).split(",")
        elif word == "--full":
            full = True
        elif word == "--plain-shiv":
            plain = True
        else:
            stop(f"pyz does not know {word!r}; see `python3 build.py --help`.", USAGE_EXIT)
    if plain:
        if targets or full:
            stop("--plain-shiv is for this machine only and takes no other option.", USAGE_EXIT)
        build_shiv(DIST / "tavo-shiv.pyz")
    else:
        probe = "import sys; from tavo.operator.pack.targets import PackError, parse_targets\n"
        probe += "try: parse_targets(sys.argv[1:])\n"
        probe += "except PackError as error: sys.exit(f'build: {error}.')"
        if _tool("-c", probe, *targets) != 0:
            return USAGE_EXIT
        build_file(DIST / "tavo-full.pyz" if full else PYZ, targets, full=full)
    return 0


def plugins(arguments: Sequence[str]) -> int:
    """Build dist/repository with more wheels than an ordinary build: with ids, only of these."""
    options = {"--heavy", "--here", "--sizes"}
    for word in arguments:
        if word.startswith("-") and word not in options:
            stop(f"plugins does not know {word!r}; see `python3 build.py --help`.", USAGE_EXIT)
    ids = [word for word in arguments if not word.startswith("-")]
    if "--sizes" in arguments:
        _fetch_wheels("--sizes", *ids)
        return 0
    more = [] if "--here" in arguments else ["--all"]
    more += ["--heavy"] if "--heavy" in arguments else []
    embed(WORK / "embedded-plugins", options=[*more, *ids])
    if PYZ.exists():
        _publish(PYZ)
    return 0


def build_file(out: Path, targets: Sequence[str], *, full: bool = False) -> None:
    """Build the single file for these targets, or for all of them."""
    sources = _sources_digest()
    if not (full and _is_current([])):  # the full file comes beside the ordinary one
        say("building the signed repository")
        embed(WORK / "embedded")
    (WORK / "embedded" / "__init__.py").write_text(
        '"""The repository that the build puts into the file."""\n'
    )
    say(f"packing {out.relative_to(ROOT)} for {', '.join(targets) or 'every system'}")
    options = [part for target in targets for part in ("--target", target)]
    _must(
        "-m", "tavo.operator.pack", "--root", str(ROOT), "--work", str(WORK), "--embedded",
        str(WORK / "embedded"), "--out", str(out), "--lock",
        str(FULL_LOCK if full else RUNTIME_LOCK), *options, *(["--full"] if full else []),
    )  # fmt: skip
    _publish(out, *(["--full"] if full else []))
    if out == PYZ:
        STAMP.write_text("\n".join([sources, *targets]))


def _publish(out: Path, *options: str) -> None:
    """Put a built file into the repository, as a release of tavo."""
    _must(
        "-m", "tavo.operator.publish_file", "--keys", str(ROOT / "keys"), "--repository",
        str(REPOSITORY), "--file", str(out), "--version", _version(), *options,
    )  # fmt: skip


def build_shiv(out: Path) -> None:
    """Build an ordinary shiv file for this interpreter: the yardstick of ours."""
    site = WORK / f"site-{TAG}-{_digest(RUNTIME_LOCK)[:16]}"
    if not (site / ".complete").exists():
        shutil.rmtree(site, ignore_errors=True)
        _pip("install", python(), RUNTIME_LOCK, "--target", str(site), "--no-compile")
        (site / ".complete").touch()
    tree = WORK / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(site, tree, ignore=_not_packed)
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tree / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    embed(tree / "tavo" / "embedded", WORK / "shiv-repository")  # that of the other file stays
    say(f"packing {out.relative_to(ROOT)}")
    out.parent.mkdir(exist_ok=True)
    partial = out.with_suffix(".partial")
    _must(
        "-m", "shiv.cli", "--site-packages", str(tree), "-e", "tavo.cli:main", "-o", str(partial),
        "-p", f"/usr/bin/env python{sys.version_info[0]}.{sys.version_info[1]}",
        "--compile-pyc", "--reproducible",
    )  # fmt: skip
    partial.replace(out)


def embed(folder: Path, repository: Path = REPOSITORY, options: Sequence[str] = ()) -> None:
    """Release the official plugins into a new repository, and put that into a folder."""
    _fetch_wheels(*options)
    folders = {
        "plugins": PLUGINS, "wheels": WHEELS, "keys": ROOT / "keys",
        "repository": repository, "embedded": folder,
    }  # fmt: skip
    named = [part for name, path in folders.items() for part in (f"--{name}", str(path))]
    _must("-m", "tavo.operator.embed", *named, *options)


def _fetch_wheels(*words: str) -> None:
    """Fetch what the plugins lock: for this system, or for all with `--all`."""
    folders = ("--plugins", str(PLUGINS), "--wheels", str(WHEELS))
    _must("-m", "tavo.operator.plugin_wheels", *folders, *words)


def _not_packed(folder: str, names: list[str]) -> set[str]:
    """Name what stays out of the single file: tools and test data that nothing imports."""
    out = {n for n in names if n in {"bin", ".complete", "__pycache__", "test_data"}}
    if Path(folder).parent == WORK:
        out |= {
            n for n in names if re.match(r"(pip|setuptools|_distutils_hack|pkg_resources)\b", n)
        }
        out |= {n for n in names if n.endswith(".pth")}
    return out


def python() -> Path:
    """Return the interpreter of the tools' environment; make the environment if needed."""
    executable = ENVIRONMENT / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = ENVIRONMENT / ".lock-digest"
    wanted = _digest(DEV_LOCK)
    if stamp.exists() and stamp.read_text() == wanted and executable.exists():
        return executable
    for module in ("venv", "ensurepip"):
        if importlib.util.find_spec(module) is None:
            version = f"{sys.version_info[0]}.{sys.version_info[1]}"
            stop(
                f"this Python has no {module!r} module, which makes the private environment."
                f" On Debian and Ubuntu: apt-get install python{version}-venv.",
                FAILED_EXIT,
            )
    say(f"making the environment {ENVIRONMENT.relative_to(ROOT)}, once")
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    made = subprocess.run(
        [sys.executable, "-m", "venv", str(ENVIRONMENT)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        reason = (made.stderr or made.stdout).strip().splitlines()[-1:] or ["no reason given"]
        stop(f"could not make {ENVIRONMENT}: {reason[0]}", FAILED_EXIT)
    _pip("install", executable, DEV_LOCK)
    (next(ENVIRONMENT.rglob("site-packages")) / "tavo-sources.pth").write_text(f"{ROOT}\n")
    stamp.write_text(wanted)
    return executable


def _pip(what: str, interpreter: Path, lock_file: Path, *options: str) -> None:
    """Install or download a lock, hashes checked, wheels only; stop with a sentence on failure."""
    command = [str(interpreter), "-m", "pip", what, "--quiet", "--require-hashes", "--no-deps"]
    command += ["--only-binary", ":all:", "--disable-pip-version-check", "-r", str(lock_file)]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
    reason = errors[0].removeprefix("ERROR: ") if errors else done.stderr.strip()[-300:]
    stop(
        f"{what}ing {lock_file.name} failed: {reason}\n"
        "The first build needs a Python package index. Without network, put the wheels in a"
        " folder and set PIP_NO_INDEX=1 and PIP_FIND_LINKS=FOLDER.",
        FAILED_EXIT,
    )


def _tool(*arguments: str) -> int:
    """Run the environment's interpreter from the root of the project."""
    interpreter = str(python())
    return subprocess.run([interpreter, *arguments], cwd=ROOT, check=False).returncode


def _must(*arguments: str) -> None:
    """Run the environment's interpreter; stop the build with its exit code if it fails."""
    code = _tool(*arguments)
    if code != 0:
        stop(f"{' '.join(arguments[:3])} … failed with exit code {code}.", code)


def here() -> str:
    """Return the name of this machine's system among the targets."""
    machine = platform.machine().lower()
    names = {"linux": "linux", "darwin": "macos", "win32": "windows"}
    machine = {"amd64": "x86_64", "aarch64": "aarch64", "arm64": "arm64"}.get(machine, machine)
    return f"{names.get(sys.platform, sys.platform)}-{machine}"


def _minors_here() -> list[str]:
    """Return the supported minor versions whose interpreters are here, such as `311`."""
    probe = "from tavo.operator.pack.code import find_interpreters as find;"
    probe += "from tavo.operator.pack.targets import MINORS; print(*find(MINORS))"
    done = subprocess.run(
        [str(python()), "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def _version() -> str:
    text = (ROOT / "tavo" / "__init__.py").read_text("utf-8")
    found = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    if found is None:
        stop("tavo/__init__.py names no version.", FAILED_EXIT)
    return found.group(1)


def _is_current(targets: Sequence[str]) -> bool:
    """Tell whether the outcome serves the targets, from the present sources, and is fresh.

    The repository's timestamp is signed for three days; after two it is built again.
    """
    if not (PYZ.exists() and REPOSITORY.exists() and STAMP.exists()):
        return False
    sources, *built = STAMP.read_text().split("\n")
    fresh = time.time() - STAMP.stat().st_mtime < FRESH_S
    return sources == _sources_digest() and fresh and (not built or set(targets) <= set(built))


def _sources_digest() -> str:
    """Hash names, sizes and times of all that goes into the build, and this interpreter."""
    lines = [sys.executable, sys.version]
    for path in _sources():
        status = path.stat()
        lines.append(f"{path.relative_to(ROOT)} {status.st_size} {status.st_mtime_ns}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _sources() -> Iterator[Path]:
    yield ROOT / "build.py"
    yield RUNTIME_LOCK
    for folder in (*(ROOT / name for name in PACKAGES), PLUGINS, *DEMO):
        for path in sorted(folder.rglob("*")):
            if "__pycache__" not in path.parts and stat.S_ISREG(path.stat().st_mode):
                yield path


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def say(message: str) -> None:
    """Tell the user what is being done, on standard error."""
    print(f"build: {message}", file=sys.stderr, flush=True)


def stop(message: str, code: int) -> NoReturn:
    """End with one clear sentence and an exit code."""
    print(f"build: {message}", file=sys.stderr, flush=True)
    raise SystemExit(code)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED_EXIT)
