"""What an ordinary torch.nn.Module does to its inputs, as a list of steps.

A plain nn.Sequential is read layer by layer. Any other module is run once with symbols in place of
tensors (torch.fx), which shows its layers and what joins them: additions, Flatten, views,
functional activations. All this is of one model; `fusing.py` puts the steps of K models together.
"""

from torch import Tensor, nn

from hpsuite.training.layers import NotFusable
from hpsuite.training.steps import Shape, Step, Trying, dropout_places, is_layer, named
from hpsuite.training.symbolic import Traced


def trace(model: nn.Module, input_shape: Shape) -> list[Step]:
    """The steps of a model, of which the last one gives its outputs.

    Args:
        model: as its builder gives it, in any type and on any device; left as it was.
        input_shape: the shape of one input.

    Raises:
        NotFusable: naming what stands in the way.
    """
    _refuse_hooks(model)
    chain = _chain(model)
    if chain is not None:
        return _steps_of_chain(model, chain, input_shape)
    return Traced(model, input_shape).steps()


def is_chain(model: nn.Module) -> bool:
    """Whether a model is its layers, one after the other."""
    return _chain(model) is not None


def _refuse_hooks(model: nn.Module) -> None:
    for layer in model.modules():
        of_forward = layer._forward_hooks or layer._forward_pre_hooks
        if of_forward or layer._backward_hooks or layer._backward_pre_hooks:
            raise NotFusable(f"{type(layer).__name__} with hooks")
    if any(p._backward_hooks or p._post_accumulate_grad_hooks for p in model.parameters()):
        raise NotFusable(f"{type(model).__name__} with hooks of its parameters")


def _chain(model: nn.Module) -> list[nn.Module] | None:
    """The layers of a sequential model, in order; None where there is more than layers to it."""
    if is_layer(model):
        return [model]
    if type(model) is not nn.Sequential:
        return None
    layers: list[nn.Module] = []
    for child in model:
        if type(child) is nn.Sequential:
            layers.extend(_chain(child) or [])
        elif is_layer(child):
            layers.append(child)
        else:
            return None
    # A Sequential inside may have been given up.
    n = sum(1 for m in model.modules() if not isinstance(m, nn.Sequential))
    return layers if len({id(layer) for layer in layers}) == n else None


def _steps_of_chain(model: nn.Module, layers: list[nn.Module], input_shape: Shape) -> list[Step]:
    places = dropout_places(model)
    steps: list[Step] = []
    shapes = [input_shape]
    with Trying(model) as rows:
        x = rows(input_shape)
        for layer in layers:
            x = _tried(layer, x)
            shapes.append(tuple(x.shape[1:]))
            steps.append(
                Step(
                    "module",
                    (len(steps),),
                    shapes[-1],
                    (shapes[-2],),
                    layer,
                    places.get(id(layer), 0),
                )
            )
    return steps


def _tried(layer: nn.Module, x: Tensor) -> Tensor:
    try:
        y: object = layer(x)
    except Exception as error:
        raise NotFusable(f"{named(layer)} of inputs of shape {tuple(x.shape[1:])}") from error
    if not isinstance(y, Tensor) or y.shape[:1] != x.shape[:1]:
        raise NotFusable(named(layer))
    return y
