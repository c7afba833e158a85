"""What an interpreter says that cannot run the file. It lies beside `__main__.py` as `refuse`.

Rules this module keeps:
- every Python 3 can parse it.
"""

import os
import sys


def interpreter(tag: str, code: dict) -> int:  # type: ignore[type-arg]
    """Say which interpreters can run this file, and which of them are here."""
    names = ["python" + t[8:9] + "." + t[9:] for t in sorted(code, reverse=True)]
    found = []
    folders = [f for f in os.environ.get("PATH", "").split(os.pathsep) if "shims" not in f]
    versions = os.path.join(os.path.expanduser("~"), ".pyenv", "versions")
    if os.path.isdir(versions):
        folders += [os.path.join(versions, one, "bin") for one in sorted(os.listdir(versions))]
    for folder in folders:
        for name in names:
            path = os.path.join(folder, name)
            if os.path.isfile(path) and os.access(path, os.X_OK):
                found.append(path)
    kind = "free-threaded " if tag.endswith("t") else ""
    sys.stderr.write(
        "tavo: this file runs on CPython %s; this is %s%s %s at %s\n"
        % (
            ", ".join(name[6:] for name in reversed(names)),
            kind,
            sys.implementation.name,
            sys.version.split()[0],
            sys.executable,
        )
    )
    if found:
        sys.stderr.write("  Run it with one that is here: %s %s\n" % (found[0], sys.argv[0]))
    else:
        sys.stderr.write(
            "  Install one of these versions, or `pip install` tavo from its sources.\n"
        )
    return 2
