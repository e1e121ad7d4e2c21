"""`python -m benchmarks.nightly`."""

import signal
import sys

from benchmarks.nightly.command import main

if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as an interrupt
    sys.exit(main())
