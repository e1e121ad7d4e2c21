"""Removes a folder that processes share, even if all of them are killed: by a process apart."""

import json
import os
import subprocess
import sys
from pathlib import Path

# Seconds that others of a run that was killed may need to come to their ends.
PATIENCE = 60.0
# Seconds that its start may take; a task waits for it.
START_SECONDS = 30.0
# It leaves its parent, who may be ended with all children, and waits for the parent's end.
_CODE = """
import json, os, sys
if os.fork():
    os._exit(0)
os.chdir("/")
path, folder, patience = json.loads(sys.argv[1])
sys.stdin.read()
sys.path[:] = path
from pathlib import Path
from hpsuite.scratch import remove_unused
remove_unused(Path(folder), patience)
"""


class Sweeper:
    """A process that waits until this one is gone, and removes a folder that no other uses."""

    def __init__(self, folder: Path) -> None:
        """Of a `SharedScratch`, perhaps one to be made. Does nothing without POSIX locks."""
        self._alive: int | None = None
        if sys.platform == "win32":
            return
        given = json.dumps([sys.path, str(folder), PATIENCE])
        reads, self._alive = os.pipe()
        try:
            subprocess.run(
                [sys.executable, "-I", "-c", _CODE, given],
                check=True,
                stdin=reads,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                timeout=START_SECONDS,
            )
        except (OSError, subprocess.SubprocessError):  # the next run removes what is left
            self.end()
        finally:
            os.close(reads)

    def end(self) -> None:
        """Let it do its work, and end."""
        if self._alive is not None:
            os.close(self._alive)
            self._alive = None
