"""Hyperparameters set where they belong: layers' own, of models of several signatures."""

from typing import Annotated

import pytest
from annotated_types import Ge
from torch import nn

from hpsuite.space import Hyperparameter, Space
from hpsuite.trials import ModelSpec, OptimizerSpec, Scalar, TrialSpec, frozen_arguments
from hpsuite.values import (
    Place,
    layer_of,
    most_layers,
    per_layer,
    unsearched,
    value_of,
    with_values,
)

HERE = "tests.test_values"
MLP = "hpsuite.models.mlp.mlp"
Width = Annotated[int, Ge(1)]


def listed(  # noqa: PLR0917 (as somebody's own model may be)
    input_shape: tuple[int, ...],
    n_classes: int,
    channels: list[Width] | Width = 3,
    rates: Annotated[float | tuple[float, ...] | None, "of dropout"] = None,
    units: tuple[int, ...] = (3, 3),
    kernel: int = 3,
    kernel_2: int = 5,
    *others: int,
) -> nn.Module:
    raise NotImplementedError


def with_own(
    input_shape: tuple[int, ...],
    n_classes: int,
    units: int | tuple[int, ...] = 8,
    units_1: int = 2,
    **more: int,
) -> nn.Module:
    raise NotImplementedError


class Module(nn.Module):
    def __init__(
        self, input_shape: tuple[int, ...], n_classes: int, widths: int | tuple[int, ...] = 8
    ) -> None:
        super().__init__()


def spec(target: str, **arguments: object) -> TrialSpec:
    model = ModelSpec(target, frozen_arguments(arguments))
    return TrialSpec("s", 0, 0, "d", model, OptimizerSpec(), epochs=1)


def set_in(target: str, values: dict[str, Scalar], **arguments: object) -> dict[str, object]:
    return dict(with_values(spec(target, **arguments), values).model.arguments)


def space(**ends: tuple[int, int]) -> Space:
    return Space(tuple(Hyperparameter(n, "integer", *e) for n, e in sorted(ends.items())))


def test_what_a_model_takes_layer_by_layer() -> None:
    assert set(per_layer(MLP)) == {"units"}
    assert set(per_layer(f"{HERE}.listed")) == {"channels", "rates"}
    assert per_layer(f"{HERE}.listed") == {"channels": Width, "rates": float}
    assert set(per_layer(f"{HERE}.Module")) == {"widths"}


@pytest.mark.parametrize(
    ("target", "name", "place"),
    [
        (MLP, "units_1", Place("units", 1)),
        (MLP, "units_12", Place("units", 12)),
        (MLP, "units", None),
        (MLP, "units_0", None),
        (MLP, "units_01", None),
        (MLP, "units_1_2", None),
        (MLP, "units_", None),
        (MLP, "layers_1", None),
        (f"{HERE}.listed", "channels_2", Place("channels", 2)),
        (f"{HERE}.listed", "kernel_2", None),
        (f"{HERE}.listed", "kernel_1", None),
        (f"{HERE}.with_own", "units_1", None),
        (f"{HERE}.with_own", "units_2", Place("units", 2)),
        (f"{HERE}.with_own", "others_2", None),
        (f"{HERE}.Module", "widths_3", Place("widths", 3)),
    ],
)
def test_places(target: str, name: str, place: Place | None) -> None:
    assert layer_of(target, name) == place


def test_a_list_has_an_entry_for_each_layer_and_keeps_what_is_not_given() -> None:
    given: dict[str, Scalar] = {"units_1": 5, "units_3": 7}
    assert set_in(MLP, given, layers=3, units=2)["units"] == (5, 2, 7)
    assert set_in(MLP, given, layers=3, units=(1, 2, 3))["units"] == (5, 2, 7)
    assert set_in(MLP, given, layers=None, units=(1, 2, 3))["units"] == (5, 2, 7)
    # Cut to the layers that there are, given or searched.
    assert set_in(MLP, given, layers=2, units=2)["units"] == (5, 2)
    assert set_in(MLP, {**given, "layers": 1}, layers=3, units=2) == {"layers": 1, "units": (5,)}
    assert set_in(MLP, {**given, "layers": 0}, layers=3, units=2) == {"layers": 0, "units": ()}
    # All layers, and one of them its own.
    assert set_in(MLP, {**given, "units": 9}, layers=3, units=2)["units"] == (5, 9, 7)
    assert set_in(MLP, {"units": 9}, layers=3, units=2)["units"] == 9
    assert set_in(MLP, {}, layers=3, units=(1, 2, 3))["units"] == (1, 2, 3)
    assert set_in(MLP, {"units_1": 5}, layers=2, units=5) != set_in(MLP, {}, layers=2, units=5)


def test_each_value_goes_where_its_name_belongs() -> None:
    values: dict[str, Scalar] = {
        "learning_rate": 0.5,
        "nesterov": True,
        "batch_size": 16,
        "steps": 7,
        "units_2": 4,
        "channels_1": 3,
        "dropout": 0.1,
    }
    found = with_values(spec(f"{HERE}.with_own", units=(1, 1)), values)
    assert (found.optimizer.learning_rate, found.optimizer.nesterov) == (0.5, True)
    assert (found.batch_size, found.epochs, found.steps) == (16, None, 7)
    # A model that takes anything is given all else as it is.
    assert dict(found.model.arguments) == {"units": (1, 4), "channels_1": 3, "dropout": 0.1}


def test_what_a_trial_has_is_what_was_set() -> None:
    values: dict[str, Scalar] = {
        "kind": "adam",
        "learning_rate": 0.5,
        "batch_size": 16,
        "epochs": 7,
        "layers": 3,
        "units_2": 4,
        "dropout": 0.1,
    }
    found = with_values(spec(MLP, layers=2, units=(5, 6, 7), dropout=0.3), values)
    assert {name: value_of(found, name) for name in values} == values
    assert [value_of(found, f"units_{i}") for i in (1, 2, 3, 4)] == [5, 4, 7, None]
    assert value_of(spec(MLP, layers=2, units=9), "units_2") == 9
    assert value_of(found, "units") == (5, 4, 7)
    assert value_of(found, "steps") is value_of(found, "nowhere") is None


def test_most_layers() -> None:
    def most(searched: Space, **arguments: object) -> int | None:
        return most_layers(ModelSpec(MLP, frozen_arguments(arguments)), searched, "units")

    one = space(units_1=(1, 2))
    assert most(one, layers=2, units=8) == 2
    assert most(one, layers=None, units=(8, 8, 8)) == 3
    assert most(one, layers=None, units=8) is None
    assert most(space(layers=(1, 4), units_1=(1, 2)), layers=2, units=8) == 4
    assert most(space(units=(1, 4), units_1=(1, 2)), layers=None, units=(8, 8)) is None
    chosen = Space((Hyperparameter("layers", "choice", choices=(None, 1)),))
    assert most(chosen, layers=7, units=(8, 8)) == 2
    assert most(chosen, layers=7, units=8) is None


def test_what_is_not_searched() -> None:
    def rest(searched: Space, **arguments: object) -> dict[str, object]:
        return dict(unsearched(ModelSpec(MLP, frozen_arguments(arguments)), searched))

    assert rest(space(dropout=(0, 1)), dropout=0.1, units=(2, 3)) == {"units": (2, 3)}
    assert rest(space(units_1=(1, 2)), layers=2, units=3) == {"layers": 2, "units": (None, 3)}
    assert rest(space(units_1=(1, 2)), layers=1, units=3) == {"layers": 1}
    assert rest(space(units=(1, 3), units_1=(1, 2)), layers=2, units=3) == {"layers": 2}
    deep = space(layers=(1, 3), units_2=(1, 2))
    assert rest(deep, layers=2, units=(4, 5, 6)) == {"units": (4, None, 6)}
