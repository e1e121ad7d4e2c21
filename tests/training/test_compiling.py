"""Updates that torch compiles are the updates; where it cannot, training goes on without."""

import functools
import logging
import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from hpsuite.training import Resident, compiling, train
from hpsuite.training.compiling import CompiledUpdate
from hpsuite.training.plain import train_plain
from hpsuite.trials import OptimizerSpec, TrialSpec
from tests.training.cases import rounded, trial
from tests.training.test_mixed import KINDS


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nothing had been said yet."""
    monkeypatch.setattr(compiling, "_said", [])


def specs(resident: Resident, dtype: str) -> list[TrialSpec]:
    """Of all kinds of optimizers; the last ends before the others."""
    made = [
        trial(
            resident,
            i,
            model={"units": 9},
            optimizer=OptimizerSpec(
                kind=kind,  # type: ignore[arg-type]
                learning_rate=0.01,
                weight_decay=0.01 * (i % 2),
            ),
            dtype=dtype,
            steps=20 - 8 * (i == len(KINDS) - 1),
        )
        for i, kind in enumerate(KINDS)
    ]
    return [replace(s, numerics=replace(s.numerics, compiled="yes")) for s in made]


@pytest.mark.slow  # torch compiles for a minute
@pytest.mark.skipif(shutil.which("c++") is None, reason="torch compiles with a C++ compiler")
def test_compiled_updates_equal_torch(
    resident_few: Resident, caplog: pytest.LogCaptureFixture
) -> None:
    chosen = specs(resident_few, "float64")
    with caplog.at_level(logging.WARNING):
        found = train(chosen, resident_few)
    assert "numerics.compiled" not in caplog.text
    for spec, result in zip(chosen, found, strict=True):
        assert rounded(result) == rounded(train_plain(spec, resident_few))


def test_goes_on_without_a_compiler(
    resident_few: Resident, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(function: Callable[..., object]) -> Callable[..., object]:
        def compiled(*arguments: object) -> None:
            raise RuntimeError("no compiler here\nand much more")

        return compiled

    monkeypatch.setattr(torch, "compile", broken)
    chosen = specs(resident_few, "float32")
    with caplog.at_level(logging.WARNING):
        found = [*train(chosen, resident_few), *train(chosen, resident_few)]
    assert caplog.text.count("numerics.compiled: goes on without: no compiler here\n") == 1
    plain = [replace(s, numerics=replace(s.numerics, compiled="no")) for s in chosen]
    for result, expected in zip(found, train(plain, resident_few) * 2, strict=True):
        assert result.same_outcome(expected)


def test_memory_that_is_short_is_no_compiler_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*arguments: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "compile", lambda function: short)
    update = CompiledUpdate(lambda *arguments: pytest.fail("not without it either"))
    with pytest.raises(torch.OutOfMemoryError):
        update([], [], torch.zeros(1))


def test_every_structure_is_compiled(
    monkeypatch: pytest.MonkeyPatch, resident_few: Resident
) -> None:
    """torch by itself leaves those after the eighth as they are, with other bits."""
    made: list[int] = []

    def counted(graph: torch.fx.GraphModule, examples: object) -> Callable[..., object]:
        made.append(len(list(graph.graph.nodes)))
        return graph.forward

    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend=counted))
    torch.compiler.reset()
    for depth in range(1, 11):
        spec = trial(resident_few, model={"units": (4,) * depth}, steps=2)
        spec = replace(spec, numerics=replace(spec.numerics, compiled="yes"))
        train([spec], resident_few)
    assert len(set(made)) == 10
