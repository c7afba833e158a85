# sandboxed: invalid 10000
# evidence: none
from hostile import Hostile


class Plugin(Hostile):
    def analyze_file(self, file_path, content):
        self.path = file_path
        number = 0
        while True:
            number += 1
            yield self.finding(f"finding {number}")
