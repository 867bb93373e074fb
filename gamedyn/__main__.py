"""`python -m gamedyn`: the command line."""

import sys

from gamedyn.cli import main

if __name__ == "__main__":
    sys.exit(main())
