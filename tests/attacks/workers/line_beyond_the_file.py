# sandboxed: invalid lines 999
# evidence: none
from hostile import Hostile


class Plugin(Hostile):
    def analyze_file(self, file_path, content):
        self.path = file_path
        yield self.finding("nowhere", region=999)
