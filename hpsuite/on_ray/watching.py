"""Notices that the cluster is gone, before Ray ends this process for it without a word.

Ray's core does that some 15 s after its process on this machine ended, and a minute after the head
did. Its calls may hang until then, so this asks nobody but the system whether somebody listens.
"""

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass

from hpsuite.on_ray.connection import head_address, local_address

# Seconds between two looks, and that an answer may take.
LOOK_SECONDS = 1.0
# Looks in a row at which nobody answers, from which on that is no accident: of Ray's process on
# this machine; of the head, which may be far away and may come back.
LOCAL_MISSES, HEAD_MISSES = 3, 30


@dataclass
class Listener:
    """Somebody who listens as long as the cluster is there.

    Attributes:
        name: in words.
        address: host and port.
        most: looks in a row that it may miss.
    """

    name: str
    address: tuple[str, int]
    most: int
    n_missed: int = 0

    def is_gone(self) -> bool:
        """Look."""
        self.n_missed = 0 if _answers(self.address) else self.n_missed + 1
        return self.n_missed >= self.most


class ClusterWatch:
    """A thread that looks at the cluster at hand."""

    def __init__(self, on_gone: Callable[[str], None]) -> None:
        """Calls `on_gone`, once, with what is gone, in a few words."""
        self._on_gone = on_gone
        self._listeners = [
            Listener("Ray's process on this machine", local_address(), LOCAL_MISSES),
            Listener("the cluster's head", head_address(), HEAD_MISSES),
        ]
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hpsuite-cluster", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Look no more."""
        self._ended.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            for listener in self._listeners:
                if listener.is_gone():
                    self._on_gone(f"{listener.name} is gone")
                    return


def _answers(address: tuple[str, int]) -> bool:
    with contextlib.suppress(OSError):
        socket.create_connection(address, LOOK_SECONDS).close()
        return True
    return False
