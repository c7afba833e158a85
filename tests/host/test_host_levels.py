"""Which sandbox a plugin needs, and how a user accepts less for one of them."""

from __future__ import annotations

import pytest

from tavo.errors import ConfigError, ExitCode, exit_code_of
from tavo.host.sandbox.levels import (
    LevelPolicy,
    SandboxLevel,
    SandboxUnavailableError,
    parse_acceptances,
    strongest_here,
)


def test_an_acceptance_names_a_level_and_a_plugin() -> None:
    assert parse_acceptances("L1:tavo/model-files, L0:acme/x,,L1:small") == {
        "tavo/model-files": SandboxLevel.LIMITS,
        "acme/x": SandboxLevel.NONE,
        "tavo/small": SandboxLevel.LIMITS,
    }
    assert parse_acceptances(["L2:acme/x"]) == {"acme/x": SandboxLevel.STANDARD}
    assert parse_acceptances("") == {}


@pytest.mark.parametrize(
    "text", ["L1", "L4:acme/x", "1:acme/x", "L1:*", "L1:acme/", "L1:acme/x/y", "l1:acme/x",
             "L1:ACME/x", "L1: acme/x", "yes"],
)  # fmt: skip
def test_anything_else_is_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigError, match="TAVO_ACCEPT_SANDBOX"):
        parse_acceptances(text)


def test_an_acceptance_is_for_one_plugin_and_never_raises_the_need() -> None:
    policy = LevelPolicy(accepted={"acme/x": SandboxLevel.LIMITS, "acme/y": SandboxLevel.STRONG})
    assert policy.lowest("acme/x") is SandboxLevel.LIMITS
    assert policy.lowest("acme/y") is SandboxLevel.STANDARD
    assert policy.lowest("acme/z") is SandboxLevel.STANDARD


def test_systems_are_named_for_what_they_give() -> None:
    assert strongest_here("linux") is SandboxLevel.STRONG
    assert strongest_here("darwin") is SandboxLevel.LIMITS
    assert strongest_here("win32") is SandboxLevel.NONE


def test_the_refusal_says_what_is_missing_and_names_the_ways_out() -> None:
    error = SandboxUnavailableError("acme/x", SandboxLevel.STANDARD, "landlock", "ENOSYS")
    assert str(error) == (
        "acme/x: needs sandbox level L2, but the layer landlock cannot be had here: ENOSYS"
    )
    assert "TAVO_ACCEPT_SANDBOX=L1:acme/x" in error.hint
    assert exit_code_of(error) is ExitCode.REFUSED


@pytest.mark.parametrize("layer", ["namespaces", "view"])
def test_what_only_the_strongest_level_has_leaves_l2_as_a_way_out(layer: str) -> None:
    error = SandboxUnavailableError("acme/x", SandboxLevel.STRONG, layer, "unshare: EPERM")
    assert str(error) == (
        f"acme/x: needs sandbox level L3, but the layer {layer} cannot be had here: unshare: EPERM"
    )
    assert "kernel.apparmor_restrict_unprivileged_userns=0" in error.hint
    assert "leave this plugin out" in error.hint
    assert error.hint.endswith("TAVO_ACCEPT_SANDBOX=L2:acme/x.")
