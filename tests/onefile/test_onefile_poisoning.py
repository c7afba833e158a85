"""Code that somebody put where tavo looks: none of it runs, and what was changed is named.

Each attack has a control in which it succeeds: without the check of the cache, in an ordinary
shiv-like start, or in a plain interpreter with the same environment.
"""

from __future__ import annotations

import importlib.util
import marshal
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fakes.single_file import PYZ, SHOP, Machine, attached

pytestmark = pytest.mark.skipif(
    not PYZ.exists(), reason="run the tests with `python3 build.py test`, which builds the file"
)
UNCHECKED = (
    "import os\n"
    "from tavo.onefile.checked import CheckedFiles\n"
    "CheckedFiles.checked = lambda self, path, *_: os.path.join(finder.home, *path.split('/'))\n"
)
IMPORTS = "import re2, yaml, tree_sitter, msgspec, cryptography.hazmat.bindings._rust\n"


@pytest.fixture(scope="module")
def payload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that leaves a mark where it is loaded, whether or not it is a Python module."""
    folder = tmp_path_factory.mktemp("payload")
    source = folder / "payload.c"
    source.write_text(
        "#include <fcntl.h>\n#include <stdlib.h>\n"
        "__attribute__((constructor)) static void run(void) {"
        ' const char *mark = getenv("MARK"); if (mark) open(mark, O_CREAT | O_WRONLY, 0600); }\n'
    )
    library = folder / "payload.so"
    if shutil.which("cc") is None:
        pytest.skip("no C compiler is here to make a hostile library")
    command = ["cc", "-shared", "-fPIC", "-o", str(library), str(source)]
    subprocess.run(command, capture_output=True, check=True)
    return library


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "home", MARK=str(tmp_path / "mark"))


def marked(machine: Machine) -> bool:
    return Path(machine.environment["MARK"]).exists()


def python(machine: Machine, code: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", code], env=machine.environment, capture_output=True,
        text=True, check=False, cwd=machine.home,
    )  # fmt: skip


def replace(path: Path, new: Path) -> None:
    path.unlink()
    shutil.copy(new, path)


# -- native modules in the cache


@pytest.mark.parametrize("name", ["re2/_re2", "tree_sitter/_binding", "msgspec/_core"])
def test_a_replaced_native_module_is_named_and_not_loaded(
    machine: Machine, payload: Path, name: str
) -> None:
    machine.run("scan", SHOP, "--exit-zero")
    (victim,) = machine.unpacked.glob(f"{name}*.so")
    replace(victim, payload)
    done = machine.run("scan", SHOP, "--exit-zero", "--no-cache", code=5)
    assert str(victim) in done.stderr
    assert done.stderr.startswith("tavo: refused: ")
    assert "sha256 is" in done.stderr
    assert not marked(machine)
    python(machine, attached(UNCHECKED + IMPORTS))
    assert marked(machine), "the control must show that the library runs where nobody checks"


def test_one_changed_bit_is_enough(machine: Machine) -> None:
    machine.run("scan", SHOP, "--exit-zero")
    (victim,) = machine.unpacked.glob("re2/_re2*.so")
    data = bytearray(victim.read_bytes())
    data[len(data) // 2] ^= 1
    victim.write_bytes(data)
    assert str(victim) in machine.run("scan", SHOP, code=5).stderr
    assert f"{victim}: was changed" in machine.run("self", "verify", code=5).stdout
    assert machine.run("doctor", code=5).stdout.count("bad ") == 1


def test_code_planted_before_the_first_run(machine: Machine, payload: Path, tmp_path: Path) -> None:
    """The folder's name can be read in the file, so anybody can prepare it."""
    other = Machine(tmp_path / "other")
    other.run("scan", SHOP, "--exit-zero")
    shutil.copytree(other.place, machine.place)
    machine.place.chmod(0o700)
    for victim in machine.unpacked.rglob("*.so"):
        replace(victim, payload)
    machine.run("scan", SHOP, code=5)
    assert not marked(machine)
    python(machine, attached(UNCHECKED + IMPORTS))
    assert marked(machine)


def test_a_native_module_that_the_file_does_not_have_is_not_found(
    machine: Machine, payload: Path
) -> None:
    machine.run("scan", SHOP, "--exit-zero")
    for name in ("json", "simplejson", "tavo/scan/engine", "msgspec/_other", "orjson"):
        planted = machine.unpacked / f"{name}.cpython-3{sys.version_info[1]}-x86_64-linux-gnu.so"
        planted.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(payload, planted)
    done = machine.run("scan", SHOP, "--exit-zero", code=5)  # beside one that the system loads
    assert "was not put there by this file" in done.stderr
    assert not marked(machine)
    assert "was not put there by this file" in machine.run("self", "verify", code=5).stdout


# -- Python code in the cache


def test_python_code_in_the_cache_is_never_read(machine: Machine) -> None:
    """A module, a compiled module with the right name and time, a .pth file, a sitecustomize."""
    machine.run("scan", SHOP, "--exit-zero")
    hostile = "import os\nopen(os.environ['MARK'], 'w')\n"
    code = marshal.dumps(compile(hostile, "hostile", "exec"))
    unchecked = importlib.util.MAGIC_NUMBER + struct.pack("<I", 0b01) + b"\0" * 8 + code
    for name in ("tavo/__init__", "tavo/scan/engine", "yaml/__init__", "typer/main", "json",
                 "sitecustomize", "usercustomize", "tavo/embedded/__init__"):  # fmt: skip
        path = machine.unpacked / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(hostile)
        cached = path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc"
        cached.parent.mkdir(exist_ok=True)
        cached.write_bytes(unchecked)
        (path.parent / f"{path.stem}.pyc").write_bytes(unchecked)
    (machine.unpacked / "evil.pth").write_text("import os; open(os.environ['MARK'], 'w')\n")
    assert "22 findings" in machine.run("scan", SHOP, "--exit-zero").stdout
    assert (
        "embedded/__init__.py: was not put there"
        in machine.run("registry", "browse", code=5).stderr
    )
    assert not marked(machine)
    assert "evil.pth: was not put there" in machine.run("self", "verify", code=5).stdout
    python(machine, f"import sys; sys.path.insert(0, {str(machine.unpacked)!r}); import yaml")
    assert marked(machine)


def test_a_submodule_that_a_package_does_not_have_is_not_searched_for(machine: Machine) -> None:
    """Packages with data files have a folder of the cache as their path."""
    machine.run("scan", SHOP, "--exit-zero")
    for package in ("tavo/scan/packs", "datasette", "certifi", "yaml", "tavo"):
        plant(machine.unpacked / package, "evil", "__main__", "evil2/__init__")
    code = (
        "import importlib\n"
        "for name in ('tavo.scan.packs', 'datasette', 'certifi', 'yaml', 'tavo'):\n"
        "    for last in ('evil', 'evil2'):\n"
        "        importlib.invalidate_caches()\n"
        "        try:\n            importlib.import_module(f'{name}.{last}')\n"
        "        except (ModuleNotFoundError, SystemExit):\n            print('not found')\n"
    )
    done = python(machine, attached(code))
    assert done.stdout.count("not found") == 10, done.stderr
    assert not marked(machine)
    searched = (
        "from tavo.onefile.checked import CheckedFiles\n"
        "sys.path_importer_cache.clear(); CheckedFiles._check_folder_of = print\n"
    )
    control = "import certifi; sys.path_importer_cache.clear(); import certifi.evil\n"
    python(machine, attached(searched + control))
    assert marked(machine)


# -- data files in the cache


@pytest.mark.parametrize(
    ("pattern", "words"),
    [
        ("tavo/scan/packs/tavo_ai/pack.json", ["scan", str(SHOP)]),
        ("tavo/embedded/root.json", ["registry", "browse"]),
        ("tavo/embedded/build.json", ["registry", "browse"]),
    ],
)
def test_a_changed_data_file_is_named(machine: Machine, pattern: str, words: list[str]) -> None:
    machine.run("scan", SHOP, "--exit-zero")
    victim = machine.unpacked / pattern
    victim.write_bytes(victim.read_bytes() + b" ")
    assert str(victim) in machine.run(*words, code=5).stderr


def test_a_changed_embedded_repository_is_refused_by_its_signatures(machine: Machine) -> None:
    machine.run("rules", "list")
    catalog = next((machine.unpacked / "tavo" / "embedded").rglob("*.catalog.db"))
    catalog.write_bytes(catalog.read_bytes().replace(b"model-files", b"model-filez"))
    assert "sha256" in machine.run("registry", "browse", code=5).stderr


def test_a_changed_template_and_a_planted_entry_point_are_refused(machine: Machine) -> None:
    machine.run("rules", "list")
    template = machine.unpacked / "datasette" / "templates" / "base.html"
    original = template.read_bytes()
    template.write_bytes(original + b"<script>evil()</script>")
    done = machine.run("registry", "browse", "--web", "--port", "0", code=5)
    assert str(template) in done.stderr
    template.write_bytes(original)
    (points,) = machine.unpacked.glob("datasette-*.dist-info/entry_points.txt")
    points.write_text("[datasette]\nevil = evil\n")
    read = "import importlib.metadata as m\nprint(m.entry_points())\n"
    done = python(machine, attached(read))
    assert done.returncode == 5
    assert str(points) in done.stderr


def test_a_template_that_was_added_is_refused(machine: Machine) -> None:
    """Datasette looks for a page's own template before its general one, and templates are code."""
    machine.run("rules", "list")
    added = machine.unpacked / "datasette" / "templates" / "table-catalog-plugins.html"
    added.write_text("{{ cycler.__init__.__globals__.os.system('touch ' + mark) }}")
    done = machine.run("registry", "browse", "--web", "--port", "0", code=5)
    assert f"{added}: was not put there by this file" in done.stderr


@pytest.mark.parametrize("kind", ["link", "folder", "pipe", "link to the same"])
def test_what_is_no_plain_file_is_refused(machine: Machine, kind: str, tmp_path: Path) -> None:
    machine.run("scan", SHOP, "--exit-zero")
    (victim,) = machine.unpacked.glob("re2/_re2*.so")
    shutil.copy(victim, tmp_path / "same")
    victim.unlink()
    if kind == "folder":
        victim.mkdir()
    elif kind == "pipe":
        os.mkfifo(victim)
    else:
        victim.symlink_to(tmp_path / "same" if "same" in kind else "/dev/zero")
    assert str(victim) in machine.run("scan", SHOP, code=5).stderr


# -- whose cache it is


def test_a_cache_that_others_may_write_to_is_not_used(machine: Machine) -> None:
    machine.run("scan", SHOP, "--exit-zero")
    machine.place.chmod(0o777)
    machine.environment["TMPDIR"] = str(machine.home)
    assert "22 findings" in machine.run("scan", SHOP, "--exit-zero").stdout
    assert list(machine.home.glob("tavo-[0-9]*"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_a_cache_of_somebody_else_is_not_used(machine: Machine) -> None:
    machine.run("scan", SHOP, "--exit-zero")
    os.chown(machine.place, 65534, 65534)
    machine.environment["TMPDIR"] = str(machine.home)
    assert "22 findings" in machine.run("scan", SHOP, "--exit-zero").stdout
    assert list(machine.home.glob("tavo-[0-9]*"))


def test_a_link_instead_of_a_folder_is_not_used(machine: Machine, tmp_path: Path) -> None:
    machine.run("scan", SHOP, "--exit-zero")
    name = machine.unpacked
    elsewhere = tmp_path / "elsewhere"
    name.rename(elsewhere)
    name.symlink_to(elsewhere)
    assert "22 findings" in machine.run("scan", SHOP, "--exit-zero").stdout
    assert not machine.unpacked.is_symlink()
    assert elsewhere.exists()


# -- the environment


def plant(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("import os\nopen(os.environ['MARK'], 'w')\n")


def test_modules_on_pythonpath_are_not_imported(machine: Machine, tmp_path: Path) -> None:
    evil = tmp_path / "evil"
    plant(
        evil, "json", "zipfile", "typing", "hashlib", "marshal", "tarfile", "lzma", "gc", "atexit",
        "dataclasses", "sqlite3/__init__", "typer/__init__", "yaml/__init__", "tavo/__init__",
        "tavo/cli/__init__", "click", "msgspec/__init__", "orjson", "uvloop", "refuse", "start",
    )  # fmt: skip
    machine.environment["PYTHONPATH"] = str(evil)
    assert "22 findings" in machine.run("scan", SHOP, "--exit-zero").stdout
    machine.run("registry", "browse")
    assert not marked(machine)
    python(machine, "import json")
    assert marked(machine)


def test_forged_compiled_code_of_the_standard_library(machine: Machine, tmp_path: Path) -> None:
    prefix = tmp_path / "prefix"
    hostile = compile("import os\nopen(os.environ['MARK'], 'w')\n", "hostile", "exec")
    for name in ("json", "tomllib", "sqlite3", "argparse"):
        spec = importlib.util.find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        source = Path(spec.origin)
        status = source.stat()
        head = importlib.util.MAGIC_NUMBER + struct.pack(
            "<III", 0, int(status.st_mtime) & 0xFFFFFFFF, status.st_size & 0xFFFFFFFF
        )
        forged = prefix.joinpath(*source.parent.parts[1:]) / (
            f"{source.stem}.{sys.implementation.cache_tag}.pyc"
        )
        forged.parent.mkdir(parents=True, exist_ok=True)
        forged.write_bytes(head + marshal.dumps(hostile))
    machine.environment["PYTHONPYCACHEPREFIX"] = str(prefix)
    assert "22 findings" in machine.run("scan", SHOP, "--exit-zero").stdout
    machine.run("registry", "browse")
    assert not marked(machine)
    python(machine, "import json, tomllib, sqlite3")
    assert marked(machine)


def test_libraries_that_openssl_is_told_to_load(machine: Machine, payload: Path) -> None:
    settings = machine.home / "openssl.cnf"
    settings.write_text(
        "openssl_conf = init\n[init]\nproviders = list\n[list]\nevil = evil\n"
        f"[evil]\nmodule = {payload}\nactivate = 1\n"
    )
    machine.environment["OPENSSL_CONF"] = str(settings)
    machine.run("scan", SHOP, "--exit-zero")
    machine.run("registry", "browse")
    assert not marked(machine)
    python(machine, "import ssl, hashlib; ssl.create_default_context()")
    if not marked(machine):
        pytest.skip("this interpreter's OpenSSL reads no configuration of the environment")


def test_modules_that_were_imported_before_are_not_used(machine: Machine) -> None:
    """A .pth file of the interpreter may have imported a package of the same name."""
    fake = "import sys, types\nsys.modules['yaml'] = sys.modules['typer'] = types.ModuleType('')\n"
    read = "import yaml, typer\nprint(yaml.__version__, typer.__name__)\n"
    done = python(machine, fake + attached(read))
    assert done.stdout.split()[1:] == ["typer"], done.stderr


def test_the_file_run_by_its_own_first_line_ignores_the_environment(
    machine: Machine, tmp_path: Path
) -> None:
    """`./tavo.pyz` starts an isolated interpreter: not even a sitecustomize runs."""
    evil = tmp_path / "evil"
    plant(evil, "sitecustomize", "usercustomize", "json")
    machine.environment["PYTHONPATH"] = str(evil)
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "python3").symlink_to(sys.executable)
    machine.environment["PATH"] = f"{folder}:/usr/bin:/bin"
    done = subprocess.run(
        [str(PYZ), "scan", str(SHOP), "--exit-zero"], env=machine.environment, capture_output=True,
        text=True, check=False, cwd=machine.home,
    )  # fmt: skip
    assert "22 findings" in done.stdout, done.stderr
    assert not marked(machine)
    subprocess.run([sys.executable, str(PYZ), "--version"], env=machine.environment, check=False,
                   capture_output=True)  # fmt: skip
    assert marked(machine), "without -I the interpreter runs it before the first line of ours"


# -- found by an independent review


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give folders away")
def test_a_cache_below_a_folder_of_somebody_else_is_not_used(machine: Machine) -> None:
    """As with `sudo` and the user's HOME: the owner could exchange the folders after the check."""
    machine.run("scan", SHOP, "--exit-zero")
    os.chown(machine.home / ".cache", 65534, 65534)
    machine.environment["TMPDIR"] = str(machine.home.parent)
    machine.run("scan", SHOP, "--exit-zero")
    assert list(machine.home.parent.glob("tavo-[0-9]*"))


def test_a_folder_inside_that_others_may_change_is_refused(machine: Machine) -> None:
    machine.run("scan", SHOP, "--exit-zero")
    (machine.unpacked / "re2").chmod(0o777)
    assert "re2: is a link, or others may change it" in machine.run("scan", SHOP, code=5).stderr


def test_a_refusal_that_was_swallowed_is_raised_again(machine: Machine) -> None:
    machine.run("rules", "list")
    template = machine.unpacked / "datasette" / "templates" / "base.html"
    template.write_bytes(template.read_bytes() + b" ")
    code = (
        "for _ in range(3):\n    try:\n        import datasette\n"
        "    except BaseException as error:\n        print(type(error).__name__)\n"
    )
    done = python(machine, attached(code))
    assert done.stdout.split() == ["TamperedError"] * 3
    assert done.stderr.count("refused") == 1


@pytest.mark.parametrize("closed", ["2>&-", "2>/dev/full", ">&- 2>&-", "<&- >&- 2>&-"])
def test_a_refusal_that_nobody_can_read_still_has_its_code(machine: Machine, closed: str) -> None:
    machine.run("scan", SHOP, "--exit-zero")
    (victim,) = machine.unpacked.glob("msgspec/_core*.so")
    victim.write_bytes(victim.read_bytes() + b" ")
    command = " ".join(f"'{word}'" for word in machine.command("scan", SHOP))
    done = subprocess.run(
        ["bash", "-c", f"{command} {closed}"], env=machine.environment, capture_output=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 5


def test_a_library_planted_beside_a_native_module_is_refused(
    machine: Machine, payload: Path
) -> None:
    machine.run("scan", SHOP, "--exit-zero")
    shutil.copy(payload, machine.unpacked / "re2" / "libatomic.so.1")
    done = machine.run("scan", SHOP, code=5)
    assert "libatomic.so.1: was not put there" in done.stderr
    assert not marked(machine)


def test_a_file_that_was_made_huge_is_not_read(machine: Machine) -> None:
    machine.run("scan", SHOP, "--exit-zero")
    (victim,) = machine.unpacked.glob("msgspec/_core*.so")
    os.truncate(victim, 1 << 40)
    assert "no plain file of" in machine.run("scan", SHOP, code=5).stderr
