"""Models: ordinary torch.nn modules, one family a file; normalisation is an argument."""

from hpsuite.models.convnet import convnet
from hpsuite.models.mlp import mlp
from hpsuite.models.resnet import resnet

__all__ = ["convnet", "mlp", "resnet"]
