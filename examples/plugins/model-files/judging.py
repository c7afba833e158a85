"""What an import in a pickle can do: picklescan's lists, and what is missing on them.

Rules this module keeps:
- the unpickler's own renaming (`cPickle` is `pickle`, `urllib2` is `urllib.request`) comes first;
- a dotted name is walked as the unpickler walks it: `("logging", "os.system")` is `os.system`;
- what is on no list is graded by where it comes from: models have no use for most of the standard
  library, so that is suspicious; a class of another package is only unknown.
"""

from __future__ import annotations

import _compat_pickle
import io
import logging
import sys
from functools import lru_cache

from picklescan import scanner

__all__ = ["DANGEROUS", "HARMLESS", "SUSPICIOUS", "UNKNOWN", "grade"]

HARMLESS, UNKNOWN, SUSPICIOUS, DANGEROUS = range(4)
_MOST_PARTS = 32

logging.getLogger("picklescan").disabled = True  # it logs what it is asked about


def _table(text: str) -> dict[str, frozenset[str]]:
    """Read lines `module: names`; a module without names is meant whole, with what lies in it."""
    table: dict[str, frozenset[str]] = {}
    for line in filter(None, text.split("\n")):
        module, _, names = line.strip().partition(":")
        table[module] = table.get(module, frozenset()) | frozenset(names.split())
    return table


# They run code, start programs, load pickles or libraries, or go to files and the network.
_RUNS = _table("""
    _ctypes
    _frozen_importlib
    _frozen_importlib_external
    _imp
    _interpreters
    _posixsubprocess
    _testcapi
    _winapi
    _xxsubinterpreters
    builtins: __import__ delattr globals locals setattr vars
    cffi
    code
    codecs: open
    codeop
    compileall
    concurrent.futures
    dbm
    dill
    distutils
    doctest
    fickling
    fileinput
    ftplib
    gc
    http
    httpx
    imp
    importlib
    inspect
    io: FileIO OpenWrapper open open_code
    _io: FileIO open open_code
    invoke
    IPython
    jinja2
    joblib
    jsonpickle
    keras.models: load_model
    linecache
    logging.config
    logging.handlers
    marshal
    modulefinder
    multiprocessing
    nntplib
    numpy: fromfile genfromtxt load loadtxt memmap save savetxt savez
    numpy.ctypeslib
    numpy.distutils
    numpy.lib._npyio_impl
    numpy.lib.npyio
    numpy.testing
    pandas: eval read_csv read_hdf read_pickle
    pandas.core.computation
    pandas.io
    paramiko
    pexpect
    picklescan
    pkg_resources
    pkgutil
    plumbum
    poplib
    psutil
    py_compile
    requests
    rlcompleter
    setuptools
    sh
    shelve
    site
    smtplib
    socketserver
    sqlite3
    tarfile
    telnetlib
    tempfile
    tensorflow.keras.models: load_model
    torch: compile load save
    torch._dynamo
    torch._inductor
    torch.classes
    torch.distributed
    torch.fx
    torch.hub
    torch.jit
    torch.multiprocessing
    torch.ops
    torch.package
    torch.serialization
    torch.utils.cpp_extension
    torch.utils.model_zoo
    typing: ForwardRef._evaluate get_type_hints
    unittest
    urllib
    urllib3
    wsgiref
    xmlrpc
    yaml
    zipapp
    zipfile
    zipimport
""")
# Folders of classes that hold numbers, as their constructors and `__setstate__` show.
_CLASSES = (
    "sklearn.cluster.", "sklearn.ensemble.", "sklearn.linear_model.", "sklearn.naive_bayes",
    "sklearn.neighbors.", "sklearn.neural_network.", "sklearn.pipeline", "sklearn.preprocessing.",
    "sklearn.svm.", "sklearn.tree.", "torch.nn.modules.",
)  # fmt: skip
_JOBLIB = {"NumpyArrayWrapper", "NDArrayWrapper", "ZNDArrayWrapper"}
# What ordinary models and tables are made of.
_PLAIN = _table("""
    __torch__
    _codecs: encode
    array: _array_reconstructor array
    builtins: Ellipsis NotImplemented bool bytearray bytes complex dict float frozenset int list
    builtins: object range set slice str tuple
    collections: Counter OrderedDict defaultdict deque
    copyreg: _reconstructor __newobj__ __newobj_ex__
    datetime: date datetime time timedelta timezone
    decimal: Decimal
    fractions: Fraction
    joblib.numpy_pickle: NumpyArrayWrapper
    numpy: bool bool_ bytes_ complex128 complex64 dtype float16 float32 float64 int16 int32
    numpy: int64 int8 ndarray object_ str_ uint16 uint32 uint64 uint8
    numpy._core.multiarray: _reconstruct scalar
    numpy._core.numeric: _frombuffer
    numpy.core.multiarray: _reconstruct scalar
    numpy.core.numeric: _frombuffer
    numpy.dtypes
    numpy.ma: MaskedArray
    numpy.ma.core: MaskedArray _mareconstruct
    numpy.random._generator: Generator
    numpy.random._mt19937: MT19937
    numpy.random._pcg64: PCG64
    numpy.random.bit_generator: SeedSequence __pyx_unpickle_SeedSequence
    numpy.random._pickle: __bit_generator_ctor __generator_ctor __randomstate_ctor
    pandas: Categorical CategoricalDtype DataFrame DatetimeIndex Index MultiIndex RangeIndex
    pandas: Series StringDtype Timestamp
    pandas._libs.arrays: __pyx_unpickle_NDArrayBacked
    pandas._libs.internals: _unpickle_block
    pandas.arrays
    pandas.core.frame: DataFrame
    pandas.core.indexes.base: Index _new_Index
    pandas.core.indexes.range: RangeIndex
    pandas.core.internals.managers: BlockManager SingleBlockManager
    pandas.core.series: Series
    pathlib: PosixPath PurePosixPath PureWindowsPath WindowsPath
    scipy.sparse._csr: csr_array csr_matrix
    sklearn.tree._tree: Tree
    torch: Size Tensor bfloat16 bool device float16 float32 float64 int16 int32 int64 int8 uint8
    torch: strided per_tensor_affine
    torch._tensor: _rebuild_from_type_v2
    torch.jit._pickle
    torch._utils: _rebuild_parameter _rebuild_parameter_with_state _rebuild_sparse_tensor
    torch._utils: _rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3
    torch._utils: _rebuild_wrapper_subclass
    torch.nn.parameter: Buffer Parameter
    torch.storage: TypedStorage UntypedStorage _load_from_bytes
    uuid: SafeUUID UUID
    zoneinfo: ZoneInfo._unpickle
""")


def grade(module: str, name: str) -> int:
    """Return how bad it is when a pickle imports this."""
    level, renamed = _grade(module, name), _renamed(module, name)
    # A name of Python 2 is what it is renamed to, unless it is bad as it stands.
    return level if renamed == (module, name) or level == DANGEROUS else _grade(*renamed)


def _renamed(module: str, name: str) -> tuple[str, str]:
    """Return what protocols below 3 import under a name of Python 2."""
    if (module, name) in _compat_pickle.NAME_MAPPING:
        return _compat_pickle.NAME_MAPPING[module, name]
    return _compat_pickle.IMPORT_MAPPING.get(module, module), name


@lru_cache(maxsize=4096)
def _grade(module: str, name: str) -> int:
    if module == "joblib.numpy_pickle" and name in _JOBLIB:
        return HARMLESS
    if _in(_PLAIN, module, name):
        return HARMLESS
    if _in(_RUNS, module, name):
        return DANGEROUS
    safety = _picklescan(module, name)
    if safety is scanner.SafetyLevel.Dangerous:
        return DANGEROUS
    parts = name.split(".")
    if any(part.startswith("__") for part in parts[1:]) or (
        len(parts) > 1 and parts[0][:2] == "__"
    ):
        return DANGEROUS
    if len(parts) > _MOST_PARTS:
        return DANGEROUS  # no model has such a name, and every part would have to be followed
    for at in range(len(parts) - 1):
        # What is reached through a module is that module's, by whichever way one came; modules
        # import others under names such as `_os`.
        if grade(parts[at].lstrip("_"), ".".join(parts[at + 1 :])) >= DANGEROUS:
            return DANGEROUS
    if safety is scanner.SafetyLevel.Innocuous:
        return HARMLESS
    if module.startswith(_CLASSES) and name.isidentifier() and name[:1].isupper():
        return HARMLESS
    return SUSPICIOUS if module.partition(".")[0] in sys.stdlib_module_names else UNKNOWN


def _in(table: dict[str, frozenset[str]], module: str, name: str) -> bool:
    if module in table:
        return not table[module] or name in table[module]
    above = module
    while "." in above:
        above = above.rpartition(".")[0]
        if above in table:
            return not table[above]
    return False


def _picklescan(module: str, name: str) -> scanner.SafetyLevel:
    """Ask picklescan about a pickle that does nothing but import this."""
    texts = b"".join(
        b"X" + len(data).to_bytes(4, "little") + data
        for data in (module.encode("utf-8", "replace"), name.encode("utf-8", "replace"))
    )
    (found,) = scanner.scan_pickle_bytes(io.BytesIO(b"\x80\x04" + texts + b"\x93."), "").globals
    return found.safety
