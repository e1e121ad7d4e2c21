"""Notices that the cluster is gone, before Ray ends this process for it without a word.

Ray's core does that some 15 s after its process on this machine ended, and a minute after the head
did. Its calls may hang until then, so this asks nobody but the system whether somebody listens.
"""

import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hpsuite.on_ray.connection import head_address, local_address

# Seconds between two looks, and that an answer may take.
LOOK_SECONDS = 1.0
# Looks in a row at which nobody answers, from which on that is no accident: of Ray's process on
# this machine; of the head, which may be far away, so that each takes up to two seconds.
LOCAL_MISSES, HEAD_MISSES = 3, 15
# Seconds that a look may still take when no more is needed.
LEAVING_SECONDS = 5.0


@dataclass
class Listener:
    """Somebody who listens as long as the cluster is there.

    Attributes:
        name: in words.
        family, address: of its socket; no name of a host, which would be looked up each time.
        most: looks in a row that it may miss.
    """

    name: str
    family: int
    address: tuple[str, int]
    most: int
    n_missed: int = 0

    def is_gone(self) -> bool:
        """Look."""
        self.n_missed = 0 if self._answers() else self.n_missed + 1
        return self.n_missed >= self.most

    def _answers(self) -> bool:
        try:
            own = socket.socket(self.family, socket.SOCK_STREAM)
        except OSError:  # no trouble of theirs
            return True
        with own:
            own.settimeout(LOOK_SECONDS)
            try:
                own.connect(self.address)
            except OSError:
                return False
        return True


class ClusterWatch:
    """A thread that looks whether a cluster is there."""

    def __init__(self, listeners: Sequence[Listener], on_gone: Callable[[str], None]) -> None:
        """Calls `on_gone`, once, with which of the listeners is gone, in a few words."""
        self._listeners, self._on_gone = listeners, on_gone
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hpsuite-cluster", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Look no more."""
        self._ended.set()
        self._thread.join(LEAVING_SECONDS)

    def _run(self) -> None:
        while not self._ended.wait(LOOK_SECONDS):
            for listener in self._listeners:
                if listener.is_gone():
                    self._on_gone(f"{listener.name} is gone")
                    return


def listeners() -> list[Listener]:
    """Those of the cluster at hand."""
    return [
        _listener("Ray's process on this machine", local_address(), LOCAL_MISSES),
        _listener("the cluster's head", head_address(), HEAD_MISSES),
    ]


def _listener(name: str, address: tuple[str, int], most: int) -> Listener:
    family, _, _, _, found = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0]
    return Listener(name, family, (str(found[0]), int(found[1])), most)
