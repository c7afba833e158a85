# sandboxed: raised TypeError
# evidence: none
from hostile import Hostile


class Plugin(Hostile):
    def analyze_file(self, file_path, content):
        yield {"rule_id": "loot"}
