"""tavo: one file that secures AI systems."""

__all__ = ["__version__"]

__version__ = "0.1.0"
