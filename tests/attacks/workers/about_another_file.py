# sandboxed: raised ValueError
# evidence: none
from pathlib import PurePosixPath

from hostile import Hostile


class Plugin(Hostile):
    def analyze_file(self, file_path, content):
        self.path = file_path
        yield self.finding("slander", path=PurePosixPath("innocent.py"))
