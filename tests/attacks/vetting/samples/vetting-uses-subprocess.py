# ruleid: vetting-uses-subprocess
import subprocess
# ruleid: vetting-uses-subprocess
from subprocess import run
import os

# ruleid: vetting-uses-subprocess
os.system("id")
# ruleid: vetting-uses-subprocess
os.execv("/bin/id", ["id"])
# ok: vetting-uses-subprocess
os.getcwd()
