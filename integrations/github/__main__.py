"""The steps of the GitHub Action, as `python3 -I integrations/github` by start.sh."""

import sys

from tavo_action.steps import main

sys.exit(main())
