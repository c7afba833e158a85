"""The first lines that run: this module is the `__main__.py` of the single file.

Rules this module keeps:
- it is parsed by every Python 3, so that an unsupported one gets a sentence;
- `--version` is answered here, before anything is imported;
- nothing is imported that is not in the interpreter: what lies on PYTHONPATH could come first;
- it is short, because it is compiled at every start;
- the build replaces the constants; offsets count from the start of the file, in bytes.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

VERSION_LINE = "tavo"
OLDEST = (3, 11)
CODE: "dict[str, tuple[int, int]]" = {}  # interpreter tag -> offset and length of its index


def start() -> int:
    """Check the interpreter, make the file importable, and run the command."""
    if sys.argv[1:] == ["--version"]:
        return _leave(_print_version())
    tag = sys.implementation.cache_tag or sys.implementation.name
    if tag not in CODE:
        import refuse  # type: ignore[import-not-found]  # beside this module in the file

        return int(refuse.interpreter(tag, CODE))
    import _signal  # type: ignore[import-not-found]

    # Until the command runs nothing needs to be put in order, so Ctrl-C ends at once.
    _signal.signal(_signal.SIGINT, _interrupted)
    try:
        attach()
        from tavo.cli import main
    except Exception as error:  # noqa: BLE001  (whatever damaged code does)
        return _leave(_damaged(error))
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    try:
        code: object = main()
    except SystemExit as refusal:
        code = refusal.code
    return _leave(code)


def _print_version() -> int:
    try:
        print(VERSION_LINE, flush=True)
    except OSError as error:
        sys.stderr.write("tavo: standard output: cannot be written: %s\n" % error.strerror)
        return 3
    return 0


def _damaged(error: Exception) -> int:
    sys.stderr.write(
        "tavo: this file is damaged, or was exchanged while it started: %s\n"
        "  Try again; if that does not help, download it again and compare its sha256.\n" % error
    )
    return 3


def attach() -> None:
    """Make everything in the file importable, and nothing else but the standard library."""
    import gc
    import marshal
    import os

    for number in range(3):
        try:
            os.fstat(number)
        except OSError:  # closed by the caller: the next file must not become our output
            os.open(os.devnull, os.O_RDWR)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w"))  # noqa: SIM115
    gc.set_threshold(20000, 10, 10)  # what is imported stays, looking through it again is lost time
    archive = os.path.abspath(os.path.dirname(__file__))
    handle = os.open(archive, os.O_RDONLY | getattr(os, "O_BINARY", 0))
    offset, length = CODE[sys.implementation.cache_tag]
    os.lseek(handle, offset, 0)
    finder, index = marshal.loads(os.read(handle, length))
    module = type(sys)("tavo.onefile.finder")
    if isinstance(finder, str):  # this interpreter was not at hand when the file was built
        code = compile(finder, "tavo/onefile/finder.py", "exec", 0, True)
    else:
        code = marshal.loads(finder)
    sys.modules["tavo.onefile.finder"] = module
    exec(code, module.__dict__)
    module.install(archive, handle, index)


def _leave(code: object) -> "NoReturn":
    """End the process without taking apart what the system takes back anyway."""
    import _signal
    import atexit
    import os

    _signal.signal(_signal.SIGINT, _interrupted)
    if "threading" in sys.modules:
        sys.modules["threading"]._shutdown()
    atexit._run_exitfuncs()
    code = code if isinstance(code, int) else 1
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            code = code or 3
    os._exit(code)


def _interrupted(number: int, frame: object) -> None:
    import os

    os.write(2, b"\ntavo: interrupted\n")
    os._exit(130)


if __name__ == "__main__":
    sys.exit(start())
