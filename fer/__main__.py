"""`python -m fer`: the library on the command line."""

import sys

from fer.cli import main

sys.exit(main())
