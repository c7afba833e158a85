"""Write recommender.pkl: a model whose pickle also carries a command, as a poisoned one would.

The command is harmless: it prints one line. It runs in whatever process unpickles the file, so do
not load the file; scanners read it without loading it. The bytes are the same on every machine.
"""

import pickle
import pickletools
from pathlib import Path

MODEL = {
    "name": "recommender",
    "version": 3,
    "bought_together": {"1": {"2": 31, "3": 12}, "2": {"1": 31}, "3": {"1": 12, "2": 4}},
}
COMMAND = "echo shop-agent: loading this model ran a command"


def build() -> bytes:
    """Return the pickle: call posix.system with the command, drop the result, give the model."""
    call = b"cposix\nsystem\n(V" + COMMAND.encode("ascii") + b"\ntR0"
    model = pickle.dumps(MODEL, protocol=2)
    return model[:2] + call + model[2:]


if __name__ == "__main__":
    data = build()
    list(pickletools.genops(data))
    target = Path(__file__).with_name("recommender.pkl")
    target.write_bytes(data)
    print(f"{target.name}: {len(data)} bytes")
