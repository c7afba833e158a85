"""What runs first when tavo is one file: the start, the imports out of the file, its cache.

Rules this package keeps:
- the standard library only, and nothing of ours: it runs before anything else is there;
- Python code comes out of the file itself and is never cached; native modules and data files lie
  in a cache, and each is hashed against the file before it is used;
- an installation by pip or a checkout never comes here: `running()` is None then.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tavo.onefile.finder import Finder

__all__ = ["again", "running"]

_IN_FOLDER = "import sys; sys.path.insert(0, {folder!r}); "
_IN_FILE = (
    "import sys, zipimport; archive = {archive!r}; "
    "start = {{'__name__': 'start', '__file__': archive + '/__main__.py'}}; "
    "exec(zipimport.zipimporter(archive).get_code('__main__'), start); "
    "start['attach'](); "
)


def running() -> Finder | None:
    """Return what imports out of the single file in this process; None where there is none."""
    for finder in sys.meta_path:
        if type(finder).__module__ == "tavo.onefile.finder":
            return finder  # type: ignore[return-value]
    return None


def again(code: str) -> list[str]:
    """Return the command of a new process that has this same tavo and runs a line of Python."""
    finder = running()
    if finder is not None:
        where = _IN_FILE.format(archive=str(finder.archive))
    else:
        import os

        package = os.path.abspath(__path__[0])
        where = _IN_FOLDER.format(folder=os.path.dirname(os.path.dirname(package)))
    return [sys.executable, "-I", "-c", where + code]
