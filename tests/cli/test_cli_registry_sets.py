"""Several plugins, lock files, upgrades and rollbacks, as their user types and sees them."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from marketplace_db import acceptance
from marketplace_db.manifest import PLUGIN_TYPES
from signing.digests import Digest
from tavo.cli import chosen
from tavo.cli.registry_install import _USE
from tavo.host import interpreters as pythons
from tavo.registry import plan
from tavo.registry.lockfile import read_lock, write_lock_file
from tests.cli.conftest import Done, Run
from tests.fakes.kernel import ROOT
from tests.fakes.operator_market import plugin_folder
from tests.fakes.plugin_sets import TERMS, USES_TERMS, PluginShop


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PluginShop:
    """A catalog with an application, the list that it uses, and one that wants a newer list."""
    shop = PluginShop(tmp_path / "shop")
    shop.add("words", "1.0.0", files={"terms.py": TERMS})
    shop.add("words", "2.0.0", files={"terms.py": TERMS.replace("hidden", "other")})
    shop.add("app", "1.0.0", needs=["acme/words>=1,<2"], main=USES_TERMS)
    shop.add("modern", "3.1.0", needs=["acme/words>=2"], main=USES_TERMS)
    shop.publish()
    monkeypatch.setenv("TAVO_REGISTRY_ROOT", str(shop.root))
    return shop


Registry = Callable[..., Done]


@pytest.fixture
def registry(tavo: Run, shop: PluginShop) -> Registry:
    def run(*words: object, code: int = 0) -> Done:
        local = words[0] in {"list", "verify", "uninstall", "prune", "grant"}
        mirror = () if local else ("--mirror", shop.repository)
        done = tavo("registry", *words, *mirror)
        assert done.code == code, done
        return done

    return run


@pytest.fixture
def versions(registry: Registry) -> Callable[[], dict[str, str]]:
    return lambda: {one["id"]: one["version"] for one in json.loads(registry("list", "--json").out)}


Versions = Callable[[], dict[str, str]]
OLD = {"acme/app": "1.0.0", "acme/words": "1.0.0"}
NEW = {"acme/app": "1.1.0", "acme/words": "2.0.0"}


def test_a_plugin_comes_with_what_it_needs_and_uses_it(
    registry: Registry, versions: Versions, tavo: Run
) -> None:
    done = registry("install", "acme/app", "--yes")
    assert done.out.startswith(
        "Together:\n  acme/words 1.0.0, which others need\n  acme/app 1.0.0\n"
        "acme/words 1.0.0: verified ("
    )
    assert (
        "  + run the code of acme/words in its own process, with the same permissions" in done.out
    )
    assert done.out.endswith(
        "Installed acme/words 1.0.0.\nInstalled acme/app 1.0.0.\n"
        "Use it: tavo scan . --static-plugins acme/app\n"
    )
    assert versions() == OLD
    Path("a.py").write_text("hidden\nsecret\n")
    scanned = tavo("scan", ".", "--static-plugins", "acme/app")
    assert scanned.code == 1
    assert "The word hidden." in scanned.out
    shown = registry("show", "acme/app")
    assert "\n  needs acme/words >=1,<2\n" in shown.out


def test_a_set_that_cannot_be_is_explained_and_nothing_is_installed(
    registry: Registry, versions: Versions
) -> None:
    done = registry("install", "acme/app", "acme/modern", "--yes", code=5)
    assert done.out == ""
    assert done.err == (
        "tavo: refused: acme/app 1.0.0 needs acme/words >=1,<2; acme/modern 3.1.0 needs acme/words"
        " >=2; no version of acme/words satisfies both (there are 2.0.0, 1.0.0)\n"
        "  `tavo registry show PLUGIN` lists versions; ask for others.\n"
    )
    assert versions() == {}
    registry("install", "acme/app", "--yes")
    done = registry("install", "acme/modern", "--yes", code=5)
    assert "acme/app 1.0.0, which is installed, needs acme/words >=1,<2; acme/modern" in done.err
    assert "Name the installed ones as well" in done.err
    assert versions() == OLD


def test_what_needs_it_comes_off_first(registry: Registry, versions: Versions) -> None:
    registry("install", "acme/app", "--yes")
    done = registry("uninstall", "acme/words", code=5)
    assert "acme/app 1.0.0 needs acme/words >=1,<2, which is not installed; nothing was" in done.err
    done = registry("uninstall", "acme/app")
    assert "Nothing needs acme/words any more: tavo registry uninstall acme/words" in done.err
    registry("uninstall", "acme/words")
    assert versions() == {}


def test_one_that_is_not_agreed_to_keeps_all_of_them_out(
    registry: Registry, versions: Versions, shop: PluginShop
) -> None:
    shop.add("keyed", "1.0.0", needs=["acme/words"], main=USES_TERMS,
             more="permissions: {network: [api.example.com], native_code: true}\n")  # fmt: skip
    shop.publish()
    done = registry("install", "acme/keyed", "--yes", code=5)
    assert "nobody is here to accept its permissions" in done.err
    assert versions() == {}
    words = ("--grant", "native_code", "--grant", "network:api.example.com")
    registry("install", "acme/keyed", "--yes", *words)
    assert versions() == {"acme/keyed": "1.0.0", "acme/words": "2.0.0"}


def test_wrong_words_start_nothing(registry: Registry) -> None:
    assert "is not a version range" in registry("install", "acme/app>>1", code=2).err
    assert "name a plugin, or a lock file" in registry("install", code=2).err
    assert "not both" in registry("install", "acme/app", "-r", "tavo.lock", code=2).err
    assert "goes with one plugin" in registry("install", "a", "b", "--version", "1", code=2).err
    assert "is named twice" in registry("install", "acme/app", "acme/app>1", code=2).err
    assert "did you mean 'acme/app'" in registry("install", "acme/ap", code=5).err
    assert "there are 1.0.0" in registry("install", "acme/app", "--version", "7", code=5).err
    assert "is not installed" in registry("upgrade", "acme/app", code=2).err
    assert "is not installed" in registry("rollback", "acme/app", code=2).err
    assert "no plugins are installed" in registry("lock", code=2).err
    assert "cannot be read: No such file" in registry("install", "-r", "no.lock", code=3).err


def test_a_folder_of_your_own_uses_what_is_installed(
    registry: Registry, shop: PluginShop, tavo: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAVO_ACCEPT_SANDBOX", "L2:acme/mine")
    plugin_folder(
        Path("mine"), id="mine", more="requires_plugins: ['acme/words<2']\n",
        files={"main.py": USES_TERMS, "tests/test_it.py": "def test_it():\n    import main\n"},
    )  # fmt: skip
    Path("a.py").write_text("hidden\n")
    done = tavo("plugin", "run", "./mine", "a.py")
    assert done.code == 5
    assert "acme/mine 1.0.0 needs acme/words <2, which is not installed" in done.err
    assert "tavo registry install acme/words" in done.err
    registry("install", "acme/words<2", "--yes")
    done = tavo("plugin", "run", "./mine", "a.py")
    assert "The word hidden." in done.out, done
    done = tavo("plugin", "test", "./mine", "--json")
    report = json.loads(done.out)
    assert {one["name"]: one["state"] for one in report["checks"]}["own tests"] == "passed"
    assert [c for c in report["checks"] if c["state"] == "failed"] == [], done.out
    digest = json.loads(tavo("plugin", "validate", "./mine", "--json").out)["package"]
    done = tavo("scan", "a.py", "--static-plugins", "./mine", "--accept-local", digest)
    assert "The word hidden." in done.out, done
    shop.recall(_package(shop, "acme/words", "1.0.0"))
    shop.publish()
    registry("update")
    for words in (
        ["plugin", "run", "./mine", "a.py"],
        ["scan", "a.py", "--static-plugins", "./mine", "--accept-local", digest],
    ):
        done = tavo(*words)
        assert done.code == 5
        assert "acme/words 1.0.0: was recalled: it steals" in done.err


def test_what_a_plugin_needs_is_recalled_and_so_is_the_run(
    registry: Registry, shop: PluginShop, tavo: Run
) -> None:
    registry("install", "acme/app", "--yes")
    shop.recall(_package(shop, "acme/words", "1.0.0"))
    shop.publish()
    registry("update")
    Path("a.py").write_text("secret\n")
    done = tavo("scan", "a.py", "--static-plugins", "acme/app")
    assert done.code == 5
    assert "acme/words 1.0.0: was recalled: it steals" in done.err


# -- upgrade and rollback


@pytest.fixture
def upgraded(registry: Registry, shop: PluginShop) -> PluginShop:
    """The first releases were installed, then the second ones together."""
    registry("install", "acme/app", "--yes")
    assert "Nothing to upgrade" in registry("upgrade").err
    shop.add("app", "1.1.0", needs=["acme/words>=2"], main=USES_TERMS)
    shop.publish()
    done = registry("upgrade", "--yes")
    assert done.out.startswith(
        "Together:\n  acme/words 2.0.0, in place of 1.0.0, which others need\n"
        "  acme/app 1.1.0, in place of 1.0.0\n"
    )
    return shop


def test_an_upgrade_and_the_way_back(
    upgraded: PluginShop, registry: Registry, versions: Versions
) -> None:
    assert versions() == NEW
    done = registry("rollback", "acme/app", code=5)
    assert "needs acme/words >=1,<2, but 2.0.0 is installed; nothing was changed" in done.err
    assert "Name it as well" in done.err
    done = registry("rollback", "acme/app", "acme/words")
    assert done.out == (
        "acme/app: went back from 1.1.0 to 1.0.0.\nacme/words: went back from 2.0.0 to 1.0.0.\n"
    )
    assert versions() == OLD
    assert registry("verify").out == "acme/app 1.0.0: good\nacme/words 1.0.0: good\n"
    registry("upgrade", "acme/app", "--yes")
    assert versions() == NEW
    done = registry("prune")
    assert done.out == "Deleted acme/app 1.0.0.\nDeleted acme/words 1.0.0.\n"
    assert "no earlier installation is kept" in registry("rollback", "acme/app", code=2).err


def test_what_is_only_needed_stays_so_when_it_is_upgraded(
    registry: Registry, shop: PluginShop, versions: Versions
) -> None:
    registry("install", "acme/app", "--yes")
    shop.add("words", "1.5.0", files={"terms.py": TERMS})
    shop.publish()
    registry("upgrade", "acme/words", "--yes")
    assert versions() == {"acme/app": "1.0.0", "acme/words": "1.5.0"}
    assert "Nothing needs acme/words any more" in registry("uninstall", "acme/app").err


@pytest.mark.parametrize("how", ["withdrawn", "recalled"])
def test_no_rollback_to_what_was_taken_back(
    how: str, upgraded: PluginShop, registry: Registry, versions: Versions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if how == "withdrawn":
        upgraded.yank("acme/words", "1.0.0")
    else:
        upgraded.recall(_package(upgraded, "acme/words", "1.0.0"))
    upgraded.publish()
    done = registry("rollback", "acme/app", "acme/words", code=5)
    assert f"acme/words 1.0.0: was {how}: it" in done.err
    assert versions() == NEW
    monkeypatch.setattr(acceptance, "check_not_recalled", lambda *_, **__: None)  # the control
    monkeypatch.setattr(chosen, "recall_of", lambda *_: None)
    registry("rollback", "acme/app", "acme/words")
    assert versions() == OLD


def test_an_upgrade_stays_in_the_range_and_never_goes_down(
    registry: Registry, versions: Versions, shop: PluginShop
) -> None:
    registry("install", "acme/words<2", "--yes")
    shop.add("words", "1.5.0")
    shop.publish()
    registry("upgrade", "--yes")
    assert versions() == {"acme/words": "1.5.0"}
    shop.yank("acme/words", "1.5.0")
    shop.publish()
    assert "Nothing to upgrade" in registry("upgrade", "--yes").err
    assert versions() == {"acme/words": "1.5.0"}
    registry("upgrade", "acme/words>=2", "--yes")
    assert versions() == {"acme/words": "2.0.0"}


# -- lock files


@pytest.fixture
def locked(registry: Registry, shop: PluginShop) -> Path:
    """A lock file of what a colleague installed; nothing is installed here any more."""
    done = registry("install", "acme/app", "--yes", "--lock", "tavo.lock")
    assert "tavo.lock: 2 plugins locked." in done.err
    registry("uninstall", "acme/app")
    registry("uninstall", "acme/words")
    return Path("tavo.lock")


def _package(shop: PluginShop, plugin: str, version: str) -> Digest:
    row = shop.market.connection.execute(
        "SELECT v.package FROM plugin_versions v JOIN plugins p ON p.id = v.plugin_id"
        " JOIN publishers u ON u.id = p.publisher_id"
        " WHERE u.name || '/' || p.plugin_id = ? AND v.version = ?",
        (plugin, version),
    ).fetchone()
    return Digest(row[0])


def test_a_lock_file_installs_exactly_that(
    locked: Path, registry: Registry, versions: Versions, shop: PluginShop
) -> None:
    shop.add("words", "1.9.0", files={"terms.py": TERMS})
    shop.publish()
    done = registry("install", "-r", "tavo.lock", "--yes")
    assert "Installed acme/words 1.0.0." in done.out
    assert versions() == OLD
    text = locked.read_text()
    registry("lock")
    assert locked.read_text() == text
    registry("lock", "acme/app", "--output", "other.lock")
    assert read_lock(Path("other.lock")).plugins[1].version == "1.9.0"
    assert versions() == OLD  # writing a lock installs nothing


def rewrite(path: Path, change: Callable[[dict[str, object]], object], **fields: object) -> None:
    """Write a lock file that is well made and wrong."""
    found = read_lock(path)
    plugins = []
    for one in found.plugins:
        values: dict[str, object] = {}
        if one.full_id == "acme/words":
            change(values)
        plugins.append(dataclasses.replace(one, **values))  # type: ignore[arg-type]
    write_lock_file(path, str(fields.get("repository", found.repository)), plugins)


def test_a_lock_file_with_another_digest_is_refused(
    locked: Path, registry: Registry, versions: Versions, monkeypatch: pytest.MonkeyPatch
) -> None:
    rewrite(locked, lambda values: values.update(package=Digest.of(b"evil")))
    done = registry("install", "-r", locked, "--yes", code=5)
    assert "tavo.lock: acme/words 1.0.0 has the digest" in done.err
    rewrite(locked, lambda values: values.update(wheels={"a-1-py3-none-any.whl": Digest.of(b"")}))
    monkeypatch.setattr(plan, "_compare", lambda *_: None)  # the control
    registry("install", "-r", locked, "--yes")
    assert versions() == OLD


def test_a_lock_file_with_other_wheels_or_of_another_repository_is_refused(
    locked: Path, registry: Registry, versions: Versions
) -> None:
    good = locked.read_bytes()
    rewrite(locked, lambda values: values.update(wheels={"a-1-py3-none-any.whl": Digest.of(b"")}))
    done = registry("install", "-r", locked, "--yes", code=5)
    assert "the wheels of acme/words 1.0.0 are not those of the catalog" in done.err
    locked.write_bytes(good)
    rewrite(locked, lambda _: None, repository="f" * 32)
    done = registry("install", "-r", locked, "--yes", code=5)
    assert f"tavo.lock: is for the repository {'f' * 32}, this is " in done.err
    locked.write_bytes(good[:-100])
    done = registry("install", "-r", locked, "--yes", code=5)
    assert "not" in done.err
    locked.write_bytes(good.replace(b"lock = 1\n", b"lock = 9\n"))
    done = registry("install", "-r", locked, "--yes", code=3)
    assert "of a newer tavo (format 9, this one reads 1)\n  Update tavo.\n" in done.err
    assert versions() == {}


@pytest.mark.parametrize("how", ["withdrawn", "recalled"])
def test_a_lock_file_does_not_bring_back_what_was_taken_back(
    how: str, locked: Path, registry: Registry, versions: Versions, shop: PluginShop
) -> None:
    if how == "withdrawn":
        shop.yank("acme/words", "1.0.0")
    else:
        shop.recall(_package(shop, "acme/words", "1.0.0"))
    shop.publish()
    done = registry("install", "-r", locked, "--yes", code=5)
    assert f"acme/words 1.0.0 was {how}: it" in done.err
    assert versions() == {}


def test_a_lock_file_that_lacks_what_is_needed_is_refused(
    locked: Path, registry: Registry, versions: Versions
) -> None:
    found = read_lock(locked)
    write_lock_file(locked, found.repository, found.plugins[:1])
    done = registry("install", "-r", locked, "--yes", code=5)
    assert "acme/app 1.0.0 needs acme/words >=1,<2, which is not installed" in done.err
    assert versions() == {}


def test_what_is_locked_is_what_the_catalog_says(
    registry: Registry, shop: PluginShop, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, tavo: Run
) -> None:
    registry("install", "acme/words", "--yes")
    other = PluginShop(tmp_path / "other")
    other.add("words", "2.0.0", files={"terms.py": "# another plugin of this name\n"})
    other.publish()
    monkeypatch.setenv("TAVO_REGISTRY_ROOT", str(other.root))
    done = tavo("registry", "lock", "--mirror", other.repository)
    assert done.code == 5
    assert "is not that of this catalog, so it was not locked" in done.err
    other.add("app", "1.0.0", needs=["acme/words"], main=USES_TERMS)
    other.publish()
    done = tavo("registry", "install", "acme/app", "--yes", "--mirror", other.repository)
    assert done.code == 5  # the namespace acme of another repository is another namespace
    assert "acme/words 2.0.0 is installed from another repository" in done.err
    done = tavo("registry", "rollback", "acme/words", "--mirror", other.repository)
    assert done.code == 2


# -- interpreters


def test_no_python_that_fits_is_a_sentence_and_an_older_release_is_taken(
    registry: Registry, versions: Versions, shop: PluginShop
) -> None:
    shop.add("words", "3.0.0", python=">=3.99")
    shop.publish()
    done = registry("install", "acme/words==3.0.0", "--yes", code=5)
    here = ", ".join(one.version for one in pythons.interpreters())
    assert f"acme/words 3.0.0 needs CPython >=3.99, and this machine has {here}\n" in done.err, (
        done.err
    )
    registry("install", "acme/words", "--yes")
    assert versions() == {"acme/words": "2.0.0"}


SAYS_PYTHON = USES_TERMS.replace("{word}.", "{dep.VALUE} {sys.version_info[1]}.").replace(
    "from tavo.plugins", "import sys\nimport dep\nfrom tavo.plugins", 1
)


@pytest.mark.parametrize("minor", [11, 12, 13])
def test_a_plugin_runs_with_the_python_that_it_asks_for(
    minor: int, registry: Registry, shop: PluginShop, tavo: Run
) -> None:
    if all(one.minor != (3, minor) for one in pythons.interpreters()):
        pytest.skip(f"no CPython 3.{minor} on this machine")
    wheels = [
        shop.wheel("dep", "1.0", f"cp3{n}-cp3{n}-linux_x86_64", value=n) for n in (11, 12, 13)
    ]
    shop.add("native", "1.0.0", needs=["acme/words<2"], python=f"==3.{minor}.*", main=SAYS_PYTHON,
             wheels=wheels, more="permissions: {native_code: true}\n")  # fmt: skip
    shop.publish()
    registry("install", "acme/native", "--yes", "--grant", "native_code")
    Path("a.py").write_text("secret\n")
    done = tavo("scan", ".", "--static-plugins", "acme/native")
    assert f"The word {minor} {minor}." in done.out, done
    assert "needs acme/words <2, CPython ==3." in registry("show", "acme/native").out


def test_python_packages_of_two_plugins_do_not_meet(
    registry: Registry, shop: PluginShop, versions: Versions
) -> None:
    shop.add("one", "1.0.0", wheels=[shop.wheel("dep", "1.0")])
    shop.add("two", "1.0.0", wheels=[shop.wheel("dep", "2.0")])
    shop.add("both", "1.0.0", needs=["acme/one"], wheels=[shop.wheel("dep", "2.0")])
    shop.publish()
    registry("install", "acme/one", "acme/two", "--yes")
    assert versions() == {"acme/one": "1.0.0", "acme/two": "1.0.0"}
    done = registry("install", "acme/both", "--yes", code=5)
    assert (
        "acme/both 1.0.0 runs in one process with what it needs, but acme/both 1.0.0 brings dep 2.0"
        " and acme/one 1.0.0 brings dep 1.0" in done.err
    )


# -- hostile catalogs, and two at once


def test_plugins_that_need_each_other_are_refused(registry: Registry, shop: PluginShop) -> None:
    shop.add("egg", "1.0.0", needs=["acme/hen"])
    shop.add("hen", "1.0.0", needs=["acme/egg"])
    shop.publish()
    done = registry("install", "acme/egg", "--yes", code=5)
    assert re.search(r"acme/(egg|hen) 1\.0\.0 needs acme/\w+; .*plugins cannot need each", done.err)


def test_two_commands_at_once_leave_whole_sets(
    shop: PluginShop, home: Path, versions: Versions
) -> None:
    shop.add("app", "1.1.0", needs=["acme/words>=2"], main=USES_TERMS)
    shop.publish()
    script = "import sys\nfrom tavo.cli import main\nsys.exit(main(sys.argv[1:]))"
    running = [
        subprocess.Popen(
            [sys.executable, "-c", script, "registry", "install", *words, "--yes", "--mirror",
             str(shop.repository)],
            cwd=ROOT, env={**os.environ, "HOME": str(home)}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for words in (["acme/app==1.0.0"], ["acme/app==1.1.0"], ["acme/modern"])
    ]  # fmt: skip
    told = [one.communicate(timeout=120) for one in running]
    found = versions()
    assert found["acme/words"] == ("1.0.0" if found.get("acme/app") == "1.0.0" else "2.0.0")
    for one, (_, err) in zip(running, told, strict=True):
        assert one.returncode == 0 or (one.returncode == 5 and "nothing was changed" in err) or (
            one.returncode == 5 and "which is installed" in err
        ), err  # fmt: skip


def test_each_type_of_plugin_says_how_it_is_used() -> None:
    assert set(_USE) == set(PLUGIN_TYPES)
    used = {kind: said.format(name="app", id="acme/app") for kind, said in _USE.items()}
    assert used["log"] == "tavo logs analyze FILE --log-plugins app"
    assert used["proxy"].endswith("{filter: plugin, plugin: acme/app}")
