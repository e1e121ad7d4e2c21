"""The console that all output goes to."""

import os
import sys

from rich.console import Console

# Tables keep their width where the output is piped, instead of being cut to 80 columns.
PIPED_WIDTH = 120


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Go on in silence where nobody reads any more, as with `| head`: outputs are written."""
        self.quiet = True
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)


def make_console() -> Console:
    """A console on standard output."""
    return _Console(width=None if sys.stdout.isatty() else PIPED_WIDTH)
