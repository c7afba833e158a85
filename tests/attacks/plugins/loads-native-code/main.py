import ctypes


class Plugin:
    def analyze_file(self, file_path, content):
        ctypes.CDLL(None).system(b"id")
        return ()
