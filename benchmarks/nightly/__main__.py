"""`python -m benchmarks.nightly`."""

import sys

from benchmarks.nightly.command import main

if __name__ == "__main__":
    sys.exit(main())
