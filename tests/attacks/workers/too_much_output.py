# sandboxed: output bytes of findings
# evidence: none
from hostile import Hostile


class Plugin(Hostile):
    def analyze_file(self, file_path, content):
        self.path = file_path
        for number in range(9_000):
            yield self.finding(f"{number} " + "x" * 4000)
