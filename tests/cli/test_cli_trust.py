"""Several marketplaces on one machine, as its user types it: add, look, install, attack, remove."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from marketplace_db.errors import MarketplaceError
from tavo.cli import main
from tavo.errors import ExitCode
from tavo.registry.marketplaces import Marketplaces
from tavo.registry.mirror_server import MirrorServer
from tests.cli.conftest import Done, Run
from tests.cli.test_cli_market import public_of

ADD = ("trust", "add")


class Sites:
    """The operators of marketplaces, each with its keys; `tavo` is the user who trusts them."""

    def __init__(self, tavo: Run, home: Path) -> None:
        self.tavo = tavo
        self.home = home

    def operate(self, name: str, *namespaces: str) -> None:
        """Found a marketplace with namespaces, each with the key of its name."""
        self.ok("market", "init", name, "--keys", f"{name}-keys", "--unsafe-no-passphrase")
        for one in namespaces:
            self.market(name, "publisher", "add", one, "--key", self.public(one), keys=True)
        self.market(name, "reviewer", "add", "--key", self.public("first"), keys=True)
        Path(name, "market.toml").write_text("[vetting]\nrequired = []\n")

    def release(
        self, market: str, plugin: str, version: str = "0.1.0", more: str = "", key: str = ""
    ) -> None:
        """Take a plugin of its author into a marketplace, signed with its namespace's key."""
        namespace, _, name = plugin.partition("/")
        folder = Path(market + "-" + name)
        if not folder.is_dir():
            self.ok("plugin", "init", name, "--publisher", namespace)
            Path(name).rename(folder)
        manifest = folder / "plugin.yaml"
        lines = [
            f"version: {version}" if line.startswith("version:") else line
            for line in manifest.read_text().splitlines()
        ]
        manifest.write_text("\n".join([*lines, more]))
        package = f"{market}-{name}-{version}.zip"
        self.ok("plugin", "pack", folder, "--output", package)
        self.ok("plugin", "sign", package, "--key", f"{key or namespace}.key")
        self.ok("plugin", "submit", package)
        done = self.market(market, "submit", f"{package}.submission", json_=True)
        identifier = json.loads(done.out)["id"]
        self.market(market, "approve", identifier, "--key", "first.key")
        self.market(market, "release", keys=True)

    def market(self, name: str, *words: str, keys: bool = False, json_: bool = False) -> Done:
        more = ("--keys", f"{name}-keys") if keys else ()
        front = ("--json",) if json_ else ()
        return self.ok(*front, "market", *words, "--market", name, *more)

    def public(self, name: str) -> str:
        return str(json.loads(self.ok("--json", "key", "show", f"{name}.key").out)["public"])

    def fingerprint(self, name: str) -> str:
        """What the operator reads to the user over the telephone."""
        done = self.market(name, "status", json_=True)
        return str(json.loads(done.out)["root_fingerprint"])

    def configure(self, name: str) -> None:
        """Make it the one of registry.root, as before there were several."""
        folder = self.home / ".config" / "tavo"
        folder.mkdir(parents=True, mode=0o700)
        tree = Path(name, "repository").absolute()
        (folder / "tavo.toml").write_text(
            f'[registry]\nroot = "{tree}/metadata/1.root.json"\nsource = "{tree}"\n'
        )

    def add(self, name: str, *words: str) -> Done:
        return self.tavo(*ADD, f"{name}/repository", "--name", name, "--fingerprint",
                         self.fingerprint(name), *words)  # fmt: skip

    def ok(self, *words: object) -> Done:
        done = self.tavo(*words)  # type: ignore[arg-type]
        assert done.code == 0, (words, done)
        return done


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An upstream marketplace with acme/finder, and the company's with corp/tool."""
    folder = tmp_path_factory.mktemp("sites")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("HOME", str(folder))
        sites = Sites(_run, folder)
        for name in ("acme", "corp", "first", "mallory"):
            public_of(_run, name)
        sites.operate("upstream", "acme")
        sites.operate("internal", "corp")
        sites.release("upstream", "acme/finder")
        sites.release("internal", "corp/tool")
    return folder


def _run(*words: object) -> Done:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(map(str, words)))
    return Done(code, out.getvalue(), err.getvalue())


@pytest.fixture
def sites(tavo: Run, home: Path, template: Path) -> Sites:
    """A user who trusts upstream, as ever, and knows of the company's."""
    shutil.copytree(template, Path(), dirs_exist_ok=True)
    sites = Sites(tavo, home)
    sites.configure("upstream")
    sites.ok("registry", "update")
    return sites


def test_one_marketplace_says_nothing_of_several(sites: Sites) -> None:
    (row,) = json.loads(sites.ok("--json", "registry", "browse").out)
    assert "marketplace" not in row
    assert "stale" not in row
    assert "default" not in sites.ok("registry", "browse").out


def test_two_marketplaces_are_listed_and_installed_from_together(sites: Sites) -> None:
    added = sites.add("internal", "--namespace", "corp")
    assert added.code == 0, added.err
    assert added.out.startswith("internal: trusted, repository ")
    assert added.out.endswith("its namespaces are corp.\n")
    rows = json.loads(sites.ok("--json", "registry", "browse").out)
    assert [(row["id"], row["marketplace"]) for row in rows] == [
        ("acme/finder", "default"), ("corp/tool", "internal"),
    ]  # fmt: skip
    listed = sites.ok("registry", "search", "tool").out
    assert listed.split()[:4] == ["corp/tool", "0.1.0", "static", "internal"]
    shown = sites.ok("registry", "show", "corp/tool").out
    assert "  from the marketplace internal\n" in shown
    installed = sites.ok("registry", "install", "corp/tool", "acme/finder", "--yes").out
    assert "reviews) from internal" in installed
    assert "reviews) from default" in installed
    here = json.loads(sites.ok("--json", "registry", "list").out)
    assert {one["id"]: one["marketplace"] for one in here} == {
        "acme/finder": "default", "corp/tool": "internal",
    }  # fmt: skip
    sites.release("internal", "corp/tool", "0.2.0")
    updated = sites.ok("registry", "update").out
    assert updated.splitlines()[0].startswith("default: Catalog version ")
    assert updated.splitlines()[1].startswith("internal: Catalog version ")
    assert "Installed corp/tool 0.2.0." in sites.ok("registry", "upgrade", "--yes").out
    assert sites.ok("registry", "verify").out.count(": good") == 2


def confused(sites: Sites) -> None:
    """The attack: upstream opens the company's namespace to somebody else, and releases 99."""
    mallory = sites.public("mallory")
    sites.market("upstream", "publisher", "add", "corp", "--key", mallory, keys=True)
    sites.release("upstream", "corp/tool", "99.0.0", key="mallory")


def test_a_higher_version_elsewhere_is_never_taken(sites: Sites) -> None:
    assert sites.add("internal", "--namespace", "corp").code == 0
    sites.ok("registry", "install", "corp/tool", "--yes")
    confused(sites)
    sites.ok("registry", "update")
    told = sites.ok("registry", "browse")
    assert "default: 1 plugin is not offered: the namespace corp comes from internal" in told.err
    assert "99.0.0" not in told.out
    upgraded = sites.ok("registry", "upgrade", "--yes")
    assert "Nothing to upgrade" in upgraded.err
    exact = sites.tavo("registry", "install", "corp/tool==99.0.0", "--yes")
    assert exact.code == ExitCode.REFUSED
    # also from a mirror of the other marketplace that is named
    named = sites.tavo("registry", "install", "corp/tool", "--yes", "--mirror",
                       "upstream/repository")  # fmt: skip
    assert named.code == ExitCode.REFUSED
    assert "the namespace corp comes from internal here, and from nowhere else" in named.err
    assert "0.1.0" in sites.ok("registry", "list").out


def test_without_the_binding_it_would_be_taken(sites: Sites) -> None:
    """The control: a machine that trusts upstream alone installs the attacker's."""
    confused(sites)
    sites.ok("registry", "update")
    assert (
        "Installed corp/tool 99.0.0." in sites.ok("registry", "install", "corp/tool", "--yes").out
    )


def test_a_namespace_that_nobody_bound_comes_from_nowhere(sites: Sites) -> None:
    assert sites.add("internal", "--all-namespaces").code == 0
    sites.ok("registry", "install", "corp/tool", "--yes")  # so far one has it
    confused(sites)
    sites.ok("registry", "update")
    refused = sites.tavo("registry", "install", "corp/tool", "--yes")
    assert refused.code == ExitCode.REFUSED
    assert "the namespace corp is in default and internal, and it is not said" in refused.err
    assert "--namespace corp" in refused.err
    assert "to take it from default: add internal again with --namespace for each" in refused.err
    assert sites.tavo("registry", "browse").out.count("corp/tool") == 0
    bound = sites.add("internal", "--namespace", "corp")
    assert bound.code == 0, bound.err
    assert "0.1.0" in sites.ok("registry", "show", "corp/tool").out


def test_what_a_plugin_needs_comes_from_where_its_namespace_does(sites: Sites) -> None:
    """Dependencies are no way around: neither by a name that is bound, nor by one that is not."""
    sites.release("internal", "corp/words")
    sites.release(
        "internal", "corp/user", more="requires_plugins: ['corp/words>=0.1', 'acme/finder']\n"
    )
    assert sites.add("internal", "--namespace", "corp").code == 0
    done = sites.ok("registry", "install", "corp/user", "--yes")
    assert "Installed corp/words 0.1.0." in done.out
    assert "Installed acme/finder 0.1.0." in done.out
    assert sites.ok("registry", "verify").out.count(": good") == 3
    confused(sites)
    sites.release("upstream", "corp/words", "99.0.0", key="mallory")
    sites.ok("registry", "update")
    for words in (("upgrade",), ("install", "corp/user")):
        done = sites.ok("registry", *words, "--yes")
        assert "99.0.0" not in done.out
    assert "99.0.0" not in sites.ok("registry", "list").out


def test_a_bound_marketplace_that_is_gone_is_not_replaced(sites: Sites) -> None:
    assert sites.add("internal", "--namespace", "corp").code == 0
    confused(sites)
    Path("internal/repository").rename("away")
    updated = sites.tavo("registry", "update")
    assert updated.code == ExitCode.USAGE
    assert "internal: " in updated.err
    assert "default: Catalog version" in updated.out
    for path in (sites.home / ".cache").rglob("*.catalog.db"):
        if b"corp/tool" in path.read_bytes() and b"acme/finder" not in path.read_bytes():
            path.unlink()
    refused = sites.tavo("registry", "install", "corp/tool", "--yes")
    assert refused.code == ExitCode.REFUSED
    assert "the namespace corp comes from internal, whose catalog cannot be used now" in refused.err
    listed = sites.tavo("registry", "browse")
    assert listed.code == ExitCode.INCOMPLETE
    assert "acme/finder" in listed.out


WRONG: list[tuple[Callable[[Sites], tuple[str, ...]], int, str]] = [
    (lambda s: (), 2, "say which namespaces come from it"),
    (lambda s: ("--all-namespaces", "--fingerprint", "12 34"), 2, "is no fingerprint"),
    (lambda s: ("--all-namespaces",), 5, "nobody is here to type its fingerprint"),
    (lambda s: ("--all-namespaces", "--fingerprint", "ab" * 32), 5, "other keys than the ones you"),
    (lambda s: ("--all-namespaces", "--fingerprint", s.fingerprint("upstream")), 5, "other keys"),
    (lambda s: ("--namespace", "Corp", "--fingerprint", s.fingerprint("internal")), 2,
     "is no namespace"),
    (lambda s: ("--namespace", "corp", "--before", "x", "--fingerprint",
                s.fingerprint("internal")), 2, "known are default"),
]  # fmt: skip


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_what_is_not_confirmed_is_not_trusted(sites: Sites, number: int) -> None:
    words, code, sentence = WRONG[number]
    done = sites.tavo(*ADD, "internal/repository", "--name", "internal", *words(sites))
    assert (done.code, sentence in done.err) == (code, True), done.err
    assert not Marketplaces.load(sites.home / ".config" / "tavo")


def test_the_fingerprint_is_typed_as_it_is_read_out(sites: Sites) -> None:
    text = sites.market("internal", "status").out
    (line,) = [line for line in text.splitlines() if line.startswith("fingerprint")]
    spoken = line.split(maxsplit=1)[1].upper().replace(" ", ":")
    done = sites.tavo(*ADD, "internal/repository", "--name", "internal", "--namespace", "corp",
                      "--fingerprint", spoken)  # fmt: skip
    assert done.code == 0, done.err
    shown = sites.ok("trust", "show").out
    assert line.split(maxsplit=1)[1] in shown
    assert "internal: repository " in shown
    assert "  namespaces corp\n" in shown
    assert "  namespaces all that are bound to no other, now acme\n" in shown


def test_a_renewed_root_keeps_its_fingerprint_and_an_old_one_leads_on(sites: Sites) -> None:
    before = sites.fingerprint("internal")
    sites.market("internal", "renew", "root", keys=True)
    assert sites.fingerprint("internal") == before
    assert sites.add("internal", "--namespace", "corp").code == 0


def test_a_removed_marketplace_is_trusted_no_more_and_not_rolled_back(sites: Sites) -> None:
    assert sites.add("internal", "--namespace", "corp").code == 0
    sites.ok("registry", "install", "corp/tool", "--yes")
    shutil.copytree("internal/repository", "old/repository")
    fingerprint = sites.fingerprint("internal")
    sites.release("internal", "corp/tool", "0.2.0")
    sites.ok("registry", "update")
    removed = sites.ok("trust", "remove", "internal")
    assert "Its plugins are still installed" in removed.err
    assert sites.tavo("registry", "show", "corp/tool").code == ExitCode.REFUSED
    again = sites.tavo(*ADD, "old/repository", "--name", "internal", "--namespace", "corp",
                       "--fingerprint", fingerprint)  # fmt: skip
    assert again.code == ExitCode.REFUSED
    assert "accepted before" in again.err or "must be >=" in again.err
    assert sites.add("internal", "--namespace", "corp").code == 0


def test_two_cannot_have_one_namespace_or_one_name(sites: Sites) -> None:
    sites.operate("third", "corp")
    assert sites.add("internal", "--namespace", "corp").code == 0
    other = sites.add("third", "--namespace", "corp")
    assert other.code == ExitCode.USAGE
    assert "the namespace corp is bound to internal already" in other.err
    twice = sites.tavo(*ADD, "internal/repository", "--name", "more", "--namespace", "corp",
                       "--fingerprint", sites.fingerprint("internal"))  # fmt: skip
    assert "was added already, as internal" in twice.err
    default = sites.add("upstream", "--all-namespaces")
    assert "is trusted already: it is the one of this file or of registry.root" in default.err


def test_the_file_of_marketplaces_is_not_edited_into_another_root(sites: Sites) -> None:
    assert sites.add("internal", "--namespace", "corp").code == 0
    file = sites.home / ".config" / "tavo" / "marketplaces.json"
    value = json.loads(file.read_text())
    value["marketplaces"][0]["root"] = Path("upstream/repository/metadata/1.root.json").read_text()
    file.write_text(json.dumps(value))
    done = sites.tavo("registry", "browse")
    assert done.code == ExitCode.USAGE
    assert "the root of internal is not the one that was confirmed" in done.err
    file.parent.chmod(0o777)
    assert "belongs to somebody else, or others may write" in sites.tavo("trust", "show").err


def test_mirrors_of_both_are_told_apart(sites: Sites) -> None:
    assert sites.add("internal", "--namespace", "corp").code == 0
    for name in ("upstream", "internal"):
        sites.ok("mirror", "sync", f"m-{name}", "--from", f"{name}/repository")
        sites.ok("mirror", "verify", f"m-{name}")
        sites.ok("mirror", "export", f"b-{name}", "--from", f"m-{name}")
        sites.ok("mirror", "import", f"i-{name}", f"b-{name}")
    sites.ok("registry", "install", "corp/tool", "--yes", "--mirror", "m-internal")
    sites.operate("foreign", "corp")
    sites.release("foreign", "corp/tool")
    refused = sites.tavo("mirror", "sync", "m-foreign", "--from", "foreign/repository")
    assert refused.code == ExitCode.REFUSED
    assert "is of no marketplace that this machine trusts" in refused.err


@pytest.mark.parametrize("which", ["internal", "foreign"])
def test_a_mirror_is_served_whoever_trusts_it(
    sites: Sites, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sites.add("internal", "--namespace", "corp").code == 0
    shown: list[str] = []

    def pages(folder: Path, load: Callable[[], object], *words: object, **more: object) -> None:
        load()
        shown.append("pages")
        (sites.home / ".config" / "tavo").chmod(0o777)
        with pytest.raises(MarketplaceError):  # not what ends the thread that looks after it
            load()

    def interrupted(self: MirrorServer) -> None:
        shown.append("files")
        raise KeyboardInterrupt

    monkeypatch.setattr("marketplace_db.web.mirror_front.serve_mirror", pages)
    monkeypatch.setattr(MirrorServer, "serve_forever", interrupted)
    if which == "foreign":
        sites.operate("foreign", "corp")
    done = sites.ok("mirror", "serve", f"{which}/repository", "--port", "0")
    assert shown == ["pages" if which == "internal" else "files"]
    if which == "foreign":
        assert "Files only, without pages: foreign/repository: is of no marketplace" in done.err


def test_a_state_of_schema_4_keeps_what_it_holds(sites: Sites) -> None:
    """As an earlier tavo wrote it: one marketplace, no confirmed times, no log, no firm end."""
    sites.ok("registry", "install", "acme/finder", "--yes")
    path = sites.home / ".local" / "state" / "tavo" / "state.db"
    with sqlite3.connect(path) as state:
        state.execute("DROP TABLE confirmed_times")
        for repository, text in state.execute("SELECT repository, value FROM trust").fetchall():
            old = _without(json.loads(text), {"log", "firm_expires"})
            state.execute("UPDATE trust SET value = ? WHERE repository = ?",
                          (json.dumps(old), repository))  # fmt: skip
        for name, text in state.execute("SELECT full_id, provenance FROM installations").fetchall():
            old = _without(json.loads(text), {"needs_from"})
            state.execute("UPDATE installations SET provenance = ? WHERE full_id = ?",
                          (json.dumps(old), name))  # fmt: skip
        before = {name: state.execute(f"SELECT * FROM {name}").fetchall()
                  for name in ("installations", "grants", "trust")}  # fmt: skip
        state.execute("PRAGMA user_version = 4")
    state.close()
    assert all(before.values())
    (row,) = json.loads(sites.ok("--json", "registry", "list").out)
    assert row["id"] == "acme/finder"
    with sqlite3.connect(path) as state:
        assert state.execute("PRAGMA user_version").fetchone() == (5,)
        assert before == {name: state.execute(f"SELECT * FROM {name}").fetchall()
                          for name in before}  # fmt: skip
    state.close()
    sites.ok("registry", "verify", "acme/finder")
    sites.ok("registry", "browse")
    sites.ok("trust", "clock", "--set", f"{datetime.now(UTC):%Y-%m-%d}", "--reason", "a calendar")
    assert sites.add("internal", "--namespace", "corp").code == 0
    sites.release("upstream", "acme/finder", "0.2.0")
    sites.ok("registry", "update")
    sites.ok("registry", "install", "corp/tool", "--yes")


def test_advisories_of_all_marketplaces_count(sites: Sites) -> None:
    assert sites.add("internal", "--namespace", "corp").code == 0
    sites.ok("registry", "install", "corp/tool", "--yes")
    nothing = sites.tavo("registry", "advisories")
    assert nothing.code == ExitCode.FAILED
    assert "no marketplace of this machine has a snapshot" in nothing.err
    for name, identifier in (("internal", "PYSEC-1"), ("upstream", "PYSEC-2")):
        folder = Path(f"{name}-records")
        folder.mkdir()
        (folder / "a.json").write_text(json.dumps(
            {"id": identifier, "summary": "It leaks", "modified": "2026-01-01T00:00:00Z",
             "affected": [{"package": {"ecosystem": "PyPI", "name": "northwords"},
                           "versions": ["1.0"]}]}
        ))  # fmt: skip
        sites.market(name, "advisories", str(folder), keys=True)
        done = sites.ok("registry", "advisories")
    assert done.err.startswith("0 known about 0 wheels of 1 plugins; 2 snapshots have 2 advisories")
    cached = sites.home / ".cache" / "tavo" / "advisories"
    assert len(list(cached.glob("*.db"))) == 2
    shutil.move("internal/repository", "gone")
    partly = sites.tavo("registry", "advisories")
    assert partly.code == ExitCode.INCOMPLETE
    assert "internal: its snapshot cannot be used now: " in partly.err


def _without(value: object, names: set[str]) -> object:
    if isinstance(value, dict):
        return {key: _without(one, names) for key, one in value.items() if key not in names}
    return [_without(one, names) for one in value] if isinstance(value, list) else value


def later(monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    now = datetime.now(UTC) + timedelta(days=days)
    monkeypatch.setattr("tavo.registry.trust.utc_now", lambda: now)


def test_old_lists_are_shown_as_text_json_and_exit_code(
    sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    install = ("registry", "install", "acme/finder", "--yes")
    later(monkeypatch, 10)
    assert sites.tavo(*install).code == ExitCode.REFUSED  # control: without a policy
    policy = sites.home / "policy.yaml"
    policy.write_text("site_policy: 1\nstale:\n  days: 30\n  reason: the courier is slow\n")
    monkeypatch.setenv("TAVO_REGISTRY_SITE_POLICY", str(policy))
    done = sites.tavo(*install)
    assert done.code == ExitCode.INCOMPLETE
    assert "Installed acme/finder 0.1.0." in done.out
    assert "tavo: STALE: timestamp metadata expired " in done.err
    assert "the policy of this site allows 30" in done.err
    listed = sites.tavo("--json", "registry", "browse")
    assert listed.code == ExitCode.INCOMPLETE
    (row,) = json.loads(listed.out)
    assert (row["stale"]["role"], row["stale"]["allowed"]) == ("timestamp", 30)
    synced = sites.tavo("mirror", "sync", "m", "--from", "upstream/repository")
    assert (synced.code, "STALE" in synced.err) == (ExitCode.INCOMPLETE, True)
    assert "expired lists count for 30 days (the courier is slow)" in sites.ok("trust", "show").out
    later(monkeypatch, 40)
    assert sites.tavo("registry", "browse").code == ExitCode.REFUSED
    Path("tavo.toml").write_text(f'[registry]\nsite_policy = "{policy}"\n')
    project = sites.tavo("registry", "browse")
    assert project.code == ExitCode.USAGE  # what is scanned cannot allow it
    assert "may not be set by a project" in project.err


def test_the_clock_is_shown_told_and_confirmed(
    sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = sites.ok("trust", "clock")
    assert "this machine's clock:          20" in right.out
    assert "newest signed time accepted:" in right.out
    assert "WRONG" not in right.out
    later(monkeypatch, -20.5)
    wrong = sites.tavo("trust", "clock")
    assert wrong.code == ExitCode.INCOMPLETE
    assert "WRONG: this machine's clock is 20 days behind" in wrong.out
    assert "This machine's clock" in sites.tavo("registry", "browse").err
    assert json.loads(sites.tavo("--json", "trust", "clock").out)["behind_s"] > 19 * 86400
    for words in (("--set", "2026-01-01"), ("--reason", "x"), ("--set", "soon", "--reason", "x")):
        assert sites.tavo("trust", "clock", *words).code == ExitCode.USAGE
    time = datetime.now(UTC) + timedelta(days=60)
    sites.tavo("trust", "clock", "--set", f"{time:%Y-%m-%d %H:%M}", "--reason", "a calendar")
    shown = sites.tavo("trust", "clock").out
    assert "(a calendar; the clock said " in shown
    assert f"expiry is judged at:           {time:%Y-%m-%d}" in shown
    assert sites.tavo("registry", "update").code == ExitCode.REFUSED  # expired by that time
    later(monkeypatch, 0)
    sites.ok("trust", "clock", "--set", "2026-01-01", "--reason", "the calendar was wrong")
    sites.ok("registry", "update")


def test_a_mirror_is_audited_from_the_command_line(sites: Sites) -> None:
    sites.ok("mirror", "sync", "m", "--from", "upstream/repository")
    first = sites.ok("--json", "mirror", "audit", "m", "--out", "first")
    sites.release("upstream", "acme/finder", "0.2.0")
    sites.ok("mirror", "sync", "m", "--from", "upstream/repository")
    done = sites.ok("mirror", "audit", "m", "--out", "second", "--since", "first/checkpoint.note")
    size = json.loads(first.out)["size"]
    assert f"is release {size + 1} of {size + 1} in the log tavo/" in done.out
    assert f"continues the checkpoint of {size} that was seen before" in done.out
    proofs = [Path("second", name) for name in ("inclusion.json", "consistency.json")]
    assert all(path.stat().st_size < 2000 for path in proofs)
    (key,) = {line.split()[-1] for line in done.out.splitlines() if "signed by" in line}
    script = Path(__file__).parents[2] / "examples" / "verify_log.py"
    checked = subprocess.run(
        [sys.executable, "-I", script, *proofs, "--key", key], check=False, capture_output=True
    )
    assert checked.returncode == 0, checked.stderr
    logs = Path("m/targets/catalog").glob("*.releases.log")
    newest = max(logs, key=lambda path: path.stat().st_size)
    good = newest.read_bytes()
    newest.write_bytes(good.replace(b'"releases":', b'"releases":1', 1))
    for command in ("verify", "audit"):
        refused = sites.tavo("mirror", command, "m")
        assert refused.code == ExitCode.REFUSED
        assert newest.name in refused.out + refused.err
    newest.write_bytes(good)
    sites.ok("mirror", "audit", "m")  # control
    assert "is no checkpoint" in sites.tavo("mirror", "audit", "m", "--since", "acme.key").err
    assert sites.tavo("mirror", "audit", "m", "--catalog", "12").code == ExitCode.USAGE
    assert "was never released" in sites.tavo("mirror", "audit", "m", "--catalog", "ab" * 32).err
