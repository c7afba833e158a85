"""Every error has one exit code, and the codes outrank each other as documented."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
from collections.abc import Iterator
from types import ModuleType

import pytest

import marketplace_db
import signing
import tavo
from marketplace_db.errors import MarketplaceError
from signing.errors import SigningError
from tavo.errors import EXIT_CODES, ExitCode, TavoError, exit_code_of, worst

ROOTS = (TavoError, SigningError, MarketplaceError)
PACKAGES = (tavo, signing, marketplace_db)


def modules() -> Iterator[ModuleType]:
    for package in PACKAGES:
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not found.name.endswith("__main__"):
                yield importlib.import_module(found.name)


def subclasses(root: type[Exception]) -> set[type[Exception]]:
    return {root}.union(*(subclasses(child) for child in root.__subclasses__()))


LOADED = list(modules())
ERRORS = sorted(
    {
        error
        for root in ROOTS
        for error in subclasses(root)
        if error.__module__.split(".")[0] in {package.__name__ for package in PACKAGES}
    },
    key=lambda error: (error.__module__, error.__name__),
)


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: f"{error.__module__}.{error.__name__}")
def test_every_error_has_an_exit_code(error: type[Exception]) -> None:
    codes = [EXIT_CODES[cls] for cls in error.__mro__ if cls in EXIT_CODES]
    assert codes, f"{error.__name__} needs an entry in tavo.errors.EXIT_CODES"
    assert codes[0] not in {ExitCode.OK, ExitCode.FINDINGS, ExitCode.DEFECT, ExitCode.INTERRUPTED}
    assert error.__doc__, f"{error.__name__} says in its docstring when it is raised"


def test_the_walk_sees_all_packages() -> None:
    assert {error.__module__.split(".")[0] for error in ERRORS} == {
        "tavo", "signing", "marketplace_db",
    }  # fmt: skip
    assert len(ERRORS) > 20


def test_a_new_error_outside_the_table_is_noticed() -> None:
    class StrangerError(Exception):
        """Not derived from a root."""

    assert exit_code_of(StrangerError()) is ExitCode.DEFECT


def test_the_table_names_only_real_errors() -> None:
    assert set(EXIT_CODES) <= set(ERRORS)


def test_refusals_outrank_gaps_outrank_failures_outrank_findings() -> None:
    order = [
        ExitCode.OK, ExitCode.FINDINGS, ExitCode.FAILED, ExitCode.INCOMPLETE, ExitCode.REFUSED,
    ]  # fmt: skip
    for low, high in itertools.pairwise(order):
        assert worst([low, high, low]) is high
    assert worst([]) is ExitCode.OK


def test_an_interruption_has_its_own_code() -> None:
    assert exit_code_of(KeyboardInterrupt()) is ExitCode.INTERRUPTED == 130


@pytest.mark.parametrize("root", ROOTS)
def test_an_error_carries_its_hint(root: type[Exception]) -> None:
    error = root("what went wrong", hint="what to do")  # type: ignore[call-arg]
    assert (str(error), error.hint) == ("what went wrong", "what to do")  # type: ignore[attr-defined]
    assert root("bare").hint == ""  # type: ignore[attr-defined]
