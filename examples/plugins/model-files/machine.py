"""Reads pickles as the unpickler does, and loads nothing: what would be imported, and with what.

Rules this module keeps:
- what the C unpickler takes is read, also where `pickletools` refuses it (`I0x10`, names in UTF-8);
- strings are followed over stack and memo, so a name that is put together in pieces is still seen;
  a name that cannot be followed is an import of its own kind (`name is None`), not a guess;
- what an unpickler would stop at is written down as a fault, and reading goes on behind it: more is
  seen than would run, never less;
- joblib's arrays, which lie between the opcodes, are stepped over by the shape and the type in
  their wrapper; an array of objects is a pickle of its own, and is read. `pickle.load` does not
  step over them, so such a stream is read that way, too.
"""

from __future__ import annotations

import codecs
import pickletools
from collections.abc import Callable, Iterator
from typing import IO, Any, NamedTuple

__all__ = ["Import", "Read", "is_name", "read_pickles"]

_MOST_KEPT = 64 << 20  # bytes and texts that one file may have this module remember
_LONGEST_NAME = 4096
_LONGEST_LINE = 256 << 20
_MOST_KEYS = 64
_DEEPEST = 8
_WRAPPERS = {("joblib.numpy_pickle", "NumpyArrayWrapper")}
_NESTED = {("torch.storage", "_load_from_bytes")}
_TEXTS = {
    "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE",
    "BINUNICODE8",
}  # fmt: skip
_NUMBERS = {"INT", "LONG", "BININT", "BININT1", "BININT2", "LONG1", "LONG4"}
_BYTES = {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_OTHERS = {"FLOAT", "BINFLOAT", "EMPTY_LIST", "EMPTY_SET", "PERSID", "NEXT_BUFFER"}
_CODES = {ord(one.code): one for one in pickletools.opcodes}


class Import(NamedTuple):
    """What a pickle imports; `name` is None where it is computed or cannot be followed.

    `patched` says that the pickle changes the imported thing itself, not something made with it.
    """

    module: str
    name: str | None
    patched: bool = False


class Read(NamedTuple):
    """One pickle: what it imports, what lies in it as bytes, what stops a loader.

    `nested` is loaded as a pickle when this one is; `carried` only looks like one.
    """

    imports: list[Import]
    nested: list[bytes]
    carried: list[bytes]
    fault: str
    has_start: bool


class _Made(NamedTuple):
    what: Any
    arguments: Any
    state: dict[str, Any]


class _Object:
    """A value that is of no interest here."""


_THING = _Object()
_MARK = _Object()


class _BrokenError(Exception):
    """The data ends, or there is no opcode."""


def read_pickles(stream: IO[bytes]) -> Iterator[Read]:
    """Yield the pickles of a stream that can seek, one behind the other, up to what is none.

    Where joblib's wrappers of arrays are in one, it is read twice: as joblib reads it, and as
    `pickle.load` does, which takes what lies in the arrays for opcodes.
    """
    budget = [_MOST_KEPT]
    while start := stream.read(1):
        begin = stream.tell()
        plain = _Machine(stream, budget)
        plain.run(start)
        found = plain.read()
        if any(one[:2] in _WRAPPERS for one in found.imports):
            stream.seek(begin)
            joblib = _Machine(stream, budget, arrays=True)
            joblib.run(start)
            found = _both(found, joblib.read())
        yield found
        if found.fault:
            return


def _both(plain: Read, joblib: Read) -> Read:
    """Return what either imports; accidents in the data of arrays have no names of Python's."""
    named = [one for one in plain.imports if one.name is not None and is_name(*one[:2])]
    imports = dict.fromkeys([*joblib.imports, *named])
    return joblib._replace(
        imports=list(imports),
        nested=list(dict.fromkeys([*joblib.nested, *plain.nested])),
        carried=list(dict.fromkeys([*joblib.carried, *plain.carried])),
    )


def is_name(*texts: str) -> bool:
    """Tell whether texts are names of Python, with dots or without."""
    return all(part.isidentifier() for text in texts for part in text.split("."))


class _Machine:
    """The stack, the memo and what was imported, for one pickle."""

    def __init__(
        self, stream: IO[bytes], budget: list[int], *, arrays: bool = False, depth: int = 0
    ) -> None:
        self._stream = stream
        self._budget = budget
        self._arrays = arrays
        self._depth = depth
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._imports: dict[Import, None] = {}
        self._nested: list[bytes] = []
        self._carried: dict[bytes, None] = {}
        self._has_start = False
        self.fault = ""

    def read(self) -> Read:
        carried = [data for data in self._carried if data not in self._nested]
        return Read(list(self._imports), self._nested, carried, self.fault, self._has_start)

    def run(self, start: bytes) -> None:
        """Go through one pickle, whose first byte has been read."""
        code = start
        self._has_start = start == b"\x80"
        try:
            while code != b".":
                info = _CODES.get(code[0])
                if info is None:
                    raise _BrokenError(f"there is no opcode 0x{code[0]:02x}")
                self._step(info.name, self._argument(info))
                code = self._exactly(1)
        except _BrokenError as error:
            self._stop_at(str(error))
            return
        if not self._stack:
            self._stop_at("it ends with nothing")

    def _stop_at(self, why: str) -> None:
        self.fault = self.fault or why

    # What follows an opcode.

    def _exactly(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) != count:
            raise _BrokenError("the data ends within it")
        return data

    def _line(self) -> bytes:
        line = self._stream.readline(_LONGEST_LINE)
        if not line.endswith(b"\n"):
            raise _BrokenError("the data ends within it")
        return line[:-1]

    def _argument(self, info: pickletools.OpcodeInfo) -> Any:
        if info.arg is None:
            return None
        size = info.arg.n
        if size == pickletools.UP_TO_NEWLINE:
            first = self._line()
            return (first, self._line()) if info.name in {"GLOBAL", "INST"} else first
        if size >= 0:
            return self._exactly(size)
        width = {pickletools.TAKEN_FROM_ARGUMENT1: 1, pickletools.TAKEN_FROM_ARGUMENT8U: 8}
        length = int.from_bytes(self._exactly(width.get(size, 4)), "little")
        if info.name == "BINSTRING" and length >> 31:
            raise _BrokenError("a text has a negative length")
        return self._counted(length)

    def _counted(self, length: int) -> bytes | None:
        """Return that many bytes, or None where they are more than is kept."""
        if length <= self._budget[0]:
            self._budget[0] -= length
            return self._exactly(length)
        self._skip(length)
        return None

    def _skip(self, length: int) -> None:
        while length > 0:
            length -= len(self._exactly(min(length, 1 << 20)))

    # The stack.

    def _pop(self) -> Any:
        if self._stack and self._stack[-1] is not _MARK:
            return self._stack.pop()
        self._stop_at("it takes from an empty stack")
        return _THING

    def _pop_mark(self) -> list[Any]:
        items = []
        while self._stack:
            item = self._stack.pop()
            if item is _MARK:
                break
            items.append(item)
        else:
            self._stop_at("it looks for a mark that is not there")
        return items[::-1]

    def _top(self) -> Any:
        return self._stack[-1] if self._stack else _THING

    def _import(self, module: object, name: object) -> Import:
        """Note an import; operands are strings where they could be followed."""
        if isinstance(module, str) and isinstance(name, str):
            found = Import(module[:_LONGEST_NAME], name[:_LONGEST_NAME])
        else:
            found = Import(module[:_LONGEST_NAME] if isinstance(module, str) else "", None)
        self._imports[found] = None
        return found

    def _made(self, what: Any, arguments: Any) -> _Made:
        if isinstance(what, Import) and (what.module, what.name) in _NESTED:
            first = arguments[0] if isinstance(arguments, tuple) and arguments else None
            if isinstance(first, bytes):
                self._nested.append(first)
            else:
                self._imports[Import("pickle", "loads")] = None  # of what cannot be followed
        return _Made(what, arguments, {})

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _TEXTS:
            stack.append(_THING if argument is None else _text(name, argument))
        elif name in _NUMBERS:
            stack.append(_number(name, argument))
        elif name in _BYTES:
            stack.append(_THING if argument is None else argument)
            if argument and argument[0] == 0x80 and argument.endswith(b"."):
                self._carried[argument] = None
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _OTHERS:
            stack.append(_THING)
        elif name in _STEPS:
            _STEPS[name](self, argument)
        else:
            raise _BrokenError(f"the opcode {name} is not known here")

    # One method for each other opcode, or a few that do the same.

    def _nothing(self, _: Any) -> None:
        return

    def _append(self, _: None) -> None:
        self._pop()

    def _persistent(self, _: None) -> None:
        self._pop()
        self._stack.append(_THING)

    def _proto(self, argument: bytes) -> None:
        if argument[0] > 5:
            self._stop_at(f"there is no protocol {argument[0]}")

    def _global(self, argument: tuple[bytes, bytes]) -> None:
        self._stack.append(self._import(_decoded(argument[0]), _decoded(argument[1])))

    def _stack_global(self, _: None) -> None:
        name, module = self._pop(), self._pop()
        self._stack.append(self._import(module, name))

    def _inst(self, argument: tuple[bytes, bytes]) -> None:
        arguments = tuple(self._pop_mark())
        what = self._import(_decoded(argument[0]), _decoded(argument[1]))
        self._stack.append(self._made(what, arguments))

    def _obj(self, _: None) -> None:
        items = self._pop_mark()
        what = items[0] if items else _THING
        self._stack.append(self._made(what, tuple(items[1:])))

    def _reduce(self, _: None) -> None:
        arguments, what = self._pop(), self._pop()
        self._stack.append(self._made(what, arguments))

    def _newobj_ex(self, _: None) -> None:
        self._pop()
        self._reduce(None)

    def _extension(self, argument: bytes) -> None:
        self._stack.append(
            self._import("copyreg extension", str(int.from_bytes(argument, "little")))
        )

    def _build(self, _: None) -> None:
        state, target = self._pop(), self._top()
        if isinstance(target, Import):
            self._imports[target._replace(patched=True)] = None
        if not isinstance(target, _Made) or not self._arrays:
            return
        if isinstance(state, dict):
            target.state.update(state)
        elif isinstance(state, tuple):
            target.state["__state__"] = state
        what, arguments = target.what, target.arguments
        if what == Import("copyreg", "_reconstructor") and isinstance(arguments, tuple):
            what = next(iter(arguments), _THING)
        if isinstance(what, Import) and (what.module, what.name) in _WRAPPERS:
            self._array(target.state)

    def _array(self, state: dict[str, Any]) -> None:
        """Step over the array that joblib wrote behind its wrapper."""
        item = _size_of_items(state.get("dtype"))
        if item is None:
            if self._depth >= _DEEPEST:
                raise _BrokenError("arrays of objects lie too deep in each other")
            inner = _Machine(self._stream, self._budget, depth=self._depth + 1)
            inner.run(self._exactly(1))
            self._imports.update(inner._imports)
            self._nested += inner._nested
            self._carried.update(inner._carried)
            if inner.fault:
                raise _BrokenError(inner.fault)
            return
        count = item
        shape = state.get("shape")
        for side in shape if isinstance(shape, tuple) else (-1,):
            side = _plain_number(side)
            if side is None or side < 0:
                raise _BrokenError("an array has a shape that cannot be followed")
            count *= side
        if state.get("numpy_array_alignment_bytes") is not None:
            self._skip(self._exactly(1)[0])
        self._skip(count)

    def _pop_one(self, _: None) -> None:
        if self._stack and self._stack[-1] is _MARK:
            self._stack.pop()  # CPython takes the mark itself
        else:
            self._pop()

    def _dup(self, _: None) -> None:
        self._stack.append(self._top())

    def _tuple(self, count: int) -> None:
        items = [self._pop() for _ in range(count)]
        self._stack.append(tuple(items[::-1]))

    def _tuple_marked(self, _: None) -> None:
        self._stack.append(tuple(self._pop_mark()))

    def _collected(self, _: None) -> None:
        self._pop_mark()
        self._stack.append(_THING)

    def _appended(self, _: None) -> None:
        self._pop_mark()

    def _empty_dict(self, _: None) -> None:
        self._stack.append({})

    def _dict(self, _: None) -> None:
        items = self._pop_mark()
        self._stack.append({})
        self._set(items)

    def _set_item(self, _: None) -> None:
        value, key = self._pop(), self._pop()
        self._set([key, value])

    def _set_items(self, _: None) -> None:
        self._set(self._pop_mark())

    def _set(self, items: list[Any]) -> None:
        target = self._top()
        if isinstance(target, dict) and len(target) < _MOST_KEYS:
            pairs = zip(items[::2], items[1::2], strict=False)
            target.update((key, value) for key, value in pairs if isinstance(key, str))

    def _put(self, key: int) -> None:
        self._memo[key] = self._top()

    def _get(self, key: int) -> None:
        if key not in self._memo:
            self._stop_at("it reads what was never put into its memo")
        self._stack.append(self._memo.get(key, _THING))


def _set_steps() -> dict[str, Callable[[_Machine, Any], None]]:
    machine = _Machine
    return {
        "PROTO": machine._proto,
        "FRAME": machine._nothing,
        "READONLY_BUFFER": machine._nothing,
        "GLOBAL": machine._global,
        "STACK_GLOBAL": machine._stack_global,
        "INST": machine._inst,
        "OBJ": machine._obj,
        "REDUCE": machine._reduce,
        "NEWOBJ": machine._reduce,
        "NEWOBJ_EX": machine._newobj_ex,
        "EXT1": machine._extension,
        "EXT2": machine._extension,
        "EXT4": machine._extension,
        "BUILD": machine._build,
        "MARK": lambda it, _: it._stack.append(_MARK),
        "POP": machine._pop_one,
        "POP_MARK": machine._appended,
        "DUP": machine._dup,
        "TUPLE": machine._tuple_marked,
        "TUPLE1": lambda it, _: it._tuple(1),
        "TUPLE2": lambda it, _: it._tuple(2),
        "TUPLE3": lambda it, _: it._tuple(3),
        "LIST": machine._collected,
        "FROZENSET": machine._collected,
        "APPEND": machine._append,
        "APPENDS": machine._appended,
        "ADDITEMS": machine._appended,
        "EMPTY_DICT": machine._empty_dict,
        "DICT": machine._dict,
        "SETITEM": machine._set_item,
        "SETITEMS": machine._set_items,
        "PUT": lambda it, line: it._put(_written(line)),
        "BINPUT": lambda it, key: it._put(int.from_bytes(key, "little")),
        "LONG_BINPUT": lambda it, key: it._put(int.from_bytes(key, "little")),
        "MEMOIZE": lambda it, _: it._memo.__setitem__(len(it._memo), it._top()),
        "GET": lambda it, line: it._get(_written(line)),
        "BINGET": lambda it, key: it._get(int.from_bytes(key, "little")),
        "LONG_BINGET": lambda it, key: it._get(int.from_bytes(key, "little")),
        "BINPERSID": machine._persistent,
    }


_STEPS = _set_steps()


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _text(name: str, data: bytes) -> str:
    if name == "UNICODE":
        return data.decode("raw_unicode_escape", "replace")
    if name == "STRING":
        try:
            data = codecs.escape_decode(data.strip()[1:-1])[0]
        except ValueError:
            pass  # a loader stops here
    return _decoded(data)


def _number(name: str, data: bytes | None) -> Any:
    if data is None:
        return _THING
    if name in {"INT", "LONG"}:
        digits = data.strip().rstrip(b"L")
        if digits in {b"00", b"01"} and name == "INT":
            return digits == b"01"
        try:
            return int(digits[:_MOST_KEYS], 0 if name == "INT" else 10)
        except ValueError:
            return _THING  # a loader stops here, or reads a number in a form of C
    return int.from_bytes(data[:16], "little", signed=name != "BININT1" and name != "BININT2")


def _written(line: bytes) -> int:
    """Return the number of a place in the memo that is written in digits."""
    try:
        return int(line[:20])
    except ValueError:
        return -1


def _plain_number(value: Any) -> int | None:
    """Return a whole number, also one that is a scalar of NumPy's."""
    if isinstance(value, _Made) and isinstance(value.arguments, tuple) and value.arguments:
        last = value.arguments[-1]
        value = int.from_bytes(last[:8], "little", signed=True) if isinstance(last, bytes) else None
    return value if isinstance(value, int) else None


def _size_of_items(dtype: Any) -> int | None:
    """Return the bytes of an item of a pickled numpy.dtype, None where it holds objects.

    Raises _BrokenError where it cannot be told.
    """
    if not isinstance(dtype, _Made) or not isinstance(dtype.arguments, tuple):
        raise _BrokenError("an array has a type that cannot be followed")
    code = next(iter(dtype.arguments), None)
    if not isinstance(code, str) or not code[1:].isdigit():
        raise _BrokenError("an array has a type that cannot be followed")
    if code[0] == "O" or _holds_objects(dtype.state, _DEEPEST):
        return None
    return int(code[1:]) * (4 if code[0] == "U" else 1)


def _holds_objects(value: Any, depth: int) -> bool:
    if depth == 0:
        return True
    if isinstance(value, _Made):
        return value.arguments[:1] == ("O8",) or _holds_objects(value.state, depth - 1)
    parts = value.values() if isinstance(value, dict) else value
    return isinstance(value, dict | tuple) and any(_holds_objects(one, depth - 1) for one in parts)
