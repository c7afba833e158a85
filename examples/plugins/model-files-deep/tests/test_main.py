"""The plugin on small files made here; nothing is ever loaded."""

import gzip
import io
import pickle
import zipfile
from pathlib import PurePosixPath
from types import SimpleNamespace

from main import ModelFilesDeep


class Payload:
    def __reduce__(self):
        import os

        return os.system, ("echo harmless",)


HOSTILE = pickle.dumps(Payload())
HARMLESS = pickle.dumps({"weights": [1.0, 2.0]})
ORDINARY = b"\x80\x04\x8c\x09model_zoo\x8c\x04Nets\x93)\x81."


def look(name: str, data: bytes, **config: bool) -> list:
    plugin = ModelFilesDeep()
    plugin.start(SimpleNamespace(config=config))
    return list(plugin.analyze_binary(PurePosixPath(name), io.BytesIO(data)))


def rules_of(name: str, data: bytes, **config: bool) -> set[str]:
    return {finding.rule_id for finding in look(name, data, **config)}


def zipped(data: bytes, *, flag: int = 0) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("model/data.pkl", data)
    made = bytearray(out.getvalue())
    made[6] |= flag
    made[made.index(b"PK\x01\x02") + 8] |= flag
    return bytes(made)


def numpy_file(descr: str, data: bytes) -> bytes:
    header = repr({"descr": descr, "fortran_order": False, "shape": (1,)}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def test_hostile_files_are_found_with_their_python() -> None:
    for name, data in (
        ("a.pkl", HOSTILE),
        ("a.joblib", gzip.compress(HOSTILE)),
        ("a.pt", zipped(HOSTILE)),
        ("a.pt", zipped(HOSTILE, flag=1)),
        ("a.bin", HOSTILE),
        ("a.npy", numpy_file("|O", HOSTILE)),
        ("a.pkl", HARMLESS + HOSTILE),
    ):
        worst = [one for one in look(name, data) if one.rule_id == "fickling-malicious"]
        assert worst, (name, data[:8])
        assert "system('echo harmless')" in worst[0].evidence["python"]


def test_harmless_files_are_quiet() -> None:
    for name, data in (
        ("a.pkl", HARMLESS),
        ("a.pt", zipped(HARMLESS)),
        ("a.bin", b"\x00\x01 not a pickle at all"),
        ("a.npy", numpy_file("<f8", b"\0" * 8)),
        ("a.pkl", b""),
    ):
        assert rules_of(name, data) == set(), name


def test_what_ordinary_models_do_is_told_when_it_is_asked_for() -> None:
    assert rules_of("a.pkl", ORDINARY) == set()
    assert rules_of("a.pkl", ORDINARY, all=True) == {"fickling-unsafe"}


def test_a_pickle_that_was_put_together_by_hand_is_named() -> None:
    assert rules_of("a.pkl", b"\x80\x04\x80\x02K\x01.") == {"fickling-malformed"}
    assert rules_of("a.pkl", b"\x80\x04K\x01\xff") == {"fickling-malformed"}


def test_nothing_is_printed(capsys) -> None:
    look("a.pkl", b"\x80\x04h\x05.")
    assert capsys.readouterr() == ("", "")
