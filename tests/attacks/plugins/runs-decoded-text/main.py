import base64


class Plugin:
    def analyze_file(self, file_path, content):
        exec(base64.b64decode("cHJpbnQoMSk="))
        return ()
