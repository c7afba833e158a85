"""Settings: who wins, what is refused, and what a scanned project can never set."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tavo import config, folders
from tavo.config import PROJECT_FILE, Settings, load_project, load_settings
from tavo.errors import ConfigError, ExitCode, exit_code_of
from tavo.folders import user_paths
from tavo.plugins import Confidence, Severity


class Place:
    """A home folder with a user file, and a project folder with a project file."""

    def __init__(self, folder: Path) -> None:
        self.home, self.project = folder / "home", folder / "project"
        self.home.mkdir()
        self.project.mkdir()
        self.environment: dict[str, str] = {"HOME": str(self.home), "USERPROFILE": str(self.home)}
        self.user_file = user_paths(self.environment).config / PROJECT_FILE
        self.project_file = self.project / PROJECT_FILE

    def load(
        self,
        *,
        user: str = "",
        project: str = "",
        environment: Mapping[str, str] | None = None,
        flags: Mapping[str, object] | None = None,
    ) -> Settings:
        if user:
            self.user_file.parent.mkdir(parents=True, exist_ok=True)
            self.user_file.write_text(user)
        if project:
            self.project_file.write_text(project)
        return load_settings(
            environment={**self.environment, **(environment or {})},
            flags=flags,
            folder=self.project,
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_without_anything_the_defaults_hold(place: Place) -> None:
    assert place.load() == Settings()
    assert Settings().scan.fail_on is Severity.LOW


def test_flags_over_environment_over_project_over_user(place: Place) -> None:
    def jobs(*, user: bool, project: bool, environment: bool, flags: bool) -> int:
        return place.load(
            user="[scan]\njobs = 1\n" if user else "# none\n",
            project="[scan]\njobs = 2\n" if project else "# none\n",
            environment={"TAVO_JOBS": "3"} if environment else {},
            flags={"scan.jobs": 4 if flags else None},
        ).scan.jobs

    assert jobs(user=True, project=True, environment=True, flags=True) == 4
    assert jobs(user=True, project=True, environment=True, flags=False) == 3
    assert jobs(user=True, project=True, environment=False, flags=False) == 2
    assert jobs(user=True, project=False, environment=False, flags=False) == 1
    assert jobs(user=False, project=False, environment=False, flags=False) == 0


def test_every_key_can_be_set_in_the_user_file(place: Place) -> None:
    settings = place.load(
        user="""
        offline = true
        [scan]
        exclude = ["generated/"]
        max_file_bytes = 1000
        jobs = 3
        fail_on = "high"
        fail_on_confidence = "medium"
        rules = ["rules", "/opt/rules.yaml"]
        suppressions = "s.yaml"
        policy = ["policies"]
        policy_data = ["/opt/data.json"]
        allow_incomplete = ["acme/slow"]
        [sandbox]
        accept = ["L1:tavo/model-files", "L0:mine"]
        [registry]
        source = "https://example.org/tavo"
        root = "root.json"
        [lsp]
        min_severity = "medium"
        """
    )
    folder = place.user_file.parent
    assert settings.offline is True
    assert settings.scan.exclude == ("generated/",)
    assert settings.scan.max_file_bytes == 1000
    assert settings.scan.fail_on is Severity.HIGH
    assert settings.scan.fail_on_confidence is Confidence.MEDIUM
    assert settings.scan.suppressions == str(folder / "s.yaml")
    assert settings.scan.policy == (str(folder / "policies"),)
    assert settings.scan.policy_data == ("/opt/data.json",)
    assert settings.scan.allow_incomplete == ("acme/slow",)
    assert settings.scan.rules == (str(folder / "rules"), "/opt/rules.yaml")
    assert settings.sandbox.accept == ("L1:tavo/model-files", "L0:mine")
    assert settings.registry.source == "https://example.org/tavo"
    assert settings.registry.root == str(folder / "root.json")
    assert settings.lsp.min_severity is Severity.MEDIUM


def test_every_key_has_a_variable(place: Place) -> None:
    assert sorted(config._FROM_ENVIRONMENT.values()) == sorted(config._KINDS)
    settings = place.load(
        environment={
            "TAVO_OFFLINE": "1", "TAVO_EXCLUDE": "a/, b/", "TAVO_MAX_FILE_BYTES": "9",
            "TAVO_JOBS": "2", "TAVO_FAIL_ON": "critical", "TAVO_RULES": "r.yaml",
            "TAVO_ACCEPT_SANDBOX": "L1:tavo/model-files", "TAVO_REGISTRY_SOURCE": "mirror",
            "TAVO_REGISTRY_ROOT": "/etc/root.json", "TAVO_LSP_MIN_SEVERITY": "high",
            "TAVO_FAIL_ON_CONFIDENCE": "high", "TAVO_SUPPRESSIONS": "s.yaml", "TAVO_POLICY": "a,b",
            "TAVO_POLICY_DATA": "d.json", "TAVO_ALLOW_INCOMPLETE": "acme/slow,odd.py",
        }
    )  # fmt: skip
    assert settings.offline is True
    assert settings.scan.exclude == ("a/", "b/")
    assert settings.scan.rules == (str(place.project / "r.yaml"),)
    assert settings.scan.fail_on_confidence is Confidence.HIGH
    assert settings.scan.suppressions == str(place.project / "s.yaml")
    assert settings.scan.policy == (str(place.project / "a"), str(place.project / "b"))
    assert settings.scan.policy_data == (str(place.project / "d.json"),)
    assert settings.scan.allow_incomplete == ("acme/slow", "odd.py")
    assert settings.sandbox.accept == ("L1:tavo/model-files",)
    assert settings.registry.source == str(place.project / "mirror")


def test_an_editor_leaves_the_project_s_rules_out(place: Place) -> None:
    (place.project / PROJECT_FILE).write_text('[scan]\nrules = ["evil.yaml"]\n')
    asked = {"environment": place.environment, "folder": place.project}
    assert load_settings(**asked, with_project=False).scan.rules == ()
    assert load_settings(**asked).scan.rules == (str(place.project / "evil.yaml"),)  # the control
    assert load_project(place.project) == {"scan.rules": (str(place.project / "evil.yaml"),)}
    (place.project / PROJECT_FILE).write_text('[registry]\nsource = "https://evil.example"\n')
    with pytest.raises(ConfigError, match="decides about trust"):
        load_project(place.project)


def test_an_empty_variable_is_not_set(place: Place) -> None:
    assert place.load(environment={"TAVO_JOBS": " "}).scan.jobs == 0


TRUST = [
    ('[sandbox]\naccept = ["L0:evil/plugin"]\n', "sandbox.accept"),
    ('[registry]\nsource = "https://evil.example"\n', "registry.source"),
    ('[registry]\nroot = "root.json"\n', "registry.root"),
    ("offline = false\n", "offline"),
    ('[scan]\nsuppressions = "s.yaml"\n', "scan.suppressions"),
    ('[scan]\npolicy = ["p.rego"]\n', "scan.policy"),
    ('[scan]\npolicy_data = ["d.json"]\n', "scan.policy_data"),
    ('[scan]\nallow_incomplete = ["x"]\n', "scan.allow_incomplete"),
]


@pytest.mark.parametrize(("text", "key"), TRUST)
def test_a_project_cannot_decide_about_trust(place: Place, text: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        place.load(project=text)
    assert str(place.project_file) in str(caught.value)
    assert f"{key} may" in str(caught.value)
    assert caught.value.hint
    assert exit_code_of(caught.value) is ExitCode.USAGE


@pytest.mark.parametrize(("text", "key"), TRUST)
def test_a_project_cannot_decide_about_trust_through_config_either(
    place: Place, text: str, key: str
) -> None:
    other = place.project / "other.toml"
    other.write_text(text)
    with pytest.raises(ConfigError, match=key):
        load_settings(project_file=other, environment=place.environment, folder=place.project)


@pytest.mark.parametrize(("text", "key"), TRUST)
def test_control_without_the_refusal_the_project_would_decide(
    place: Place, text: str, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config, "_refuse_trust", lambda *_: None)
    settings = place.load(user="offline = true\n", project=text)
    assert settings != Settings(offline=True)


def test_a_project_can_be_stricter_about_the_network(place: Place) -> None:
    assert place.load(project="offline = true\n").offline is True


@pytest.mark.parametrize(
    ("user", "project", "expected"),
    [
        ("", "info", Severity.INFO), ("", "low", Severity.LOW), ("", "medium", None),
        ("high", "medium", Severity.MEDIUM), ("high", "critical", None), ("info", "low", None),
        ("high", "", Severity.HIGH),
    ],
)  # fmt: skip
def test_a_project_can_only_lower_a_threshold(
    place: Place, user: str, project: str, expected: Severity | None
) -> None:
    def file(value: str) -> str:
        return f"[scan]\nfail_on = '{value}'\n" if value else "# none\n"

    if expected is None:
        with pytest.raises(ConfigError, match="may not let more pass") as caught:
            place.load(user=file(user), project=file(project))
        assert str(place.user_file) in caught.value.hint
        assert f"--fail-on {project}" in caught.value.hint
        flags = {"scan.fail_on": "low"}
        with pytest.raises(ConfigError):
            place.load(user=file(user), project=file(project), flags=flags)
    else:
        assert place.load(user=file(user), project=file(project)).scan.fail_on is expected


def test_paths_of_a_project_file_start_at_its_folder(place: Place) -> None:
    assert place.load(project='[scan]\nrules = ["security"]\n').scan.rules == (
        str(place.project / "security"),
    )


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("[scan]\njob = 2\n", "unknown key 'scan.job'", "Did you mean 'scan.jobs'?"),
        ("[scann]\njobs = 2\n", "unknown section [scann]", "Did you mean 'scan'?"),
        ("[scann]\n", "unknown section [scann]", "Did you mean 'scan'?"),
        ("fail_on = 'low'\n", "unknown key 'fail_on'", "Did you mean 'scan.fail_on'?"),
        ("[scan]\n[scan.deep]\nx = 1\n", "unknown key 'scan.deep'", ""),
        ("colour = 1\n", "unknown key 'colour'", "Known: offline, "),
        ("scan = 3\n", "scan is 3, expected a section [scan]", ""),
        ("[scan]\njobs = -1\n", "scan.jobs is -1, expected a whole number from 0", ""),
        ("[scan]\njobs = true\n", "scan.jobs is True, expected a whole number from 0", ""),
        ("[scan]\nmax_file_bytes = 0\n", "expected a whole number from 1", ""),
        ("[scan]\nfail_on = 'hihg'\n", "expected info, low, medium, high or critical", ""),
        ("[scan]\nexclude = 'a'\n", "scan.exclude is 'a', expected a list of texts", ""),
        ("[scan]\nexclude = [1]\n", "expected a list of texts", ""),
        ("offline = 'yes'\n", "offline is 'yes', expected true or false", ""),
        ("[scan\n", "not TOML", "Texts need quotes"),
        ("a = " + "[" * 5000, "not TOML", ""),
    ],
)
def test_a_wrong_file_is_named_with_its_key(
    place: Place, text: str, message: str, hint: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        place.load(project=text)
    assert str(caught.value).startswith(str(place.project_file))
    assert message in str(caught.value)
    assert hint in caught.value.hint


def test_a_sandbox_answer_names_level_and_plugin(place: Place) -> None:
    for answer in ("model-files", "L9:tavo/x", "L1:", "L1:../x", "L1:*"):
        with pytest.raises(ConfigError, match=r"sandbox\.accept"):
            place.load(environment={"TAVO_ACCEPT_SANDBOX": answer})


def test_an_unknown_variable_is_named_with_the_nearest(place: Place) -> None:
    with pytest.raises(ConfigError, match="unknown variable TAVO_ACEPT_SANDBOX") as caught:
        place.load(environment={"TAVO_ACEPT_SANDBOX": "L1:tavo/x"})
    assert "TAVO_ACCEPT_SANDBOX" in caught.value.hint
    place.load(environment={"TAVO_TEST_ANYTHING": "1"})


def test_a_wrong_variable_is_named(place: Place) -> None:
    with pytest.raises(ConfigError, match=r"the variable TAVO_JOBS: scan\.jobs is 'many'"):
        place.load(environment={"TAVO_JOBS": "many"})
    with pytest.raises(ConfigError, match="the variable TAVO_OFFLINE"):
        place.load(environment={"TAVO_OFFLINE": "maybe"})


def test_a_named_file_must_exist(place: Place) -> None:
    with pytest.raises(ConfigError, match="no such file"):
        load_settings(project_file=place.project / "none.toml", environment=place.environment)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"#" * 300_000])
def test_a_file_that_is_no_text_or_too_large_is_refused(place: Place, content: bytes) -> None:
    place.project_file.write_bytes(content)
    with pytest.raises(ConfigError, match=r"tavo\.toml"):
        place.load()


def test_a_folder_or_a_pipe_is_not_read(place: Place) -> None:
    place.project_file.mkdir()
    with pytest.raises(ConfigError, match="not a regular file"):
        place.load()
    if hasattr(os, "mkfifo"):
        place.project_file.rmdir()
        os.mkfifo(place.project_file)
        with pytest.raises(ConfigError, match="not a regular file"):
            place.load()


def test_settings_cannot_be_changed_afterwards(place: Place) -> None:
    with pytest.raises(AttributeError):
        place.load().scan.jobs = 7  # type: ignore[misc]


@pytest.mark.skipif(sys.platform in {"win32", "darwin"}, reason="XDG")
def test_folders_follow_xdg(tmp_path: Path) -> None:
    paths = user_paths({"HOME": "/home/ada"})
    assert str(paths.config) == "/home/ada/.config/tavo"
    assert str(paths.data) == "/home/ada/.local/share/tavo"
    assert str(paths.state) == "/home/ada/.local/state/tavo"
    assert str(paths.cache) == "/home/ada/.cache/tavo"
    moved = user_paths({"HOME": "/home/ada", "XDG_CACHE_HOME": "/var/ada"})
    assert str(moved.cache) == "/var/ada/tavo"
    relative = user_paths({"HOME": "/home/ada", "XDG_CACHE_HOME": "cache"})
    assert str(relative.cache) == "/home/ada/.cache/tavo", "XDG: a relative path is ignored"


@pytest.mark.parametrize(
    ("platform", "config_folder", "cache_folder"),
    [
        ("darwin", "Library/Application Support/tavo", "Library/Caches/tavo"),
        ("win32", "AppData/Local/tavo", "AppData/Local/tavo/cache"),
    ],
)
def test_folders_follow_the_other_systems(
    platform: str, config_folder: str, cache_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    paths = user_paths({"HOME": "/home/ada", "USERPROFILE": "/home/ada"})
    assert paths.config == Path("/home/ada") / config_folder
    assert paths.cache == Path("/home/ada") / cache_folder


def test_a_user_without_a_home_can_scan_but_has_no_folders(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "_home_of_account", lambda: None)
    assert load_settings(environment={}, folder=place.project) == Settings()
    with pytest.raises(ConfigError, match="no home folder") as caught:
        user_paths({})
    assert "Set " in caught.value.hint
