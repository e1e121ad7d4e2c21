"""Mini-batches, budgets and building models."""

import pytest
import torch
from torch import nn

from hpsuite.training import Resident
from hpsuite.training.loop import build_model, count_steps, minibatches
from hpsuite.trials import ModelSpec, frozen_arguments
from tests.training.cases import trial


@pytest.mark.parametrize("n_rows", [2, 7, 64, 65, 66, 128, 1078])
@pytest.mark.parametrize("batch_size", [1, 2, 7, 64, 65, 2000])
def test_every_row_is_in_one_minibatch(n_rows: int, batch_size: int) -> None:
    parts = minibatches(n_rows, batch_size)
    rows = [row for start, stop in parts for row in range(start, stop)]
    single_left = n_rows % batch_size == 1 and batch_size > 1
    assert rows == list(range(n_rows - single_left))
    assert all(stop - start == batch_size for start, stop in parts[:-1])
    start, stop = parts[-1]
    assert stop - start == (min(batch_size, n_rows) if single_left else stop - start)
    assert batch_size == 1 or stop - start > 1


def test_the_last_partial_one_is_kept() -> None:
    assert minibatches(1078, 64)[-1] == (1024, 1078)
    assert len(minibatches(1078, 64)) == 17


def test_a_single_last_row_sits_out() -> None:
    assert minibatches(129, 64) == [(0, 64), (64, 128)]


def test_budgets(resident: Resident) -> None:
    assert count_steps(trial(resident, epochs=3), 1078) == (51, 17)
    assert count_steps(trial(resident, steps=20), 1078) == (20, 17)
    assert count_steps(trial(resident, epochs=2, batch_size=43), 1 + 43 * 5) == (10, 5)


class GlobalStream(nn.Sequential):
    """A user's module that draws its weights from torch's global stream."""

    def __init__(self, input_shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__(nn.Linear(input_shape[0], n_classes))


def test_a_module_without_a_generator_is_seeded_and_the_global_stream_put_back(
    resident: Resident,
) -> None:
    spec = ModelSpec("tests.training.test_loop.GlobalStream")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    a, b, c = (build_model(spec, resident.data, seed=1, number=n) for n in (0, 0, 1))
    assert torch.equal(torch.rand(3), expected)
    assert torch.equal(a[0].weight, b[0].weight)  # type: ignore[index]
    assert not torch.equal(a[0].weight, c[0].weight)  # type: ignore[index]


def test_arguments_reach_the_builder(resident: Resident) -> None:
    spec = ModelSpec("hpsuite.models.mlp", frozen_arguments({"units": [5, 6], "layers": 2}))
    model = build_model(spec, resident.data, seed=0, number=0)
    assert [m.out_features for m in model.modules() if isinstance(m, nn.Linear)] == [5, 6, 10]
