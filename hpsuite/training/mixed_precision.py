"""Mixed precision: products of bfloat16 numbers, all else in float32 (`numerics.autocast`).

Micikevicius et al. 2018 (arXiv:1710.03740), with the range of float32 and thus without scaling the
loss (Kalamkar et al. 2019, arXiv:1905.12322). The plain trainer runs the model under
`torch.autocast`, which keeps activations in bfloat16 between layers where it can. The fused
trainer rounds what enters a product, weights and gradients too, and what comes out of it, in
between it computes in float32. In both, parameters, optimizer state, statistics of batch norm, the
loss and the update are float32.

Shapes: K trials, B rows, I and O inputs and outputs.
"""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from hpsuite.training.layers import Product, product
from hpsuite.trials import Numerics

# Products of a trial of so many multiply-adds or fewer are left to another routine by torch 2.15,
# or not, by the number of trials: ATen hands a batch to oneDNN from 16 x 16 x 16 on, and counts all
# of it.
SMALL_PRODUCT = 16 * 16 * 16

SLOW_BFLOAT16 = (
    "numerics.autocast=bfloat16: this processor has no instructions for it that are used here: "
    "it rounds, and saves no time"
)


def product_of(numerics: Numerics) -> Product:
    """How the fused trainer multiplies."""
    return product if numerics.autocast == "none" else mixed_product


def mixed_product(weight: Tensor, x: Tensor) -> Tensor:
    """K matrix products, float32 [K, O, I] by [K, I, B], of numbers rounded to bfloat16.

    Sums are float32, and are rounded once more, as torch has no product of bfloat16 numbers on a
    CPU that gives anything else; gradients likewise. Each product has the same bits in any batch.
    """
    (_, n_outputs, n_inputs), rows = weight.shape, x.shape[2]
    weight, x = weight.to(torch.bfloat16), x.to(torch.bfloat16)
    if n_outputs * n_inputs * rows <= SMALL_PRODUCT or not multiplies_bfloat16(x.device):
        # What two bfloat16 numbers give is a float32 number, exactly.
        return product(weight.float(), x.float()).to(torch.bfloat16).float()
    return product(weight, x).float()


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for it that torch uses in `mixed_product`."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu.get_capabilities().get("avx512_bf16", False))


def autocast(numerics: Numerics, device: torch.device) -> AbstractContextManager[object]:
    """What the plain trainer runs a model in."""
    if numerics.autocast == "none":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
