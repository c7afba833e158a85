# samplepath: main.py
import sys

# ruleid: vetting-notices-the-check
tested = "tavo_kit_harness" in sys.modules
# ruleid: vetting-notices-the-check
from tavo.host import workers
# ok: vetting-notices-the-check
from tavo.plugins import Finding
