"""The single file as a stranger uses it: a fresh home, every command of the README, no network."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.fakes.single_file import PYZ, ROOT, SHOP, Machine

# An ordinary build has no wheels of other systems: `python3 build.py plugins` fetches them.
FROM_BUILD = ("--from", ROOT / "dist" / "repository", "--plugin", "model-files")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    assert PYZ.exists(), "run the tests with `python3 build.py test`, which builds the file first"
    return Machine(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def installed(machine: Machine) -> Machine:
    machine.run("registry", "install", "model-files", "--yes")
    return machine


def test_version_says_development_root(machine: Machine) -> None:
    assert re.fullmatch(
        r"tavo \d+\.\d+\.\d+ \(DEVELOPMENT ROOT\)\n", machine.run("--version").stdout
    )


def test_browse_lists_the_verified_catalog(machine: Machine) -> None:
    done = machine.run("registry", "browse")
    assert "tavo/model-files\t1.0.0\tstatic\t" in done.stdout
    assert "DEVELOPMENT ROOT" in done.stderr


def test_show_says_what_a_plugin_can_and_can_not(machine: Machine) -> None:
    out = machine.run("registry", "show", "model-files").stdout
    assert "It can:" in out
    assert "It can NOT:" in out
    assert "- use the network" in out


def test_install_without_anyone_to_ask_is_refused_after_showing(machine: Machine) -> None:
    done = machine.run("registry", "install", "model-files", code=5)
    assert "It can NOT:" in done.stdout
    assert "nobody is here to accept its permissions" in done.stderr
    assert "--yes" in done.stderr


def test_a_plugin_that_is_not_installed_is_named(machine: Machine) -> None:
    done = machine.run("scan", SHOP, "--static-plugins", "nosuch", code=2)
    assert "tavo/nosuch: is not installed" in done.stderr


def test_install_verifies_and_reports(installed: Machine) -> None:
    assert installed.run("registry", "list").stdout.startswith("tavo/model-files\t1.0.0\t")
    assert installed.run("registry", "verify").stdout == "tavo/model-files 1.0.0: good\n"


def test_the_plugin_finds_the_poisoned_model(installed: Machine) -> None:
    done = installed.run(
        "scan", SHOP, "--static-plugins", "model-files", "--format", "sarif", code=1
    )
    run = json.loads(done.stdout)["runs"][0]
    hits = [r for r in run["results"] if r["ruleId"] == "model-file-runs-code"]
    assert len(hits) == 1
    assert "posix.system" in hits[0]["message"]["text"]
    uri = hits[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri.endswith("models/recommender.pkl")
    assert [c["name"] for c in run["tool"]["extensions"]] == ["tavo/model-files"]


def test_the_report_names_the_plugin_and_its_sandbox(installed: Machine) -> None:
    out = installed.run("scan", SHOP, "--static-plugins", "model-files", code=1).stdout
    assert "tavo/model-files 1.0.0 on 1 file, sandbox L2" in " ".join(out.split())
    assert "tavo/model-files model-file-runs-code" in out


def test_the_repaired_twin_is_clean_for_both(installed: Machine) -> None:
    twin = ROOT / "examples" / "shop-agent-fixed"
    done = installed.run("scan", twin, "--static-plugins", "model-files")
    assert done.stdout.startswith("No findings: ")


def test_results_are_saved_and_listed(installed: Machine) -> None:
    store = installed.home / "results.db"
    installed.run("scan", SHOP, "--format", "json", "--save", store, code=1)
    assert installed.run("results", "list").stdout.startswith("1\t")


def test_an_edited_installation_is_refused(installed: Machine) -> None:
    main = next((installed.home / ".local" / "share" / "tavo").rglob("main.py"))
    before = main.read_bytes()
    main.chmod(0o644)
    main.write_bytes(before + b"\n")
    try:
        done = installed.run("scan", SHOP, "--static-plugins", "model-files", code=5)
        assert "main.py" in done.stderr
        assert "BAD" in installed.run("registry", "verify", code=5).stdout
    finally:
        main.write_bytes(before)
        main.chmod(0o444)
    assert installed.run("registry", "verify").stdout.endswith(": good\n")


def test_a_mirror_installs_like_the_original(tmp_path: Path) -> None:
    other = Machine(tmp_path)
    mirror = tmp_path / "mirror"
    other.run("mirror", "sync", mirror, *FROM_BUILD)
    other.run("registry", "install", "model-files", "--yes", "--mirror", mirror)
    other.run("registry", "uninstall", "model-files")
    assert other.run("registry", "list").stdout == ""


def test_a_tampered_mirror_is_refused(tmp_path: Path) -> None:
    other = Machine(tmp_path)
    mirror = tmp_path / "mirror"
    other.run("mirror", "sync", mirror, *FROM_BUILD)
    catalog = next((mirror / "targets" / "catalog").glob("*.db"))
    catalog.chmod(0o644)
    catalog.write_bytes(catalog.read_bytes().replace(b"model-files", b"model-filez"))
    fresh = Machine(tmp_path / "fresh")
    done = fresh.run("registry", "browse", "--mirror", mirror, code=5)
    assert done.stderr.startswith("tavo: refused: ")


def test_the_catalog_opens_in_datasette(machine: Machine) -> None:
    process = subprocess.Popen(
        machine.command("registry", "browse", "--web", "--port", "0"),
        env=machine.environment, cwd=machine.home, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        address = ""
        for line in process.stderr:
            if found := re.search(r"http://127\.0\.0\.1:\d+/\S*", line):
                address = found.group().rstrip(".")
                break
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(address, timeout=60) as page:
            text = page.read().decode()
        assert "model-files" in text
        assert "DEVELOPMENT ROOT" in text
    finally:
        process.terminate()
        process.wait(timeout=60)


def test_the_file_runs_by_itself(machine: Machine) -> None:
    folder = machine.home / "bin"
    folder.mkdir()
    (folder / "python3").symlink_to(sys.executable)
    done = subprocess.run(
        [str(PYZ), "--version"], capture_output=True, text=True, check=False,
        env={**machine.environment, "PATH": f"{folder}:/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 0
    assert done.stdout.startswith("tavo ")
