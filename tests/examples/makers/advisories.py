"""A snapshot of advisories about packages that do not exist, packed as users keep it."""

from __future__ import annotations

import lzma
from pathlib import Path

from marketplace_db.advisories.records import read_advisory
from marketplace_db.advisories.snapshot import write_snapshot

_KNOWN = (
    ("PyPI", "tavo-example-teapot", "2.1.0", "Boils over when it is asked politely"),
    ("npm", "@tavo-example/kettle", "1.4.0", "Whistles to strangers"),
)


def make(folder: Path) -> None:
    """Write the snapshot into the folder."""
    records = [
        read_advisory({
            "id": f"TAVO-0000-{number}",
            "modified": "2026-11-01T00:00:00Z",
            "summary": summary,
            "affected": [{
                "package": {"ecosystem": ecosystem, "name": name},
                "ranges": [
                    {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": fixed}]}
                ],
            }],
        })
        for number, (ecosystem, name, fixed, summary) in enumerate(_KNOWN, start=1)
    ]  # fmt: skip
    path = folder / "advisories.db"
    write_snapshot(records, path)
    (folder / "advisories.db.xz").write_bytes(lzma.compress(path.read_bytes()))
    path.unlink()
