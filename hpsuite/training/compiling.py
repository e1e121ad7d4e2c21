"""The update of K trials as one program of torch's compiler (`numerics.compiled`).

An update rule reads and writes each parameter several times, which on a GPU takes what its memory
takes; compiled, it passes over each once. Values may differ in their last bits, as a compiler
contracts products and sums: it is a choice of the setup, recorded with its studies.
"""

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

log = logging.getLogger(__name__)

# Programs that torch may make of one function in a process, for other structures and numbers of
# trials: by default 8, after which others would silently not be compiled, and have other bits.
MOST_PROGRAMS = 1 << 16

# Parameters and gradients [K, ...] each, and rates float64 [K].
Update = Callable[[Sequence[Tensor], Sequence[Tensor], Tensor], None]


class CompiledUpdate:
    """An update rule that is compiled when it is first used; as it is where that fails."""

    def __init__(self, update: Update) -> None:
        self._update = self._compiled = update
        if not _said:  # otherwise it has failed in this process
            _allow(MOST_PROGRAMS)
            self._compiled = torch.compile(update)

    def __call__(
        self, parameters: Sequence[Tensor], grads: Sequence[Tensor], rates: Tensor
    ) -> None:
        """One update in place, as `optimizers.FusedOptimizer.step`."""
        try:
            self._compiled(parameters, grads, rates)
        except torch.OutOfMemoryError:
            raise
        # No compiler, or one that fails, in many classes of errors; before anything has run.
        except Exception as error:  # noqa: BLE001
            _say_once((str(error).splitlines() or [type(error).__name__])[0])
            self._compiled = self._update
            self._update(parameters, grads, rates)


def _allow(n: int) -> None:
    from torch._dynamo import config

    config.recompile_limit = max(config.recompile_limit, n)
    config.accumulated_recompile_limit = max(config.accumulated_recompile_limit, n)


_said: list[str] = []


def _say_once(reason: str) -> None:
    if not _said:
        _said.append(reason)
        log.warning("numerics.compiled: goes on without: %s", reason)
