import os
from pathlib import Path

# ruleid: vetting-reads-credentials
open("/root/.ssh/id_rsa")
# ruleid: vetting-reads-credentials
Path("~/.aws/credentials").expanduser()
# ruleid: vetting-reads-credentials
Path.home() / ".netrc"
# ruleid: vetting-reads-credentials
os.path.join(HOME, ".docker/config.json")
# ok: vetting-reads-credentials
open("/etc/hostname")
# ok: vetting-reads-credentials
PATTERN = "someone wrote ~/.ssh/id_rsa into a prompt"
