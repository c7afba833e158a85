"""What stands where detect-secrets imports `requests` and `yaml`; both are left out on purpose.

`requests` is used to ask providers whether a key is valid. This plugin never verifies, and has no
network. `yaml` rewrites YAML files before they are looked at; its wheels are native code. The
stand-in refuses every file, and detect-secrets then reads it line by line, as any other text.
"""

import sys
import types

__all__ = ["put_in_place"]


def put_in_place() -> None:
    """Make both importable for detect-secrets, unless the real ones are there."""
    requests = types.ModuleType("requests")
    requests.Response = object
    requests.exceptions = types.SimpleNamespace(RequestException=OSError)
    yaml = types.ModuleType("yaml")
    yaml.YAMLError = type("YAMLError", (ValueError,), {})
    yaml.SafeLoader = _refusing(yaml.YAMLError)
    nodes = dict.fromkeys(("Node", "MappingNode", "ScalarNode"), object)
    yaml.nodes = types.SimpleNamespace(**nodes)
    tokens = types.ModuleType("yaml.tokens")
    for name in ("FlowEntryToken", "KeyToken"):
        setattr(tokens, name, type(name, (), {}))
    yaml.tokens = tokens
    sys.modules.setdefault("requests", requests)
    if "yaml" not in sys.modules:
        sys.modules.update({"yaml": yaml, "yaml.tokens": tokens})


def _refusing(error: type[Exception]) -> type:
    class Loader:
        def __init__(self, *_: object) -> None:
            raise error("files are read line by line")

    return Loader
