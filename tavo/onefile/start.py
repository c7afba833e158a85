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
        print(VERSION_LINE)
        return 0
    tag = sys.implementation.cache_tag or sys.implementation.name
    if tag not in CODE:
        import refuse  # type: ignore[import-not-found]  # beside this module in the file

        return int(refuse.interpreter(tag, CODE))
    import _signal  # type: ignore[import-not-found]

    # Until the command runs nothing needs to be put in order, so Ctrl-C ends at once.
    _signal.signal(_signal.SIGINT, _interrupted)
    attach()
    from tavo.cli import main

    _signal.signal(_signal.SIGINT, _signal.default_int_handler)
    try:
        code: object = main()
    except SystemExit as refusal:
        code = refusal.code
    return _leave(code)


def attach() -> None:
    """Make everything in the file importable, and nothing else but the standard library."""
    import gc
    import marshal
    import os

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
    import atexit
    import os

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
