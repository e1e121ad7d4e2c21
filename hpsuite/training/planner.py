"""Which trials are trained together, and how many at once.

Batches are an economy, not a choice of the experiment: no result depends on them.
"""

import heapq
import itertools
import logging
from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

from hpsuite.datasets import Data
from hpsuite.training.fusing import pays, read
from hpsuite.training.layers import NotFusable
from hpsuite.training.loop import build_model, count_steps
from hpsuite.training.optimizers import update_rule
from hpsuite.trials import ModelSpec, TrialSpec

# On a CPU core the fastest number of trials keeps their parameters, gradients, optimizer state
# and activations in its caches (measured by benchmarks/fused_vs_plain.py).
CPU_CACHE_BYTES = 5 << 20
CPU_MOST = 32
CPU_LEAST = 4
GPU_MEMORY_SHARE = 0.25
GPU_MOST = 1024

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Structure:
    """What of a model decides whom it can be fused with, and what it costs.

    Attributes:
        signature: equal for models that can be fused; None where one cannot.
        n_parameters: trainable numbers.
        n_activations: numbers that one row of input leaves in its layers.
        n_products: multiply-adds of one row of input.
    """

    signature: tuple[object, ...] | None
    n_parameters: int
    n_activations: int
    n_products: int


class Planner:
    """Sorts trials into buckets of what can be mixed, and cuts those into batches.

    A batch takes the lowest trial numbers first, whatever their study: trials that a sampler
    waits for do not queue behind those that it does not need yet.
    """

    def __init__(self, datasets: Mapping[str, Data], device: torch.device, n_workers: int) -> None:
        """Plan for a device and a number of workers; datasets by fingerprint."""
        self.datasets = datasets
        self.device = device
        self.n_workers = n_workers
        self._structures: dict[tuple[ModelSpec, str], Structure] = {}
        self._explained: set[str] = set()
        self._waiting: dict[Hashable, list[tuple[int, int, TrialSpec]]] = {}
        self._order = itertools.count()

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._waiting.values())

    def add(self, spec: TrialSpec) -> None:
        """Let a trial wait for a batch."""
        queue = self._waiting.setdefault(self.bucket(spec), [])
        heapq.heappush(queue, (spec.number, next(self._order), spec))

    def has_full_batch(self) -> bool:
        """Whether some bucket can fill a batch."""
        return any(len(q) >= self.most_at_once(q[0][2]) for q in self._waiting.values())

    def take(self) -> list[TrialSpec]:
        """The next batch; empty where no trial waits."""
        if not self._waiting:
            return []
        # The bucket that has waited longest for its lowest number; full batches first.
        key = min(self._waiting, key=lambda key: self._urgency(self._waiting[key]))
        queue = self._waiting[key]
        most = self.most_at_once(queue[0][2])
        # Towards the end, share what is left among the workers, in batches of half size or more.
        share = -(-len(self) // self.n_workers)
        size = min(len(queue), most, max(share, most // 2, 1))
        batch = [heapq.heappop(queue)[2] for _ in range(size)]
        if not queue:
            del self._waiting[key]
        return batch

    def _urgency(self, queue: list[tuple[int, int, TrialSpec]]) -> tuple[bool, int, int]:
        number, order, spec = queue[0]
        return len(queue) < self.most_at_once(spec), number, order

    def bucket(self, spec: TrialSpec) -> Hashable:
        """Equal for trials that can be trained together.

        Widths, depth, activation and normalisation come in by the model's signature. All repeats
        of an arm, and other arms on the same setup, share their buckets.
        """
        structure = self.structure(spec)
        if structure.signature is None:
            return (spec.study, spec.number)
        return (
            structure.signature,
            spec.dataset,
            spec.batch_size,
            spec.epochs,
            spec.steps,
            spec.numerics,
            update_rule(spec.optimizer),
            spec.optimizer.label_smoothing > 0,
        )

    def structure(self, spec: TrialSpec) -> Structure:
        """The structure of a trial's model."""
        key = (spec.model, spec.dataset)
        if key not in self._structures:
            data = self.datasets[spec.dataset]
            model = build_model(spec.model, data, seed=0, number=0)
            self._structures[key] = Structure(
                self._signature(model, spec),
                sum(p.numel() for p in model.parameters()),
                sum(_width(layer) for layer in model.modules()),
                _count_products(model, data.input_shape),
            )
        return self._structures[key]

    def _signature(self, model: nn.Module, spec: TrialSpec) -> tuple[object, ...] | None:
        if spec.numerics.trainer == "plain":
            return None
        try:
            reading = read(model, self.datasets[spec.dataset].input_shape)
            if pays(reading, self.device):
                return reading.signature
            reason = "convolutions are faster so on a CPU"
        except NotFusable as error:
            reason = f"no fused form of {error}"
        text = f"{spec.model.target} trains one by one: {reason}"
        if text not in self._explained:
            self._explained.add(text)
            _log.warning(text)
        return None

    def most_at_once(self, spec: TrialSpec) -> int:
        """How many trials like this one to fuse on the device."""
        structure = self.structure(spec)
        if structure.signature is None:
            return 1
        size = 8 if spec.numerics.dtype == "float64" else 4
        # Parameters, gradients and the optimizer's state.
        states = 4 if spec.optimizer.kind in ("adam", "adamw") else 3
        # A layer leaves its output, and backward passes a gradient of the same shape.
        values = structure.n_parameters * states + 2 * structure.n_activations * spec.batch_size
        if self.device.type == "cuda":
            memory = torch.cuda.get_device_properties(self.device).total_memory
            most = int(memory * GPU_MEMORY_SHARE / (values * size))
            return max(1, min(most, GPU_MOST))
        return max(CPU_LEAST, min(round(CPU_CACHE_BYTES / (values * size)), CPU_MOST))

    def cost(self, spec: TrialSpec) -> float:
        """Relative cost of a trial: multiply-adds of all its steps."""
        data = self.datasets[spec.dataset]
        steps, _ = count_steps(spec, len(data.y_train))
        return 3.0 * steps * spec.batch_size * self.structure(spec).n_products


def _width(layer: nn.Module) -> int:
    """Numbers that a layer gives out for one row of input, where its attributes tell."""
    if isinstance(layer, nn.Linear):
        return layer.out_features
    if isinstance(layer, nn.BatchNorm1d):
        return layer.num_features
    return 0


def _count_products(model: nn.Module, input_shape: tuple[int, ...]) -> int:
    """Multiply-adds of one row: one for each parameter, a kernel's at each place of its outputs."""
    n = sum(p.numel() for p in model.parameters())
    kernels = [layer for layer in model.modules() if isinstance(layer, _ConvNd)]
    if not kernels:
        return n

    def count(layer: nn.Module, _: object, output: Tensor) -> None:
        nonlocal n
        assert isinstance(layer, _ConvNd)
        n += layer.weight.numel() * (output[0, 0].numel() - 1)

    for kernel in kernels:
        kernel.register_forward_hook(count)
    with torch.no_grad():
        model.eval()(torch.zeros(1, *input_shape))
    return n
