"""An installed plugin whose package or keys were recalled does not run any more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from signing.digests import Digest
from signing.publishers import Recalls
from tavo.cli.context import Session
from tavo.folders import user_paths
from tavo.host.installations import Installations
from tavo.host.state import State
from tests.cli.conftest import Run
from tests.fakes.plugins import PluginMachine

KEYS = {"publisher_keys": ["aa" * 32], "reviewer_keys": ["bb" * 32, "cc" * 32]}


@pytest.fixture
def package(tavo: Run, tmp_path: Path) -> Digest:
    """A plugin in this user's own store, as the registry would have installed it."""
    maker = PluginMachine(tmp_path / "maker")
    accepted = maker.accepted()
    paths = user_paths()
    with State(paths.state / "state.db") as state:
        one = Installations(state, paths.data / "plugins").install(accepted, {}, KEYS)
        state.grant(accepted.inspected.manifest, [], repository="")
    Path("a.txt").write_text("a secret\n")
    return one.package


@pytest.mark.parametrize(
    ("keys", "sentence"),
    [
        ({"aa" * 32: "stolen"}, "the key aaaaaaaaaaaa that signed it was revoked: stolen"),
        ({"bb" * 32: "stolen", "cc" * 32: "lost"}, "the key bbbbbbbbbbbb that signed it"),
        ({"bb" * 32: "stolen"}, None),
        ({"dd" * 32: "stolen"}, None),
    ],
)
def test_a_plugin_stops_with_the_last_key_behind_it(
    tavo: Run,
    package: Digest,
    monkeypatch: pytest.MonkeyPatch,
    keys: dict[str, str],
    sentence: str | None,
) -> None:
    monkeypatch.setattr(Session, "recalls", lambda _: Recalls(keys=keys))
    done = tavo("scan", ".", "--static-plugins", "acme/sample", "--format", "json")
    checked = tavo("registry", "verify")
    if sentence is None:
        assert len(json.loads(done.out)["findings"]) == 1
        assert (done.code, checked.code) == (1, 0)
    else:
        assert done.code == checked.code == 5
        assert f"was recalled: {sentence}" in done.err
        assert f"BAD: acme/sample 1.0.0: was recalled: {sentence}" in checked.out
