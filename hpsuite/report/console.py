"""The console that all output goes to."""

import sys

from rich.console import Console

# Tables keep their width where the output is piped, instead of being cut to 80 columns.
PIPED_WIDTH = 120


def make_console() -> Console:
    """A console on standard output."""
    return Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
