"""What of this machine trials may be trained on."""

import os


def count_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def visible_gpus(n: int) -> list[str]:
    """The first n GPUs that this process sees, as CUDA_VISIBLE_DEVICES names each of them."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return [str(i) for i in range(n)]
    return [name.strip() for name in named.split(",")][:n]
