class Plugin:
    def analyze_file(self, file_path, content):
        module = __import__("".join(["sub", "process"]))
        getattr(module, "nur"[::-1])(["id"])
        return ()
