"""The plugin on small files made here; nothing is ever loaded."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import PurePosixPath

from main import ModelFiles
from picklescan import scanner


class Payload:
    def __reduce__(self):
        import os

        return os.system, ("echo harmless",)


HOSTILE = pickle.dumps(Payload())
HARMLESS = pickle.dumps({"weights": [1.0, 2.0]})
UNKNOWN = b"cmodel_zoo\nrestore\n."  # imports model_zoo.restore
MODEL_NAMES = ("a.pkl", "a.joblib", "a.pt", "a.bin", "a.npy", "a.npz")


def rules_of(name: str, data: bytes) -> list[str]:
    """What it says of a file; the scan lends a stream that cannot go before its beginning."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        found = list(ModelFiles().analyze_binary(PurePosixPath(name), file))
    return [finding.rule_id for finding in found]


def zipped(data: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", data)
    return out.getvalue()


def numpy_file(descr: str, data: bytes) -> bytes:
    header = repr({"descr": descr, "fortran_order": False, "shape": (1,)}).encode() + b"\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + data


def test_hostile_files_are_found() -> None:
    for name, data in (
        ("a.pkl", HOSTILE),
        ("a.joblib", zlib.compress(HOSTILE)),
        ("a.joblib", gzip.compress(HOSTILE)),
        ("a.joblib", bz2.compress(HOSTILE)),
        ("a.joblib", lzma.compress(HOSTILE)),
        ("a.pt", zipped(HOSTILE)),
        ("a.bin", HOSTILE),
        ("a.npy", numpy_file("|O", HOSTILE)),
        ("a.pkl", HARMLESS + HOSTILE),
    ):
        assert "model-file-runs-code" in rules_of(name, data), (name, data[:8])


def test_harmless_files_are_quiet() -> None:
    for name, data in (
        ("a.pkl", HARMLESS),
        ("a.pt", zipped(HARMLESS)),
        ("a.bin", b"\x00\x01 not a pickle at all"),
        ("a.npy", numpy_file("<f8", b"\0" * 8)),
    ):
        assert rules_of(name, data) == [], name


COMMAND = b"X\x04\x00\x00\x00echo"
CALL = COMMAND + b"\x85R."


def text(value: str) -> bytes:
    return b"X" + len(value).to_bytes(4, "little") + value.encode()


class Recorder(pickle.Unpickler):
    """Python's own unpickler, which imports nothing here, and says what it would."""

    def find_class(self, module: str, name: str) -> object:
        self.asked = module, name
        return lambda *_: None


def hidden() -> tuple[bytes, ...]:
    start, x = b"\x80\x04", text("x")
    return (
        start + text("os") + b"\x94" + text("system") + b"\x9400h\x00h\x01\x93" + CALL,
        # What is on top of the stack goes into the memo, not what the opcode before it pushed.
        start + text("os") + x + b"0\x94" + text("system") + x + b"0\x9400h\x00h\x01\x93" + CALL,
        start + text("os") + text("system") + x + b"0\x93" + CALL,
        start + x + b"q\x000" + text("os") + b"q\x000h\x00" + text("system") + b"\x93" + CALL,
        b"cos\nsystem\n" + CALL,
        b"(" + COMMAND + b"ios\nsystem\n.",
        b"(cos\nsystem\n" + COMMAND + b"o.",
        # `pickletools` refuses this number, the unpickler takes it.
        b"I0x10\n0cos\nsystem\n" + CALL,
        start + text("logging") + text("os.system") + b"\x93" + CALL,
        start + text("random") + text("_os.system") + b"\x93" + CALL,
    )


def test_names_that_are_hidden_from_readers_of_opcodes_are_followed() -> None:
    for data in hidden():
        unpickler = Recorder(io.BytesIO(data))
        unpickler.load()
        assert unpickler.asked[1].endswith("system")
        assert "model-file-runs-code" in rules_of("a.pkl", data), data


def test_control_who_reads_opcodes_one_by_one_does_not_see_some_of_them() -> None:
    """What picklescan says of them alone."""
    missed = [
        data
        for data in hidden()
        if scanner.scan_pickle_bytes(io.BytesIO(data), "a.pkl").issues_count == 0
    ]
    assert len(missed) == 4


def test_a_name_of_python_2_is_what_it_became() -> None:
    assert rules_of("a.pkl", b"ccommands\ngetoutput\n" + CALL) == ["model-file-runs-code"]
    assert rules_of("a.pkl", b"ccPickle\nloads\n" + CALL) == ["model-file-runs-code"]


def test_a_name_that_is_computed_is_an_attack() -> None:
    rot13 = text("codecs") + text("decode") + b"\x93" + text("flfgrz") + text("rot13") + b"\x86R"
    assert "model-file-runs-code" in rules_of(
        "a.pkl", b"\x80\x04" + text("os") + rot13 + b"\x93" + CALL
    )


def test_what_changes_an_import_is_an_attack() -> None:
    data = b"\x80\x04ccollections\nOrderedDict\nN}" + text("x") + b"K\x01s\x86b."
    assert rules_of("a.pkl", data) == ["model-file-runs-code"]
    made = b"\x80\x04ccollections\nOrderedDict\n)R}" + text("x") + b"K\x01sb."
    assert rules_of("a.pkl", made) == []


def test_a_pickle_in_a_pickle_is_read() -> None:
    def loads(data: bytes) -> bytes:
        return (
            b"\x80\x04ctorch.storage\n_load_from_bytes\nB"
            + len(data).to_bytes(4, "little")
            + data
            + b"\x85R."
        )

    assert "model-file-runs-code" in rules_of("a.pkl", loads(HOSTILE))
    assert rules_of("a.pkl", loads(HARMLESS)) == []
    assert rules_of("a.pkl", pickle.dumps({"x": HOSTILE})) == ["model-file-unusual-import"]


def wrapped(shape: bytes, data: bytes) -> bytes:
    """A joblib file with one array of bytes, as joblib 1.6 writes it."""
    dtype = b"cnumpy\ndtype\n(X\x02\x00\x00\x00u1\x89\x88tR"
    state = (
        b"}("
        + text("shape")
        + shape
        + text("dtype")
        + dtype
        + text("numpy_array_alignment_bytes")
        + b"K\x10u"
    )
    return b"\x80\x04cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81" + state + b"b" + data


def test_arrays_between_opcodes_are_stepped_over_and_read() -> None:
    plain = wrapped(b"K\x08\x85", b"\x01\xff" + bytes(8)) + b"."
    assert rules_of("a.joblib", plain) == []
    behind = wrapped(b"K\x08\x85", b"\x01\xff" + bytes(8)) + b"0cos\nsystem\n" + CALL
    assert rules_of("a.joblib", behind) == ["model-file-runs-code"]
    # joblib takes these bytes for numbers, and `pickle.load` for opcodes.
    hidden = wrapped(b"K\x20\x85", b"0cos\nsystem\n" + CALL + bytes(32))
    assert "model-file-runs-code" in rules_of("a.pkl", hidden)


def test_archives_are_read_as_loaders_read_them() -> None:
    archive = bytearray(zipped(HOSTILE))
    central = archive.index(b"PK\x01\x02")
    archive[6] |= 1  # says that it is encrypted
    archive[central + 8] |= 1
    archive[14:18] = archive[central + 16 : central + 20] = b"crc!"
    assert rules_of("a.pt", bytes(archive)) == ["model-file-runs-code"]
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as twice:
        twice.writestr("archive/data.pkl", HOSTILE)
        twice.writestr("archive/data.pkl", HARMLESS)
    assert set(rules_of("a.pt", out.getvalue())) == {
        "model-file-runs-code",
        "model-file-unreadable",
    }
    assert rules_of("a.pt", zipped(zipped(HOSTILE))) == ["model-file-runs-code"]
    assert "model-file-runs-code" in rules_of("a.pkl", HOSTILE + zipped(b"hello"))
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("model_weights.ckpt")
        info.size = len(archive)
        tar.addfile(info, io.BytesIO(archive))
    assert rules_of("a.nemo", out.getvalue()) == ["model-file-runs-code"]
    assert rules_of("a.pt", zipped(HARMLESS)[:-30]) == ["model-file-unreadable"]


def test_what_a_file_begins_with_decides_not_its_name() -> None:
    for name in ("a.onnx", "a.h5", "a.gguf", "a.safetensors", "a.keras", "a.dat"):
        assert "model-file-runs-code" in rules_of(name, HOSTILE), name


def test_what_is_not_read_is_named() -> None:
    for name, data in (
        ("a.pt", b"7z\xbc\xaf\x27\x1c" + bytes(40)),
        ("a.gguf", b"GGUF\x03\0\0\0" + bytes(40)),
        ("a.onnx", b"\x08\x07\x12\x07pytorch" + bytes(20)),
        ("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(64)),
    ):
        assert rules_of(name, data) == ["model-file-not-read"], name
    header = b'{"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    assert rules_of("a.safetensors", len(header).to_bytes(8, "little") + header + bytes(4)) == []


def test_keras_models_with_code_are_found() -> None:
    def keras(config: object) -> bytes:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("config.json", json.dumps(config))
            archive.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n" + bytes(64))
        return out.getvalue()

    dense = {"module": "keras.layers", "class_name": "Dense", "config": {"units": 4}}
    layer = {"module": "keras.layers", "class_name": "Lambda", "config": {"function": {}}}
    other = {"module": "os", "class_name": "system", "config": {}}
    assert rules_of("a.keras", keras({"config": {"layers": [dense]}})) == []
    assert rules_of("a.keras", keras({"config": {"layers": [dense, layer]}})) == [
        "model-file-lambda-layer"
    ]
    assert rules_of("a.keras", keras([other])) == ["model-file-runs-code"]
    hdf5 = b"\x89HDF\r\n\x1a\n" + bytes(70_000) + b'{"class_name": "Lambda"}'
    assert rules_of("a.h5", hdf5) == ["model-file-lambda-layer"]


def test_what_is_on_no_list_is_graded_by_where_it_comes_from() -> None:
    assert rules_of("a.pkl", b"csched\nscheduler\n.") == ["model-file-unusual-import"]
    assert rules_of("a.pkl", b"ccopy_reg\n_reconstructor\n.") == []
    assert rules_of("a.pkl", b"cuuid\nUUID\n.") == []


def test_an_import_that_is_on_no_list_is_named() -> None:
    assert rules_of("a.pkl", UNKNOWN) == ["model-file-unknown-import"]


def test_a_broken_pickle_is_named() -> None:
    assert rules_of("a.pkl", HARMLESS[:-2]) == ["model-file-unreadable"]


def test_empty_files_run_nothing() -> None:
    for name in MODEL_NAMES:
        assert rules_of(name, b"") == [], name
    assert rules_of("a.joblib", gzip.compress(b"")) == []


def test_a_name_of_thousands_of_parts_hides_nothing_behind_it() -> None:
    deep = b"cx\n" + b".".join([b"a"] * 2000) + b"\n0"
    assert rules_of("a.pkl", deep + b"cos\nsystem\n(S'id'\ntR.") == ["model-file-runs-code"] * 2
