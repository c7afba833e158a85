"""Write model files, hostile and harmless, with the libraries that make them: for model_files.py.

    PYTHON benchmarks/model_files_corpus.py FOLDER

PYTHON has numpy, joblib, torch, scikit-learn and pandas. FOLDER gets the files and labels.json: by
file name whether it is hostile, by which tricks, and how it is loaded. Each hostile file is loaded
here, in a process of its own, and stays only if its payload ran: the payload makes an empty file
whose path is in the environment variable MODEL_FILES_MARK, and does nothing else.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import functools
import gzip
import io
import json
import os
import pathlib
import pickle
import struct
import subprocess
import sys
import uuid
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MARK = "MODEL_FILES_MARK"
COMMAND = f'touch "${MARK}"'
CODE = f"open(__import__('os').environ['{MARK}'], 'w').close()"
LOADERS = {
    "pickle": "import pickle; pickle.load(open(path, 'rb'))",
    "two pickles": "import pickle; f = open(path, 'rb'); pickle.load(f); pickle.load(f)",
    "joblib": "import joblib; joblib.load(path)",
    "numpy": (
        "import numpy; a = numpy.load(path, allow_pickle=True); list(getattr(a, 'values', list)())"
    ),
    "torch": "import torch; torch.load(path, weights_only=False)",
    "gzip": "import gzip, pickle; pickle.load(gzip.open(path))",
}


class Call:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.of = function, arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return self.of


def named(module: str, name: str, *arguments: Any, protocol: int = 4) -> bytes:
    """Return a pickle that calls what is imported under a name, which need not exist here."""
    return start(protocol) + glob(module, name) + pushed(*arguments) + b"R."


def start(protocol: int = 4) -> bytes:
    return bytes((0x80, protocol))


def glob(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def pushed(*arguments: Any) -> bytes:
    """Return opcodes that push a tuple of plain values."""
    return b"(" + b"".join(pickle.dumps(one, 2)[2:-1] for one in arguments) + b"t"


SYSTEM = glob("os", "system") + pushed(COMMAND) + b"R"


def hostile() -> dict[str, tuple[bytes, str]]:
    """Return what runs code: name -> data, loader."""
    out: dict[str, tuple[bytes, str]] = {}
    for protocol in range(6):
        out[f"plain-system-{protocol}.pkl"] = (
            pickle.dumps(Call(os.system, COMMAND), protocol),
            "pickle",
        )
    out["plain-eval.pkl"] = (pickle.dumps(Call(eval, CODE)), "pickle")
    out["plain-exec.pkl"] = (pickle.dumps(Call(exec, CODE)), "pickle")
    out["plain-popen.pickle"] = (
        pickle.dumps(Call(subprocess.check_output, ["sh", "-c", COMMAND])),
        "pickle",
    )
    out["plain-inst.pkl"] = (b"(S'" + COMMAND.encode() + b"'\nios\nsystem\n.", "pickle")
    out["plain-obj.pkl"] = (b"(cos\nsystem\nS'" + COMMAND.encode() + b"'\no.", "pickle")
    out["plain-in-dict.pkl"] = (
        pickle.dumps({"w": [1.0] * 50, "x": Call(os.system, COMMAND)}),
        "pickle",
    )
    # Functions of the standard library and of these libraries that do it for others.
    gadgets = {
        "runpy": ("runpy", "_run_code", CODE, {"__name__": "x"}),
        "pty": ("pty", "spawn", ["sh", "-c", COMMAND]),
        "timeit": ("timeit", "timeit", CODE),
        "cprofile": ("cProfile", "run", CODE),
        "dataclasses": ("dataclasses", "_create_fn", "f", ["x=" + CODE], ["pass"]),
        "spawn": ("multiprocessing.util", "spawnv_passfds", b"/bin/sh", ["sh", "-c", COMMAND], []),
        "distutils": ("distutils.spawn", "spawn", ["sh", "-c", COMMAND]),
        "numpy-runstring": ("numpy.testing._private.utils", "runstring", CODE, {}),
        "numpy-f2py": ("numpy.f2py.crackfortran", "myeval", CODE, {}, {}),
        "torch-collect": ("torch.utils.collect_env", "run", ["sh", "-c", COMMAND]),
        "uuid": ("uuid", "_get_command_stdout", "sh", "-c", COMMAND),
        "setuptools": ("setuptools._distutils.spawn", "spawn", ["sh", "-c", COMMAND]),
        "imaplib": ("imaplib", "IMAP4_stream", COMMAND),
        "torch-jit": ("torch.jit.unsupported_tensor_ops", "execWrapper", CODE, {}, {}),
        "nested-loads": ("pickle", "loads", pickle.dumps(Call(os.system, COMMAND), 2)),
        "nested-cpickle": ("_pickle", "loads", pickle.dumps(Call(os.system, COMMAND), 2)),
    }  # fmt: skip
    for name, (module, function, *arguments) in gadgets.items():
        out[f"gadget-{name}.pkl"] = (named(module, function, *arguments), "pickle")
    out["gadget-partial.pkl"] = (
        start() + pickle.dumps(Call(functools.partial, os.system, COMMAND), 4)[2:-1] + b")R.",
        "pickle",
    )
    out["gadget-import-module.pkl"] = (
        start()
        + glob("builtins", "getattr")
        + b"("
        + glob("importlib", "import_module")
        + pushed("os")
        + b"R"
        + text("system")
        + b"tR"
        + pushed(COMMAND)
        + b"R.",
        "pickle",
    )
    out["gadget-methodcaller.pkl"] = (
        start()
        + glob("operator", "methodcaller")
        + pushed("system", COMMAND)
        + b"R("
        + glob("importlib", "import_module")
        + pushed("os")
        + b"RtR.",
        "pickle",
    )
    out["gadget-load-from-bytes.pkl"] = (
        named("torch.storage", "_load_from_bytes", torch_zip(Call(os.system, COMMAND))),
        "pickle",
    )
    out["gadget-map.pkl"] = (
        start()
        + glob("builtins", "list")
        + b"("
        + glob("builtins", "map")
        + b"("
        + glob("os", "system")
        + pushed(COMMAND)
        + b"tRtR.",
        "pickle",
    )
    # Names that are reached by another way.
    out["name-dotted.pkl"] = (named("logging", "os.system", COMMAND), "pickle")
    out["name-dotted-random.pkl"] = (named("random", "_os.system", COMMAND), "pickle")
    out["name-torch-os.pkl"] = (named("torch.serialization", "os.system", COMMAND), "pickle")
    out["name-python2.pkl"] = (
        b"\x80\x02ccommands\ncheck_output\n" + pushed(["sh", "-c", COMMAND]) + b"R.",
        "pickle",
    )
    out["name-python2-cpickle.pkl"] = (
        b"\x80\x02ccPickle\nloads\n("
        + glob("_codecs", "encode")
        + pushed(pickle.dumps(Call(os.system, COMMAND), 2).decode("latin-1"), "latin-1")
        + b"RtR.",
        "pickle",
    )
    out["name-builtin2.pkl"] = (b"\x80\x02c__builtin__\nexec\n" + pushed(CODE) + b"R.", "pickle")
    # Names that are put together, or hidden from who reads opcodes in a row.
    out["memo-binget.pkl"] = (
        start()
        + text("os")
        + b"\x94"
        + text("system")
        + b"\x94"
        + b"00h\x00h\x01\x93"
        + pushed(COMMAND)
        + b"R.",
        "pickle",
    )
    out["memo-behind-pop.pkl"] = (
        start()
        + text("os")
        + text("x")
        + b"0\x94"
        + text("system")
        + text("x")
        + b"0\x94"
        + b"00h\x00h\x01\x93"
        + pushed(COMMAND)
        + b"R.",
        "pickle",
    )
    out["memo-pop-between.pkl"] = (
        start()
        + text("os")
        + text("system")
        + text("collections")
        + b"0"
        + text("OrderedDict")
        + b"0"
        + b"\x93"
        + pushed(COMMAND)
        + b"R.",
        "pickle",
    )
    out["memo-overwritten.pkl"] = (
        start()
        + text("collections")
        + b"q\x00"
        + text("OrderedDict")
        + b"q\x01"
        + b"00"
        + text("os")
        + text("zip")
        + b"0q\x00"
        + text("system")
        + text("zip")
        + b"0q\x01"
        + b"00"
        + b"h\x00h\x01\x93"
        + pushed(COMMAND)
        + b"R.",
        "pickle",
    )
    out["memo-dup.pkl"] = (
        start()
        + text("system")
        + b"q\x01"
        + text("os")
        + b"2q\x00000h\x00h\x01\x93"
        + pushed(COMMAND)
        + b"R.",
        "pickle",
    )
    out["memo-computed.pkl"] = (
        start()
        + text("os")
        + glob("codecs", "decode")
        + pushed("flfgrz", "rot13")
        + b"R\x93"
        + pushed(COMMAND)
        + b"R.",
        "pickle",
    )
    out["memo-second-pickle.pkl"] = (
        start()
        + text("collections")
        + b"\x94"
        + text("OrderedDict")
        + b"\x94\x93."
        + start()
        + text("os")
        + b"\x94"
        + text("system")
        + b"\x94"
        + b"00h\x00h\x01\x93"
        + pushed(COMMAND)
        + b"R.",
        "two pickles",
    )
    # Data that other readers refuse, or lose their place in.
    out["read-hex-int.pkl"] = (b"I0x10\n0" + SYSTEM + b".", "pickle")
    out["read-hex-int-inst.pkl"] = (
        b"I0x10\n0(S'" + COMMAND.encode() + b"'\nios\nsystem\n.",
        "pickle",
    )
    out["read-long-name.pkl"] = (b"c_codecs\nencode\n0" + SYSTEM + b".", "pickle")
    out["read-truncated.pkl"] = ((start() + SYSTEM + b"(((")[:-1], "pickle")
    out["read-no-stop.pkl"] = (start() + SYSTEM, "pickle")
    out["read-bad-opcode.pkl"] = (start() + SYSTEM + b"\xff\xff\xff", "pickle")
    out["read-many-protos.pkl"] = (start(4) + start(2) + start(5) + SYSTEM + b".", "pickle")
    out["read-bytes-first.pkl"] = (b"BZh" + b"\0\0" + b"0" * 26714 + b"0" + SYSTEM + b".", "pickle")
    out["read-zip-behind.pkl"] = (
        start() + SYSTEM + b"." + zipped({"readme.txt": b"hello"}),
        "pickle",
    )
    out["read-utf8-module.pkl"] = (b"Vm\\u00e4\n0" + SYSTEM + b".", "pickle")
    out["read-in-array.pkl"] = (in_array(), "pickle")
    # PyTorch: archives, and what they can be taken for.
    out["torch-zip.pt"] = (torch_zip(Call(os.system, COMMAND)), "torch")
    out["torch-legacy.pt"] = (torch_legacy(Call(os.system, COMMAND)), "torch")
    out["torch-legacy-behind-tensor.bin"] = (
        torch_legacy({"a": torch.ones(4), "b": Call(os.system, COMMAND)}),
        "torch",
    )
    out["torch-magic.pt"] = (
        start(2)
        + b"c__builtin__\neval\n"
        + pushed(f"0x1950a86a20f9469cfc6c if not {CODE} else 0")
        + b"R.",
        "torch",
    )
    archive = torch_zip(Call(os.system, COMMAND))
    out["torch-flag-bits.pt"] = (flagged(archive), "torch")
    out["torch-bad-crc.pt"] = (bad_crc(archive), "torch")
    out["torch-local-name.pt"] = (local_name(archive), "torch")
    out["torch-deep-folder.ckpt"] = (
        torch_zip(Call(os.system, COMMAND), folder="a_long_name"),
        "torch",
    )
    out["torch-twice.pt"] = (twice(archive), "torch")
    # joblib and NumPy.
    joblib_hostile = {"a": np.arange(8.0), "b": Call(os.system, COMMAND)}
    packed = [(name, (name, 3)) for name in ("zlib", "gzip", "bz2", "lzma", "xz")]
    for name, level in (("plain", 0), *packed):
        out[f"joblib-{name}.joblib"] = (by_joblib(joblib_hostile, level), "joblib")
    out["joblib-objects.joblib"] = (
        by_joblib(np.array([1, Call(os.system, COMMAND)], dtype=object), 0),
        "joblib",
    )
    out["numpy-objects.npy"] = (
        by_numpy(np.array([Call(os.system, COMMAND)], dtype=object)),
        "numpy",
    )
    out["numpy-objects.npz"] = (
        by_numpy(weights=np.ones(3), more=np.array([Call(os.system, COMMAND)], dtype=object)),
        "numpy",
    )
    out["numpy-is-pickle.npy"] = (pickle.dumps(Call(os.system, COMMAND)), "numpy")
    # Names that say something else.
    for suffix in ("onnx", "h5", "safetensors", "gguf", "dat", "model", "keras", "bin"):
        out[f"called-{suffix}.{suffix}"] = (pickle.dumps(Call(os.system, COMMAND)), "pickle")
    out["called-packed.pkl"] = (gzip.compress(pickle.dumps(Call(os.system, COMMAND))), "gzip")
    return out


def harmless() -> dict[str, bytes]:
    """Return what ordinary programs save."""
    generator = np.random.default_rng(7)
    x, y = generator.normal(size=(60, 4)), generator.integers(0, 2, 60)
    forest = RandomForestClassifier(n_estimators=5, random_state=1).fit(x, y)
    logistic = make_pipeline(StandardScaler(), LogisticRegression()).fit(x, y)
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    optimiser = torch.optim.Adam(net.parameters())
    table = pd.DataFrame({"a": [1, 2], "b": ["x", "y"], "c": pd.to_datetime(["2026-01-01"] * 2)})
    plain: dict[str, Any] = {
        "numbers": {"weights": [0.5] * 100, "bias": 1, "text": "os.system"},
        "dates": [
            datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), datetime.timedelta(1),
            decimal.Decimal("1.5"),
        ],
        "collections": [
            collections.OrderedDict(a=1), collections.Counter("aab"),
            collections.defaultdict(list), {1, 2},
        ],
        "identity": [
            uuid.UUID(int=7), pathlib.PurePosixPath("a/b"), complex(1, 2), slice(1, 2), b"bytes",
        ],
        "arrays": {
            "f": x, "i": y, "s": np.array(["a", "bc"]), "z": np.float64(3),
            "m": np.ma.masked_array([1, 2], [0, 1]),
        },
        "objects": np.array([{"a": 1}, None, "x"], dtype=object),
        "structured": np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        "generator": generator,
        "forest": forest,
        "logistic": logistic,
        "table": table,
        "shaped": {
            "empty": np.zeros((0, 3)), "scalar": np.array(3), "fortran": np.asfortranarray(x),
            "big": np.zeros((300, 300)),
        },
    }  # fmt: skip
    out: dict[str, bytes] = {}
    for name, value in plain.items():
        for protocol in (0, 2, 5):
            out[f"{name}-{protocol}.pkl"] = pickle.dumps(value, protocol)
        out[f"{name}.joblib"] = by_joblib(value, 0)
        out[f"{name}-packed.joblib"] = by_joblib(value, 3)
    out["two.pkl"] = pickle.dumps([1]) + pickle.dumps({"a": 2})
    states = {
        "state": net.state_dict(),
        "checkpoint": {"model": net.state_dict(), "optimiser": optimiser.state_dict(), "epoch": 3},
        "half": {
            "w": torch.ones(3, dtype=torch.float16),
            "b": torch.zeros(2, dtype=torch.bfloat16),
            "i": torch.arange(5),
        },
        "whole": net,
    }
    for name, value in states.items():
        out[f"{name}.pt"] = torch_zip(value)
        out[f"{name}-legacy.pth"] = torch_legacy(value)
        out[f"{name}.pkl"] = pickle.dumps(value)
    traced = io.BytesIO()
    torch.jit.save(torch.jit.trace(net, torch.ones(1, 4)), traced)
    out["traced.pt"] = traced.getvalue()
    for name, arrays in {
        "floats": x,
        "ints": y,
        "names": np.array(["a", "b"]),
        "mixed": plain["structured"],
    }.items():
        out[f"{name}.npy"] = by_numpy(arrays)
    out["several.npz"] = by_numpy(x=x, y=y)
    out["objects.npy"] = by_numpy(plain["objects"])
    out["random.bin"] = generator.bytes(200_000)
    out["random.dat"] = generator.bytes(50_000)
    out["zeros.bin"] = bytes(100_000)
    out["text.dat"] = b"import os\nos.system('ls')\ncos system is a text\n" * 50
    out["floats.bin"] = x.astype("<f4").tobytes() * 20
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    out["weights.safetensors"] = struct.pack("<Q", len(header)) + header + bytes(8)
    out["image.data"] = zlib.compress(generator.bytes(5000))
    return out


def torch_zip(value: Any, folder: str = "archive") -> bytes:
    out = io.BytesIO()
    torch.save(value, out)
    if folder == "archive":
        return out.getvalue()
    moved = io.BytesIO()
    with zipfile.ZipFile(out) as old, zipfile.ZipFile(moved, "w") as new:
        for one in old.infolist():
            new.writestr(f"{folder}/{one.filename.partition('/')[2]}", old.read(one))
    return moved.getvalue()


def torch_legacy(value: Any) -> bytes:
    out = io.BytesIO()
    torch.save(value, out, _use_new_zipfile_serialization=False)
    return out.getvalue()


def by_joblib(value: Any, compress: Any) -> bytes:
    out = io.BytesIO()
    joblib.dump(value, out, compress=compress)
    return out.getvalue()


def by_numpy(array: Any = None, **arrays: Any) -> bytes:
    out = io.BytesIO()
    if arrays:
        np.savez(out, **arrays)
    else:
        np.save(out, array, allow_pickle=True)
    return out.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def _at_data(archive: bytes) -> tuple[int, int]:
    """Return where data.pkl's local header and central entry are."""
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        (info,) = (one for one in opened.infolist() if one.filename.endswith("/data.pkl"))
    name = info.filename.encode()
    return info.header_offset, archive.rindex(name) - 46


def flagged(archive: bytes) -> bytes:
    """Say that data.pkl is encrypted, which PyTorch does not look at."""
    data = bytearray(archive)
    local, central = _at_data(archive)
    data[local + 6] |= 1
    data[central + 8] |= 1
    return bytes(data)


def bad_crc(archive: bytes) -> bytes:
    data = bytearray(archive)
    local, central = _at_data(archive)
    data[local + 14 : local + 18] = data[central + 16 : central + 20] = b"abcd"
    return bytes(data)


def local_name(archive: bytes) -> bytes:
    """Give data.pkl another name in its local header."""
    data = bytearray(archive)
    local, _ = _at_data(archive)
    data[local + 30] ^= 1
    return bytes(data)


def twice(archive: bytes) -> bytes:
    """Have two members data.pkl, of which Python's reader takes the harmless last one."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(out, "w") as new:
        for one in old.infolist():
            new.writestr(one.filename, old.read(one))
        new.writestr("archive/data.pkl", pickle.dumps({"harmless": 1}, 2))
    return out.getvalue()


def in_array() -> bytes:
    """Return what joblib would take for an array, and pickle takes for opcodes."""
    wrapper = by_joblib(np.zeros(1), 0)
    key = b"numpy_array_alignment_bytes"
    end = wrapper.index(b"ub", wrapper.index(key) + len(key)) + 1
    return wrapper[: end + 1] + b"0" + SYSTEM + b"."


def runs(path: Path, loader: str, mark: Path) -> bool:
    """Tell whether loading a file runs its payload."""
    mark.unlink(missing_ok=True)
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", f"path = {str(path)!r}\n{LOADERS[loader]}"],
        env={**os.environ, MARK: str(mark)}, cwd=mark.parent, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=120, check=False,
    )  # fmt: skip
    return mark.exists()


def main(folder: Path) -> int:
    """Write the files and what they are."""
    folder = folder.resolve()
    folder.mkdir(parents=True)
    labels: dict[str, dict[str, Any]] = {}
    dropped = []
    for name, (data, loader) in hostile().items():
        path = folder / f"hostile-{name}"
        path.write_bytes(data)
        if runs(path, loader, folder / ".mark"):
            labels[path.name] = {"hostile": True, "kind": name.partition("-")[0], "loader": loader}
        else:
            path.unlink()
            dropped.append(name)
    for name, data in harmless().items():
        path = folder / f"harmless-{name}"
        path.write_bytes(data)
        labels[path.name] = {"hostile": False, "kind": "harmless", "loader": ""}
    (folder / ".mark").unlink(missing_ok=True)
    (folder / "labels.json").write_text(json.dumps(labels, indent=1))
    print(f"{len(labels)} files; payload did not run, left out: {', '.join(dropped) or 'none'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
