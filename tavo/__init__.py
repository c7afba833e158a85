"""tavo: one file that secures AI systems."""

__all__ = ["__version__", "version_line"]

__version__ = "0.1.0"


def version_line(*, development: bool) -> str:
    """Return what `--version` prints; a build that trusts keys of its own must say so."""
    return f"tavo {__version__}" + (" (DEVELOPMENT ROOT)" if development else "")
