"""Models: ordinary torch.nn modules, one family a file; normalisation is an argument."""

from hpsuite.models.mlp import mlp

__all__ = ["mlp"]
