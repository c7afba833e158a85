"""What the plugin asks for, in sentences; a combination that lets it escape fails."""

from __future__ import annotations

from marketplace_db.permissions import (
    permission_digest,
    permission_sentences,
    permission_words,
    red_combinations,
)
from tavo.operator.vetting.report import Material, Outcome, failed_if


def run(material: Material) -> Outcome:
    """Say what it can and can NOT do."""
    manifest = material.package.manifest
    can, cannot = permission_sentences(manifest)
    words = permission_words(manifest)
    return failed_if(
        [f"danger: {red.sentence}" for red in red_combinations(words)],
        good="no dangerous combination",
        notes=[f"it can {one}" for one in can],
        facts={
            "words": list(words),
            "can": can,
            "cannot": cannot,
            "permissions": permission_digest(manifest).hex,
        },
    )
