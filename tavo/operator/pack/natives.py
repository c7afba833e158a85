"""Native modules: that each is for the system and interpreter whose wheel it came from.

Rules this module keeps:
- what cannot be run on the machine that builds is at least what its name says: format, processor
  and interpreter of every binary are read, and a wrong one fails the build;
- of an ELF file only what its segments hold is kept: that is all a system loads, and symbol tables
  and debugging information are half of it. The wheel's hash was checked before;
- of a universal Mach-O file only the part for the processor is kept, which has a signature of its
  own. Otherwise Mach-O and PE files stay as they are, because their signatures cover everything.

Sources: ELF-64 object file format; PE/COFF specification; Apple's mach-o/loader.h.
"""

from __future__ import annotations

import re
import struct

from tavo.operator.pack.targets import PackError, Target

__all__ = ["check_native", "machine_of", "needed_part"]

_EXPECTED = {
    "linux-x86_64": "ELF x86_64",
    "linux-aarch64": "ELF aarch64",
    "macos-arm64": "Mach-O arm64",
    "windows-x86_64": "PE x86_64",
}
_ELF_HEADER = 64
_ELF = {62: "x86_64", 183: "aarch64"}
_PE = {0x8664: "x86_64", 0xAA64: "arm64"}
_MACH_O = {0x01000007: "x86_64", 0x0100000C: "arm64"}
_TAGGED = re.compile(r"\.(?:cpython-(\d+)|cp(\d+)-win)[^/]*\.(?:so|pyd)$")


def check_native(target: Target, relative: str, content: bytes) -> None:
    """Raise PackError if a binary is for another system, processor or interpreter."""
    found = machine_of(content)
    expected = _EXPECTED[target.platform]
    if expected not in found:
        raise PackError(
            f"{relative} of {target}: is {' and '.join(found) or 'no binary'}, not {expected}"
        )
    tagged = _TAGGED.search(relative)
    if tagged and (tagged[1] or tagged[2]) != target.minor:
        raise PackError(f"{relative} of {target}: is for CPython {tagged[1] or tagged[2]}")


def machine_of(content: bytes) -> list[str]:
    """Return format and processor of a binary, several for a universal one."""
    try:
        if content[:5] == b"\x7fELF\x02":
            return [f"ELF {_ELF.get(struct.unpack_from('<H', content, 18)[0], 'other')}"]
        if content[:2] == b"MZ":
            header = struct.unpack_from("<I", content, 0x3C)[0]
            if content[header : header + 4] == b"PE\0\0":
                machine = struct.unpack_from("<H", content, header + 4)[0]
                return [f"PE {_PE.get(machine, 'other')}"]
        if content[:4] == b"\xcf\xfa\xed\xfe":
            return [f"Mach-O {_MACH_O.get(struct.unpack_from('<I', content, 4)[0], 'other')}"]
        if content[:4] == b"\xca\xfe\xba\xbe":
            count = min(struct.unpack_from(">I", content, 4)[0], 8)
            kinds = [struct.unpack_from(">I", content, 8 + 20 * n)[0] for n in range(count)]
            return [f"Mach-O {_MACH_O.get(kind, 'other')}" for kind in kinds]
    except struct.error:
        pass
    return []


def needed_part(target: Target, relative: str, content: bytes) -> bytes:
    """Return what the target loads of a binary. Raises PackError if its tables make no sense."""
    try:
        if content[:5] == b"\x7fELF\x02":
            return _segments(content)
        if content[:4] == b"\xca\xfe\xba\xbe":
            return _part_for(_EXPECTED[target.platform], content)
    except PackError as error:
        raise PackError(f"{relative} of {target}: {error}") from error
    return content


def _part_for(expected: str, content: bytes) -> bytes:
    for number in range(len(machine_of(content))):
        _, _, offset, size, _ = struct.unpack_from(">5I", content, 8 + 20 * number)
        part = content[offset : offset + size]
        if len(part) == size and machine_of(part) == [expected]:
            return part
    raise PackError(f"no whole part for {expected} in a universal file")


def _segments(content: bytes) -> bytes:
    """Return an ELF file without the sections that lie behind its segments."""
    try:
        table = struct.unpack_from("<Q", content, 32)[0]
        size, count = struct.unpack_from("<HH", content, 54)
        end = max(_ELF_HEADER, table + size * count)
        for number in range(count):
            offset, _, _, length = struct.unpack_from("<QQQQ", content, table + number * size + 8)
            end = max(end, offset + length)
    except struct.error as error:
        raise PackError(f"no table of segments: {error}") from error
    if end > len(content):
        raise PackError(f"has segments up to byte {end} in {len(content)} bytes")
    kept = bytearray(content[:end])
    kept[40:48] = bytes(8)  # where the table of sections is
    kept[60:64] = bytes(4)  # how many there are, and which holds their names
    return bytes(kept)
