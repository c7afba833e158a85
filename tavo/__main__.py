"""`python -m tavo` is the same command."""

import sys

from tavo.cli import main

sys.exit(main())
