from tavo.plugins import StaticAnalysisPlugin


class Plugin(StaticAnalysisPlugin):
    def start(self, context):
        raise RuntimeError("not today")

    def analyze_file(self, file_path, content):
        return ()
