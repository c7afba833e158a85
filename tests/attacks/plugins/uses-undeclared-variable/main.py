import os


class Plugin:
    def analyze_file(self, file_path, content):
        self.one = os.environ.get("DECLARED")
        self.other = os.getenv("AWS_SECRET_ACCESS_KEY")
        return ()
