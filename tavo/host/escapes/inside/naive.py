"""The same attack in an ordinary process of the user, as a program without a sandbox runs plugins.

Arguments: the folder with the attack, the connection to the host, the configuration as JSON, the
scratch folder.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module

__all__ = ["main"]


def main() -> None:
    """Attack, and send the host a frame with what came of it."""
    folder, channel, config, scratch = sys.argv[1:]
    sys.path.insert(0, folder)
    at = import_module("reach").At(json.loads(config), scratch)
    attack = import_module("attack").attack
    try:
        said = {"loot": str(attack(at))[:4000]}
    except BaseException as error:
        said = {"error": f"{type(error).__name__}: {error}"}
    data = json.dumps(said).encode()
    os.write(int(channel), len(data).to_bytes(4, "big") + data)


if __name__ == "__main__":
    main()
