"""Automatic checks of a submission: one file each, one line each below.

The list stands here because the single file cannot look into its own folders; a test compares the
two. A check's file has `run(material) -> Outcome`, and nothing else knows it by name.
"""

NAMES = (
    "package",
    "permissions",
    "licence",
    "advisories",
    "source",
    "behaviour",
    "scan",
    "contract",
)
"""All checks, in the order in which they are done: the cheap ones first."""
