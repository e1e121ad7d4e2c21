"""Widths of layers and shapes of images, as users give them."""

from typing import Annotated

from annotated_types import Ge, Le

Units = Annotated[int, Ge(1), Le(1 << 20)]
Channels = Annotated[int, Ge(1), Le(1 << 16)]


def per_layer(
    name: str, widths: int | tuple[int, ...], layers: int | None, *, otherwise: int
) -> tuple[int, ...]:
    """Widths of all layers, from one number for all or one for each.

    Args:
        name: of the argument that gives them, for messages.
        widths: as given.
        layers: number of layers; None takes it from `widths`.
        otherwise: number of layers where neither gives one.

    Raises:
        ValueError: `layers` and the number of widths differ.
    """
    if isinstance(widths, int):
        return (widths,) * (otherwise if layers is None else layers)
    if layers is not None and len(widths) != layers:
        raise ValueError(
            f"{name}: found {list(widths)} for layers={layers}; "
            f"accepted: one number, or one for each of the {layers} layers"
        )
    return tuple(widths)


def image_shape(input_shape: tuple[int, ...]) -> tuple[int, int, int]:
    """(channels, height, width) of an input.

    Raises:
        ValueError: inputs that are no images.
    """
    if len(input_shape) != 3:
        raise ValueError(
            f"found inputs of shape {list(input_shape)}; accepted: images [channels, height, "
            "width], such as dataset=mnist, or dataset.image=true of digits"
        )
    n_channels, height, width = input_shape
    return n_channels, height, width
