# sandboxed: disabled code 9
# evidence: none
import os

os._exit(9)
