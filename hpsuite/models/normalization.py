"""Normalisation, which all families of models share: where it stands, and what it normalises."""

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge
from torch import nn

Normalization = Literal["none", "before", "after"]
Normalizer = Literal["batch", "layer", "group"]
Groups = Annotated[int, Ge(1)]


@dataclass(frozen=True)
class Norm:
    """Normalisation of the hidden layers of a model.

    Attributes:
        where: `before` the activation (of z), `after` it (of a), or `none`.
        kind: `batch` normalises each unit or channel over the rows of a mini-batch, and over an
            image's places (Ioffe and Szegedy 2015); `layer` all units of a row, and all channels
            and places of an image, together (Ba, Kiros and Hinton 2016; of images it is group
            norm with one group); `group` does so in groups of neighbouring units or channels (Wu
            and He 2018).
        groups: number of groups of `group`, >= 1.
        affine: whether gamma and beta, one of each for every unit or channel, are learned; else
            they stay at 1 and 0.
    """

    where: Normalization
    kind: Normalizer
    groups: int
    affine: bool

    def hidden(
        self, layer: nn.Linear | nn.Conv2d, activation: nn.Module, *, places: int = 1
    ) -> list[nn.Module]:
        """A layer and its activation, with the normalisation where it belongs.

        Args:
            layer: with its weights and biases drawn.
            activation: of its outputs.
            places: height times width of a convolution's outputs.

        Raises:
            ValueError: groups that do not divide the layer's outputs, or that would leave a
                single value to normalise.
        """
        modules = [*self.normalized(layer, places=places), activation]
        if self.where == "after":
            modules.append(self._module(layer, places))
        return modules

    def normalized(self, layer: nn.Linear | nn.Conv2d, *, places: int = 1) -> list[nn.Module]:
        """A layer, and what normalises its outputs before an activation."""
        if self.where != "before":
            return [layer]
        n = _n_outputs(layer)
        if self.kind == "batch" or (self.kind == "group" and self.groups == n):
            # What is subtracted of each output cancels its bias (Ioffe and Szegedy 2015, section
            # 3.2), whose gradient would be rounding noise, which Adam blows up to steps of full
            # size. The mean of several outputs cancels their biases' mean alone. It goes after
            # the draws, which are a twin's too.
            layer.register_parameter("bias", None)
        return [layer, self._module(layer, places)]

    def _module(self, layer: nn.Linear | nn.Conv2d, places: int) -> nn.Module:
        n, is_image = _n_outputs(layer), isinstance(layer, nn.Conv2d)
        if self.kind == "batch":
            return (nn.BatchNorm2d if is_image else nn.BatchNorm1d)(n, affine=self.affine)
        if n * places == 1:
            raise ValueError(
                f"normalizer: found {self.kind!r} for a layer of a single value, which has no "
                "variance; accepted: batch, or more units or channels"
            )
        if self.kind == "layer":
            if is_image:
                return nn.GroupNorm(1, n, affine=self.affine)
            return nn.LayerNorm(n, elementwise_affine=self.affine)
        divisors = [g for g in range(1, n + 1) if n % g == 0 and n // g * places > 1]
        if self.groups not in divisors:
            raise ValueError(
                f"groups: found {self.groups} for {n} {'channels' if is_image else 'units'}; "
                f"accepted: {', '.join(map(str, divisors))}, as groups must be equal, of two "
                "values or more"
            )
        return nn.GroupNorm(self.groups, n, affine=self.affine)


def _n_outputs(layer: nn.Linear | nn.Conv2d) -> int:
    return layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels
