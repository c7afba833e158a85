class Plugin:
    def analyze_file(self, file_path, content):
        level = "user‮ ⁦# admin⁩ ⁦"
        return ()
