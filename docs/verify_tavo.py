#!/usr/bin/env python3
"""Check a downloaded tavo.pyz before its first run; needs Python 3.8 or newer and nothing else.

    python3 verify_tavo.py tavo.pyz --releases N.releases.json --key HEX --key HEX [--threshold 2]
N.releases.json (take the highest N) is in the folder metadata of the repository; the release notes
print the public release keys, compare them in two places. The exit code is 0 only if that many of
these keys signed the list, it has not expired, and this file is in it, byte for byte.
"""

# fmt: off
import argparse, hashlib, json, pathlib, sys, time  # noqa: E401, I001
# Ed25519 (RFC 8032, section 5.1): points of -x^2 + y^2 = 1 + D x^2 y^2 modulo P; BASE has order L.
P, L = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
D, BASE = -121665 * pow(121666, -1, P) % P, bytes.fromhex("58" + 31 * "66")
def add(a, b):
    t, x, y = D * a[0] * b[0] * a[1] * b[1], a[0] * b[1] + a[1] * b[0], a[1] * b[1] + a[0] * b[0]
    return x * pow(1 + t, -1, P) % P, y * pow(1 - t, -1, P) % P
def times(n, a):
    return (0, 1) if n == 0 else add(times(n - 1, a), a) if n & 1 else times(n >> 1, add(a, a))
def decode(raw):
    sign, y = divmod(int.from_bytes(raw, "little"), 1 << 255)
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    if len(raw) != 32 or y >= P or x * x % P != square or (sign and not x):
        raise ValueError(f"{raw.hex()} is no public key")
    return (x if x & 1 == sign else P - x), y
def verify(key, message, signature):
    (x, y), s = decode(key), int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= L or times(8, (x, y)) == (0, 1):
        return False  # malformed, another form of a known signature, or a key that anybody can use
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    x, y = add(times(s, decode(BASE)), times(k, (P - x, y)))
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]

def check(data, doc, keys, threshold, now):
    signed, found = doc["signed"], (len(data), hashlib.sha256(data).hexdigest())
    text = json.dumps(signed, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    good = {k for k in keys for s in doc["signatures"] if verify(k, text, bytes.fromhex(s["sig"]))}
    if len(good) < max(1, threshold) or signed["_type"] != "targets":
        raise ValueError(f"{len(good)} of the given keys signed the list, expected {threshold}")
    if signed["expires"] <= now:
        raise ValueError(f"the list expired {signed['expires']}, get the newest one")
    for name, target in signed["targets"].items():
        if name.startswith("releases/") and (target["length"], target["hashes"]["sha256"]) == found:
            return f"is {name}, sha256 {found[1]}, in a list that {len(good)} of these keys signed"
    raise ValueError(f"its sha256 {found[1]} is not in the list")

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=pathlib.Path)
    parser.add_argument("--releases", type=pathlib.Path, required=True)
    parser.add_argument("--key", type=bytes.fromhex, action="append", required=True)
    parser.add_argument("--threshold", type=int, default=2)
    a, now = parser.parse_args(), time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    try:
        document = json.loads(a.releases.read_bytes())
        print(a.file, check(a.file.read_bytes(), document, a.key, a.threshold, now))  # noqa: T201
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        sys.exit(f"{a.file} is REFUSED, do not run it: {error}")
