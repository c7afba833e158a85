"""The public plugin API, version 1. Standard library only."""

from tavo.plugins.types import (
    Confidence,
    Finding,
    Location,
    Region,
    Rule,
    Severity,
    Step,
)

__all__ = ["Confidence", "Finding", "Location", "Region", "Rule", "Severity", "Step"]
