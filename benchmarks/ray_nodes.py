"""A Ray cluster of several nodes on this machine alone, whose nodes can be killed."""

import os
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

# The cluster listens to this machine alone, and takes tasks of those who know its token.
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_worker_niceness": "0",
}
LOOPBACK = "127.0.0.1"
# Ray's own choice.
MOST_MEMORY = 0.95
# How often a node is started; a busy machine may be too slow for Ray's patience.
MOST_STARTS = 3


class Nodes:
    """A head without cores, to which main processes connect, and nodes of one core each.

    Ray reads its environment when it is imported: the first of these in a process sets it.

    Attributes:
        address: of the head.
        environment: of a main process that connects.
    """

    def __init__(self, folder: Path, n: int) -> None:
        """Start it; sockets lie in a folder, whose path must be short."""
        own = {**ENVIRONMENT, "RAY_TMPDIR": str(folder / "ray")}
        own["RAY_AUTH_TOKEN"] = os.environ.get("RAY_AUTH_TOKEN") or secrets.token_hex(32)
        os.environ.update(own)
        # Nodes and main processes are of this Python, and find the same packages.
        os.environ["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        self._n = n
        self._start()
        self.environment: Mapping[str, str] = {**os.environ}

    def _start(self) -> None:
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(shutdown_at_exit=True)
        self._add(num_cpus=0, include_dashboard=False)
        self.address = str(self._cluster.address)
        self._nodes = [self._add(num_cpus=1) for _ in range(self._n)]

    def _add(self, **arguments: Any) -> Any:
        for n_left in reversed(range(MOST_STARTS)):
            try:
                return self._cluster.add_node(node_ip_address=LOOPBACK, **arguments)
            except Exception:  # Ray has no class for it
                if not n_left:
                    raise
        raise AssertionError

    def kill(self, place: int) -> None:
        """Kill a node, with all that runs on it, as if its machine lost power."""
        self._cluster.remove_node(self._nodes.pop(place), allow_graceful=False)

    def kill_head(self) -> None:
        """Kill the node that all main processes are on, and that knows the cluster."""
        self._cluster.remove_node(self._cluster.head_node, allow_graceful=False)

    def kill_control(self) -> None:
        """Kill the process of the head that knows the cluster."""
        self._cluster.head_node.kill_gcs_server()

    def renew(self, memory: float = MOST_MEMORY) -> None:
        """End the cluster, and start another one, elsewhere.

        Args:
            memory: share of the machine's, from which on Ray kills tasks.
        """
        os.environ.update({"RAY_memory_usage_threshold": f"{min(memory, MOST_MEMORY):.4f}"})
        self._cluster.shutdown()
        self._start()

    def add(self) -> None:
        """Let a node join."""
        self._nodes.append(self._add(num_cpus=1))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cluster.shutdown()
