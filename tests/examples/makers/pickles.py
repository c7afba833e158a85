"""Model files as real ones are: some run a command when they are loaded, and one does not."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
import zlib
from pathlib import Path

_COMMAND = "echo this model has run a command"


class Runs:
    """Calls the shell when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (_COMMAND,)


def make(folder: Path) -> None:
    """Write the files into an empty folder."""
    (folder / "classifier.pkl").write_bytes(pickle.dumps({"weights": [0.1, 0.2], "init": Runs()}))
    (folder / "ranker.joblib").write_bytes(zlib.compress(pickle.dumps([Runs()], protocol=2)))
    (folder / "vocabulary.pkl").write_bytes(pickle.dumps({"kettle": 1, "cup": 2}))
    (folder / "net.pt").write_bytes(_checkpoint(pickle.dumps(Runs(), protocol=2)))
    (folder / "model.onnx").write_bytes(pickle.dumps(Runs()))
    (folder / "tuned.pkl").write_bytes(_from_the_memo())
    (folder / "shop.keras").write_bytes(_zipped({"config.json": json.dumps(_LAYERS).encode()}))
    (folder / "backup.7z").write_bytes(b"7z\xbc\xaf\x27\x1c" + bytes(64))
    (folder / "speech.gguf").write_bytes(b"GGUF\x03\0\0\0" + bytes(64))


_LAYERS = {
    "config": {
        "layers": [
            {"module": "keras.layers", "class_name": "Dense", "config": {"units": 4}},
            {"module": "keras.layers", "class_name": "Lambda", "config": {"function": {}}},
        ]
    }
}


def _text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


def _from_the_memo() -> bytes:
    """Return a pickle that keeps `os` and `system` in its memo, behind another text each."""
    kept = b"".join(_text(name) + _text("x") + b"0\x94" for name in ("os", "system"))
    return b"\x80\x04" + kept + b"00h\x00h\x01\x93" + _text(_COMMAND) + b"\x85R."


def _checkpoint(data: bytes) -> bytes:
    """Return PyTorch's archive, whose pickle says that it is encrypted and has a wrong checksum."""
    made = bytearray(_zipped({"net/data.pkl": data, "net/version": b"3\n"}))
    central = made.index(b"PK\x01\x02")
    made[6] |= 1
    made[central + 8] |= 1
    made[14:18] = made[central + 16 : central + 20] = b"crc!"
    return bytes(made)


def _zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()
