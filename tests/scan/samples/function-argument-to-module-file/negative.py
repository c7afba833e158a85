import importlib.util
from pathlib import Path

HERE = Path(__file__).parent


def load_tool(name: str):
    # ok: function-argument-to-module-file
    return TOOLS[name]


def builtin():
    # ok: function-argument-to-module-file
    return importlib.util.spec_from_file_location("builtin", HERE / "builtin.py")


def checked(path: Path):
    if not path.is_relative_to(HERE):
        raise ValueError(path)
    # ok: function-argument-to-module-file
    return importlib.util.spec_from_file_location("tool", path)


def version(number: int):
    # ok: function-argument-to-module-file
    return importlib.util.spec_from_file_location("v", f"{HERE}/v{number}.py")
