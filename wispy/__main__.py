"""`python -m wispy` is the command `wispy`."""

import sys

from wispy.cli import main

sys.exit(main())
