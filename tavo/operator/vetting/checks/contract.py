"""The contract suite of the kit, in the sandbox: the plugin is run, and judged by what it does."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import msgspec

from marketplace_db.errors import MarketplaceError
from tavo.errors import TavoError
from tavo.host.local import WHEELS_FOLDER, open_local
from tavo.kit.contract import run_suite
from tavo.operator.vetting.report import Material, Outcome, failed_if, not_done


def run(material: Material) -> Outcome:
    """Run the suite on a copy; where the sandbox cannot be had, nothing of the plugin runs."""
    with tempfile.TemporaryDirectory(prefix="tavo-vet-") as name:
        package = Path(name) / "package.zip"
        shutil.copyfile(material.package.path, package)
        wheels = Path(name) / WHEELS_FOLDER
        wheels.mkdir()
        for filename, path in material.wheels.items():
            shutil.copyfile(path, wheels / filename)
        try:
            with open_local(package, wheels=wheels) as local:
                report = run_suite(local, accept=material.accept_sandbox)
        except (TavoError, MarketplaceError) as error:
            told = str(error).replace(f"{name}/", "")  # no paths of this machine
            return not_done(told, *([error.hint.replace(f"{name}/", "")] if error.hint else []))
    bad = [f"{one.name}: {one.found}" for one in report.checks if one.state == "failed"]
    notes = [
        f"note: {one.name}: {one.found}"
        for one in report.checks
        if one.state in {"note", "skipped"}
    ]
    good = f"{sum(one.state == 'passed' for one in report.checks)} checks passed"
    facts = msgspec.to_builtins(report)
    return failed_if(
        bad, good=f"{good}, sandbox {report.sandbox}", notes=notes, facts={"suite": facts}
    )
