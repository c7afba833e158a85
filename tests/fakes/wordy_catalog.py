"""A catalog whose texts hold everything that a search for parts of words can trip over.

It has a few hundred plugins, and keys as high as those of a large one.
"""

from __future__ import annotations

import json
import random
import sqlite3
import uuid
from contextlib import closing
from pathlib import Path

from marketplace_db.schema import (
    CATALOG_APPLICATION_ID,
    CATALOG_DDL,
    CATALOG_PAGE_SIZE,
    CATALOG_VERSION,
)

__all__ = ["ODD_WORDS", "PLUGINS", "write_catalog"]

PLUGINS = 400
_FIRST_KEY = 40_000
_WORDS = ("scanner", "prompt", "agent", "secrets", "models", "filter", "ai", "Log", "x")
ODD_WORDS = (
    "100%", "sure_thing", "it's", '"quoted"', "back\\slash", "ÄRGER", "ärger", "\u212aelvin",
    "kelvin", "İstanbul", "ſharp", "straße", "日本語", "模型", "é", "e\u0301", "🦊fox", "a*b",
    "NOT", "OR", "AND", "NEAR(", "text:", "(", ")", "^start", "-dash", "{tavo}", "\u00a0", "ΣΑΣ",
    "σας", "ananas", "nanana", "zzz", "\ufffd", "\U0010ffff",
)  # fmt: skip


def write_catalog(path: Path, *, plugins: int = PLUGINS, seed: int = 7) -> Path:
    """Write the file; the same arguments give the same rows."""
    draw = random.Random(seed)
    now = "2026-01-01T00:00:00Z"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA page_size = {CATALOG_PAGE_SIZE}")
        connection.execute(f"PRAGMA application_id = {CATALOG_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {CATALOG_VERSION}")
        for statement in CATALOG_DDL[CATALOG_VERSION]:
            connection.execute(statement)
        for key, name in enumerate(("tavo", "acme", "zoo"), start=1):
            connection.execute(
                "INSERT INTO publishers VALUES (?, ?, ?, ?, '', ?, ?)",
                (key, _uuid(name), name, name.title(), key == 1, now),
            )
        for number in range(plugins):
            publisher = draw.choice(((1, "tavo"), (2, "acme"), (2, "acme"), (3, "zoo")))
            # The same id under several publishers, and ids that are words of other texts.
            name = f"{draw.choice(_WORDS).lower()}-{number // 2}" if number > 5 else "scanner"
            full_id = f"{publisher[1]}/{name}"
            words = [*draw.choices(_WORDS, k=3), *draw.sample(ODD_WORDS, k=2)]
            draw.shuffle(words)
            categories = [draw.choice(("testing", "supply-chain"))]
            connection.execute(
                f"INSERT OR IGNORE INTO plugins VALUES ({', '.join('?' * 16)})",
                (
                    _FIRST_KEY + number, _uuid(full_id), publisher[0], name, full_id,
                    draw.choice(("Ai", name.upper(), "Q", "日本")), " ".join(words),
                    draw.choice(("static", "proxy")), "Somebody", "MIT", "free",
                    json.dumps(categories), json.dumps([draw.choice(ODD_WORDS)]), None, now, now,
                ),
            )  # fmt: skip
        connection.commit()
    return path


def _uuid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))
