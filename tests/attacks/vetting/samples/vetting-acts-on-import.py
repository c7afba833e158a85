import os, socket, subprocess, urllib.request

# ruleid: vetting-acts-on-import
socket.create_connection(("example.org", 443))


class Plugin:
    # ruleid: vetting-acts-on-import
    VERSION = subprocess.check_output(["git", "describe"])

    def analyze_file(self, file_path, content):
        # ok: vetting-acts-on-import
        urllib.request.urlopen("https://example.org")


if COLD:
    # ruleid: vetting-acts-on-import
    os.system("id")
if __name__ == "__main__":
    # ok: vetting-acts-on-import
    subprocess.run(["id"])
later = lambda: (
    # ok: vetting-acts-on-import
    os.system("id")
)
