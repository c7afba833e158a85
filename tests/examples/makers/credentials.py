"""A small service's files with credentials in them, all drawn here: none lies in the repository."""

from __future__ import annotations

import random
import string
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

_LETTERS = string.ascii_letters + string.digits
_UPPER = string.ascii_uppercase + string.digits


def make(folder: Path) -> None:
    """Write the files into an empty folder."""
    draw = random.Random(20261129)

    def text(count: int, letters: str = _LETTERS) -> str:
        return "".join(draw.choice(letters) for _ in range(count))

    (folder / "deploy").mkdir()
    key = rsa.generate_private_key(65537, 2048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )  # fmt: skip
    (folder / "deploy" / "id_rsa").write_bytes(key)
    (folder / "settings.py").write_text(
        "import os\n\n"
        f'AWS_ACCESS_KEY_ID = "AKIA{text(16, _UPPER)}"\n'
        f'DATABASE_URL = "postgres://shop:{text(14)}@db.internal:5432/shop"\n'
        'TOKEN = os.environ["TOKEN"]\n'
    )
    (folder / "deploy" / "values.yaml").write_text(
        f'github: "ghp_{text(36)}"\nadmin:\n  password: {text(16)}\n  image: registry/shop:1.4\n'
    )
    (folder / "README.md").write_text("Set PASSWORD=<your password> and run `make`.\n")
