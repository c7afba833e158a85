# sandboxed: raised PermissionError
# evidence: marker
import subprocess

from hostile import Hostile


class Plugin(Hostile):
    def attack(self):
        subprocess.run(["/bin/sh", "-c", f"echo > {self.config['drop']}/marker"], check=True)
