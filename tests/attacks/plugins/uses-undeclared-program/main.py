import subprocess


class Plugin:
    def analyze_file(self, file_path, content):
        subprocess.run(["git", "log"], check=False)
        return ()
