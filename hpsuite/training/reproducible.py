"""Making this process compute the same bits for a trial in any batch, at any place, on a CPU.

MKL chooses its kernels by the alignment of each matrix, so that a trial's last bits would depend
on its place in a batch. Its strict mode of conditional numerical reproducibility does not; it
costs a few percent of the time at most (benchmarks/README.md). MKL reads the setting at its first
call.
"""

import os

import torch

MKL_MODE = "AUTO,STRICT"


def reproducible() -> None:
    """Set MKL's mode and one thread per process; before the first matrix product.

    cuBLAS is given workspaces of its own, without which its products under
    `numerics.deterministic` may differ from run to run (its documentation, "results
    reproducibility").
    """
    os.environ["MKL_CBWR"] = MKL_MODE
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(1)
