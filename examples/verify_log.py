#!/usr/bin/env python3
"""Check what `tavo mirror audit --out FOLDER` wrote; needs Python 3.8 or newer and nothing else.

    python3 verify_log.py FOLDER/inclusion.json FOLDER/consistency.json --key HEX [--catalog FILE]
Each --key is a public key of the catalog's role, from the marketplace's operator; compare it in
two places. Exit code 0: one of these keys signed every checkpoint, and every proof holds (RFC 9162,
section 2.1); 1: REFUSED; 2: a file cannot be read. --earlier FILE: the consistency proof must be
from this checkpoint, which you kept; --catalog FILE: the inclusion proof must be of this very file.
"""

# fmt: off
import argparse, base64, hashlib, json, pathlib, sys  # noqa: E401, I001
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
def signed(key, message, signature):
    (x, y), s = decode(key), int.from_bytes(signature[32:], "little")
    if len(signature) != 64 or s >= L or times(8, (x, y)) == (0, 1):
        return False  # malformed, another form of a known signature, or a key that anybody can use
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + message).digest(), "little") % L
    x, y = add(times(s, decode(BASE)), times(k, (P - x, y)))
    return (y | (x & 1) << 255).to_bytes(32, "little") == signature[:32]
def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()
def checkpoint(note, keys):  # a signed note, as c2sp.org/signed-note describes it
    text, _, lines = note.partition("\n\n")
    for raw in (base64.b64decode(line.split(" ")[2], validate=True) for line in lines.splitlines()):
        if any(signed(key, text.encode() + b"\n", raw[4:]) for key in keys):
            origin, size, root = text.split("\n")
            return origin, int(size), base64.b64decode(root, validate=True)
    raise ValueError("none of the given keys signed the checkpoint")
def climb(at, last, old, new, proof):
    """Return the roots that a proof leads to; old is None for a leaf."""
    for one in proof:
        if last == 0:
            raise ValueError("the proof is too long")
        if at & 1 or at == last:
            old, new = old and node(one, old), node(one, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node(new, one)
        at, last = at >> 1, last >> 1
    return (b"", b"") if last else (old, new)  # too short: no root
def check(data, keys, catalog=None, kept=None):
    doc = json.loads(data)
    proof = [base64.b64decode(one, validate=True) for one in doc["proof"]]
    origin, size, root = checkpoint(doc["checkpoint"], keys)
    if doc["format"] != "tavo-log-proof/1":
        raise ValueError("of another format")
    if "entry" in doc:
        index, entry = doc["index"], json.loads(doc["entry"])
        leaf = hashlib.sha256(b"\0" + doc["entry"].encode()).digest()
        if not 0 <= index < size or entry["index"] != index:
            raise ValueError("the entry is not where it says")
        if climb(index, size - 1, None, leaf, proof)[1] != root:
            raise ValueError("the entry is not in the log")
        if catalog is not None and entry["catalog"] != hashlib.sha256(catalog).hexdigest():
            raise ValueError("the entry is of another catalog")
        return f"release {index + 1} of {size} in {origin}: {doc['entry']}"
    before, old_size, old_root = checkpoint(doc["earlier"], keys)
    if kept is not None and checkpoint(kept.decode(), keys) != (before, old_size, old_root):
        raise ValueError("the proof is from another checkpoint than the one you kept")
    if before != origin or not 0 < old_size <= size or (old_size == size and old_root != root):
        raise ValueError("the two checkpoints are not of one log")
    at, last, path = old_size - 1, size - 1, [old_root, *proof]
    path = path[1:] if old_size & (old_size - 1) else path  # the root of a whole tree is left out
    while at & 1:
        at, last = at >> 1, last >> 1
    if old_size < size and climb(at, last, path[0], path[0], path[1:]) != (old_root, root):
        raise ValueError("the log was rewritten: it does not continue the earlier checkpoint")
    return f"the log {origin} of {size} releases continues the one of {old_size}"
if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("proof", type=pathlib.Path, nargs="+")
    parser.add_argument("--key", type=bytes.fromhex, action="append", required=True)
    parser.add_argument("--catalog", type=pathlib.Path)
    parser.add_argument("--earlier", type=pathlib.Path)
    a = parser.parse_args()
    try:
        more = [one and one.read_bytes() for one in (a.catalog, a.earlier)]
        for path in a.proof:
            print("HOLDS", path, check(path.read_bytes(), a.key, *more))  # noqa: T201
    except OSError as e:
        parser.exit(2, f"{e.filename} cannot be read: {e.strerror}\n")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as e:
        sys.exit(f"{path} is REFUSED: {e}")
