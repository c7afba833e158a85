"""tavo's own scan of the plugin: what is high or worse fails."""

from __future__ import annotations

from tavo.operator.vetting.report import Material, Outcome, failed_if, not_done
from tavo.operator.vetting.scanning import look, sentence_of
from tavo.plugins import Severity
from tavo.scan.rule_source import PACK


def run(material: Material) -> Outcome:
    """Scan every file of the package with the pack that users have."""
    looked = look(material.folder, [one.path for one in material.package.files], [PACK])
    ordered = sorted(looked.findings, key=lambda one: one.severity, reverse=True)
    bad = [sentence_of(one) for one in ordered if one.severity >= Severity.HIGH]
    notes = [f"note: {sentence_of(one)}" for one in ordered if one.severity < Severity.HIGH]
    facts = {"findings": len(ordered), "high": len(bad)}
    left = [f"was not looked at in full: {one}" for one in looked.problems]
    if left and not bad:
        return not_done(*left, *notes, facts=facts)
    return failed_if([*bad, *left], good="nothing that is high or worse", notes=notes, facts=facts)
