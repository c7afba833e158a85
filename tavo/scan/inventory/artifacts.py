"""Files that are a part by themselves: models, data sets, prompts, notebooks, by their names.

Rules this module keeps:
- a file is hashed in pieces and never loaded; one that is larger than the bound has no digest, and
  that is said.

Units: sizes in bytes.
"""

from __future__ import annotations

import hashlib
import os
import stat
from functools import cache
from pathlib import PurePosixPath

from tavo.results.inventory import Kind
from tavo.scan.files import SourceFile, UnreadableError
from tavo.scan.path_patterns import PathPatterns

__all__ = ["LARGEST_HASHED", "digest_of_file", "kind_of_file"]

LARGEST_HASHED = 16 << 30
"""Up to which size a file is hashed."""

_PIECE = 1 << 20
_READING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
_MODELS = (
    "*.safetensors", "*.gguf", "*.ggml", "*.onnx", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.hdf5",
    "*.keras", "*.tflite", "*.pkl", "*.pickle", "*.joblib", "*.mlmodel", "*.mlpackage",
    "*.llamafile",
    "pytorch_model*.bin", "adapter_model*.bin", "ggml-*.bin", "model*.bin", "saved_model.pb",
    "*.engine", "*.nemo", "*.caffemodel",
)  # fmt: skip
_DATA_ENDINGS = ("parquet", "arrow", "jsonl", "jsonl.gz", "csv", "tsv", "npz", "tfrecord")
_DATA_NAMES = ("*dataset*", "*train*", "*finetun*", "*fine_tun*", "*fine-tun*", "*eval*",
"*corpus*",
               "*benchmark*", "*golden*")  # fmt: skip
_DATA = (
    *(f"{name}.{ending}" for name in _DATA_NAMES for ending in _DATA_ENDINGS),
    *(f"**/{name}/**/*.{ending}" for name in ("datasets", "dataset", "training_data", "evals")
      for ending in _DATA_ENDINGS),
)  # fmt: skip
_PROMPTS = (
    "*.prompt", "*.prompt.*", "*.prompty", "*.promptl", "AGENTS.md", "AGENT.md", "CLAUDE.md",
    "GEMINI.md", "SKILL.md", ".cursorrules", ".windsurfrules", ".clinerules", "*.mdc",
    "copilot-instructions.md", "*.instructions.md", "*.chatmode.md",
    "*system_prompt*.txt", "*system_prompt*.md", "*system-prompt*.txt", "*system-prompt*.md",
    "*system_prompt*.j2", "*system_prompt*.jinja*", "*_prompt.txt", "*_prompt.md", "*_prompt.j2",
    "**/prompts/**/*.txt", "**/prompts/**/*.md", "**/prompts/**/*.j2", "**/prompts/**/*.jinja*",
    "**/prompts/**/*.mustache", "**/prompts/**/*.hbs", "**/.claude/commands/*.md",
    "**/.claude/agents/*.md", "!README.md",
)  # fmt: skip


def kind_of_file(path: PurePosixPath) -> Kind | None:
    """Return what a file is by its name, None for no part by itself."""
    if path.suffix.lower() == ".ipynb":
        return Kind.NOTEBOOK
    text = str(path)
    for kind, patterns in _patterns().items():
        if patterns.verdict(text):
            return kind
    return None


@cache
def _patterns() -> dict[Kind, PathPatterns]:
    return {
        Kind.MODEL: PathPatterns(_MODELS),
        Kind.DATASET: PathPatterns(_DATA),
        Kind.PROMPT: PathPatterns(_PROMPTS),
    }


def digest_of_file(file: SourceFile, *, largest: int = LARGEST_HASHED) -> tuple[str, int]:
    """Return SHA-256 and the size of a regular file. Raises UnreadableError with the reason."""
    whole = hashlib.sha256()
    try:
        descriptor = os.open(file.path, _READING)
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableError("not a regular file")
            if status.st_size > largest:
                raise UnreadableError(
                    f"too large to hash: {status.st_size} bytes, at most {largest}"
                )
            size = 0
            while piece := os.read(descriptor, _PIECE):
                size += len(piece)
                if size > largest:
                    raise UnreadableError("too large: it is growing while it is read")
                whole.update(piece)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise UnreadableError(f"cannot be read: {error.strerror or error}") from error
    return whole.hexdigest(), size
