"""The command line: arguments in, one exit code out.

Rules this module keeps:
- `--version` is answered before anything is imported;
- an engine is imported by the command that needs it, when it is called;
- every error leaves through `main`: one sentence, a hint, the code of `tavo.errors.EXIT_CODES`;
- results go to stdout, everything for people to stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from tavo import __version__
from tavo.cli.commands import PLANNED, command_of, root_help

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; the console script's entry point."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words == ["--version"]:
        from tavo.cli.version import version_line

        print(version_line())
        return 0
    try:
        if "_TAVO_COMPLETE" in os.environ:
            from tavo.cli.completion import answer

            return answer()
        if not command_of(words) and (not words or {"-h", "--help"} & set(words)):
            return _help(0 if words else 2)
        _keep_ends_of_children()
        code = _run(words)
        return _interrupted() if code == 130 else code
    except KeyboardInterrupt:
        return _interrupted()
    except BrokenPipeError:
        # The reader of our output went away; keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 3
    except Exception as error:
        if _is_of_an_interrupt(error):  # also while the command line itself is imported
            return _interrupted()
        raise


def _keep_ends_of_children() -> None:
    """Take back that ends of children are discarded, which a program passes on to what it starts.

    Nobody could wait for a worker then, nor learn how it ended.
    """
    import signal

    if hasattr(signal, "SIGCHLD") and signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def _help(code: int) -> int:
    try:
        print(root_help(_columns()))
        _flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        _say(f"tavo: standard output: cannot be written: {error.strerror}")
        return 3
    return code


def _flush() -> None:
    if sys.stdout is not None:  # it is None where the caller closed it
        sys.stdout.flush()


def _unwritable(error: Exception) -> bool:
    """Tell whether this is the output that has no room, and not some file with a name."""
    import errno

    full = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF}
    return isinstance(error, OSError) and error.filename is None and error.errno in full


def _is_of_an_interrupt(error: BaseException) -> bool:
    """Tell whether Ctrl-C is behind an error: where a class is made, CPython 3.11 wraps it."""
    known: BaseException | None = error
    for _ in range(16):
        if isinstance(known, KeyboardInterrupt) or known is None:
            break
        known = known.__cause__ or known.__context__
    return isinstance(known, KeyboardInterrupt)


def _columns() -> int:
    """Return the width to draw help for; no module is imported for it."""
    given = os.environ.get("COLUMNS", "")
    try:
        return int(given) if given.isdecimal() else os.get_terminal_size().columns
    except OSError:
        return 80


def _interrupted() -> int:
    """Say so once; a second Ctrl-C while processes end must not print a traceback."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _say("\ntavo: interrupted")
    return 130


def _run(words: list[str]) -> int:
    from tavo.errors import ExitCode, NotAvailableError, TavoError, exit_code_of

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        command = command_of(words)
        if command in PLANNED:
            raise NotAvailableError(
                f"{command}: not available in version {__version__}; it is planned",
                hint="`tavo --help` lists the commands of this version.",
            )
        from tavo.cli.deferred import OF_TYPER, deferred

        with deferred(OF_TYPER):
            from tavo.cli.app import invoke
        code = invoke(words)
        _flush()
        return code
    except Exception as error:
        code = exit_code_of(error)
        if code is ExitCode.DEFECT:
            if isinstance(error, BrokenPipeError):
                raise
            if _is_of_an_interrupt(error):
                return 130
            if _unwritable(error):
                _say(f"tavo: standard output: cannot be written: {error}")
                return 3
            return _defect(error)
        hint = getattr(error, "hint", "") or ""
        kind = "refused: " if code is ExitCode.REFUSED and isinstance(error, Exception) else ""
        _say(f"tavo: {kind}{error}")
        if hint:
            _say(f"  {hint}")
        if isinstance(error, TavoError) and error.__cause__ is not None and "-v" in words:
            _say(f"  cause: {error.__cause__!r}")
        return int(code)


def _defect(error: Exception) -> int:
    """Report a defect of ours: the traceback goes to a file, a sentence to the user."""
    import tempfile
    import traceback

    from tavo.printable import printable

    with tempfile.NamedTemporaryFile(
        "w", prefix="tavo-defect-", suffix=".txt", delete=False, encoding="utf-8"
    ) as report:
        report.write(f"tavo {__version__}, Python {sys.version}, {sys.platform}\n")
        report.write("".join(traceback.format_exception(error)))
    _say(f"tavo: a defect of tavo: {type(error).__name__}: {printable(str(error))}")
    _say(f"  Please report it with {report.name} (it holds no file contents, only this failure).")
    return 70


def _say(message: str) -> None:
    from tavo.printable import printable

    print("\n".join(printable(line) for line in message.split("\n")), file=sys.stderr)
