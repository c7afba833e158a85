"""What the single file imports for a command: no more than it needs, held by numbers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.single_file import PYZ, SHOP, attached

pytestmark = pytest.mark.skipif(
    not PYZ.exists(), reason="run the tests with `python3 build.py test`, which builds the file"
)
TRUST = {"tuf", "securesystemslib", "cryptography", "urllib3"}
PAGES = {"datasette", "jinja2", "uvicorn", "httpx", "anyio", "click", "rich", "pygments"}
SAMPLE = Path(__file__).parents[1] / "scan/samples/llm-output-to-exec-js/positive.js"
UNUSED = {
    "subprocess",
    "shellingham",
    "typing_extensions",
    "tempfile",
    "logging",
    "concurrent.futures",
}
RUN = attached(
    "before = set(sys.modules)\n"
    "from tavo.cli import main\n"
    "sys.argv[0] = archive\n"
    "try:\n    main()\n"
    "finally:\n    print(*sorted(set(sys.modules) - before), file=sys.stderr)\n"
)


def modules(home: Path, *words: str) -> set[str]:
    """Return the modules that a command imports, on a machine that ran it before."""
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", RUN, *words], env={"HOME": str(home)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(done.stderr.splitlines()[-1].split())


def ours(names: set[str]) -> set[str]:
    return {n for n in names if n.partition(".")[0] in {"tavo", "signing", "marketplace_db"}}


def test_version_imports_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-X", "importtime", str(PYZ), "--version"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    bare = subprocess.run(
        [sys.executable, "-I", "-S", "-X", "importtime", "-c", "import runpy, zipimport"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    own = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert own - {line.rpartition("|")[2].strip() for line in bare.stderr.splitlines()} <= {
        "struct", "_struct", "zipimport", "pkgutil", "atexit",
    }  # fmt: skip


def test_root_help_imports_a_table(tmp_path: Path) -> None:
    found = modules(tmp_path, "--help")
    assert ours(found) == {"tavo.cli", "tavo.cli.commands"}
    assert len(found) <= 12
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "most", "most_of_ours", "never"),
    [
        (["registry", "list"], 135, 39,
         TRUST | PAGES | UNUSED | {"yaml", "re2", "tree_sitter", "msgspec", "hashlib"}),
        (["registry", "browse"], 162, 58, TRUST | PAGES | UNUSED | {"yaml", "re2", "tree_sitter"}),
        (["scan", str(SHOP / "assistant.py"), "--exit-zero"], 209, 74,
         TRUST | PAGES | UNUSED | {"yaml", "packaging", "marketplace_db.catalog",
                                   "tavo.host", "importlib.resources", "tree_sitter_typescript",
                                   "tavo.scan.languages.ecmascript"}),
        (["scan", str(SAMPLE), "--exit-zero"], 211, 75,
         TRUST | PAGES | (UNUSED - {"tempfile"}) | {"yaml", "tree_sitter_python"}),
        # what reads the paths of rules brings typing_extensions
        (["rules", "list"], 227, 60, TRUST | PAGES | (UNUSED - {"typing_extensions"}) | {"yaml"}),
    ],
    ids=lambda value: " ".join(value)[:16] if isinstance(value, list) else "",
)  # fmt: skip
def test_a_command_imports_what_it_needs(
    tmp_path: Path, words: list[str], most: int, most_of_ours: int, never: set[str]
) -> None:
    found = modules(tmp_path, *words)
    assert not found & never
    assert len(ours(found)) <= most_of_ours, sorted(ours(found))
    assert len(found) <= most, len(found)


def test_show_of_a_plugin_without_needs_leaves_version_ranges_out(tmp_path: Path) -> None:
    loaded = modules(tmp_path, "registry", "show", "model-files")
    assert "packaging.specifiers" not in loaded
    assert len(ours(loaded)) <= 70  # it reads what the reviewers of the release have signed
