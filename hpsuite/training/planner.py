"""Which trials are trained together, and how many at once.

Batches are an economy, not a choice of the experiment: no result depends on them. What can be one
program (a bucket) has one family of models, one data set, one batch size and one kind of numerics;
which of its trials make a batch is decided by what it would cost (economy.py).
"""

import heapq
import itertools
import logging
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

import torch
from torch import nn

from hpsuite.datasets import Data
from hpsuite.training.economy import Demand, Economy, Load, economy_of
from hpsuite.training.fusing import pays, read
from hpsuite.training.layers import NotFusable
from hpsuite.training.loop import build_model, count_steps
from hpsuite.training.mixed_precision import SLOW_BFLOAT16, multiplies_bfloat16
from hpsuite.training.optimizers import update_rule
from hpsuite.training.reading import Reading
from hpsuite.training.structure import Structure, count_products, n_activations
from hpsuite.trials import ModelSpec, TrialSpec

# On a CPU core the fastest number of trials keeps their parameters, gradients, optimizer state
# and activations in its caches (measured by benchmarks/scaling.py).
CPU_CACHE_BYTES = 5 << 20
CPU_MOST = 32
CPU_LEAST = 4
GPU_MEMORY_SHARE = 0.25
GPU_MOST = 1024

# So many times the trials of a batch leave enough of a choice to put like to like.
CHOICE = 4

_log = logging.getLogger(__name__)


class Queue:
    """Trials of one bucket that wait, the lowest number first."""

    def __init__(self) -> None:
        self.entries: list[tuple[int, int, TrialSpec]] = []
        self.signatures: Counter[Hashable] = Counter()

    def __len__(self) -> int:
        return len(self.entries)

    def first(self) -> TrialSpec:
        """The one that is next."""
        return self.entries[0][2]


class Planner:
    """Sorts trials into buckets of what can be mixed, and cuts those into batches.

    A batch begins with the lowest trial number, whatever its study: trials that a sampler waits
    for do not queue behind those that it does not need yet. Its mates are those with which it
    costs least.
    """

    def __init__(self, datasets: Mapping[str, Data], device: torch.device, n_workers: int) -> None:
        """Plan for a device and a number of workers; datasets by fingerprint."""
        self.datasets = datasets
        self.device = device
        self.n_workers = n_workers
        self.economy: Economy = economy_of(device)
        # By the name of a study, the share of a GPU's memory that a batch of its trials may fill.
        self.memory_shares: dict[str, float] = {}
        self._structures: dict[tuple[ModelSpec, str], Structure] = {}
        self._demands: dict[Hashable, Demand] = {}
        self._explained: set[str] = set()
        self._waiting: dict[Hashable, Queue] = {}
        self._order = itertools.count()

    def __len__(self) -> int:
        return sum(len(queue) for queue in self._waiting.values())

    def add(self, spec: TrialSpec) -> None:
        """Let a trial wait for a batch."""
        if spec.numerics.autocast != "none" and not multiplies_bfloat16(self.device):
            self._say_once(SLOW_BFLOAT16)
        queue = self._waiting.setdefault(self.bucket(spec), Queue())
        heapq.heappush(queue.entries, (spec.number, next(self._order), spec))
        queue.signatures[self.structure(spec).signature] += 1

    def has_full_batch(self) -> bool:
        """Whether some bucket can fill a batch."""
        return any(self._is_full(queue) for queue in self._waiting.values())

    def _is_full(self, queue: Queue) -> bool:
        """Whether there are enough trials of one width, or enough to choose from."""
        most = self.most_at_once(queue.first())
        return len(queue) >= most and (
            len(queue) >= CHOICE * most
            or len(queue.signatures) == 1
            or max(queue.signatures.values()) >= most
        )

    def take(self, n_idle: int | None = None) -> list[TrialSpec]:
        """The next batch; empty where no trial waits.

        Args:
            n_idle: where nothing more will come before some batch is done, the number of workers
                that wait for one: the trials are shared among these.
        """
        if not self._waiting:
            return []
        # The bucket that has waited longest for its lowest number; full batches first.
        key = min(self._waiting, key=lambda key: self._urgency(self._waiting[key]))
        queue = self._waiting[key]
        most = self.most_at_once(queue.first())
        # Towards the end, share the work that is left among the workers; where more may come, in
        # batches of half size or more.
        work = sum(self._work(spec) for q in self._waiting.values() for _, _, spec in q.entries)
        least = most // 2 if n_idle is None else 1
        workers = self.n_workers if n_idle is None else max(n_idle, 1)
        batch = self._choose(queue, most, least=least, most_work=work / workers)
        for spec in batch:
            queue.signatures[self.structure(spec).signature] -= 1
        queue.signatures += Counter()  # without those that are 0
        if not queue:
            del self._waiting[key]
        if _log.isEnabledFor(logging.DEBUG):
            _log.debug("next batch: %s", self.explain(batch))
        return batch

    def _choose(self, queue: Queue, most: int, *, least: int, most_work: float) -> list[TrialSpec]:
        """Take the first trial of a queue, and mates that cost least beside it.

        Args:
            queue: of one bucket.
            most: trials.
            least: trials that are taken whatever their work.
            most_work: of all of them, in microseconds.
        """
        first = heapq.heappop(queue.entries)
        chosen, load = [first], Load(self.economy).with_one(self._demand(first[2]))
        rest, left = sorted(queue.entries), []
        if len({self._demand(spec) for _, _, spec in rest} | {self._demand(first[2])}) > 1:
            rest.sort(key=lambda entry: load.waste(self._demand(entry[2])))  # stable
        for place, entry in enumerate(rest):
            if len(chosen) >= most:
                left += rest[place:]
                break
            demand = self._demand(entry[2])
            more = load.with_one(demand)
            is_due = len(chosen) < least or more.own <= most_work * (1 + 1e-9)
            if is_due and self._fits(more, entry[2]) and load.accepts(demand):
                chosen.append(entry)
                load = more
            else:
                left.append(entry)
        queue.entries = left
        heapq.heapify(queue.entries)
        return [spec for _, _, spec in sorted(chosen)]

    def _fits(self, load: Load, spec: TrialSpec) -> bool:
        """Whether a batch that is filled up to hold a trial is not too large for the device."""
        structure = self.structure(spec)
        own = sum(o * i for o, i, _ in structure.sizes)
        filled = sum(o * i for o, i, _ in load.sizes)
        return load.n <= self._most(spec, structure.n_parameters - own + filled)

    def _demand(self, spec: TrialSpec) -> Demand:
        key = (spec.model, spec.dataset, spec.batch_size, spec.epochs, spec.steps)
        if key not in self._demands:
            steps, _ = count_steps(spec, len(self.datasets[spec.dataset].y_train))
            self._demands[key] = Demand(self.structure(spec).sizes, steps, spec.batch_size)
        return self._demands[key]

    def _work(self, spec: TrialSpec) -> float:
        """Microseconds of a trial, without its share of a program."""
        return Load(self.economy).with_one(self._demand(spec)).own

    def afresh(self) -> "Planner":
        """A planner in which nothing waits, that knows what this one knows of structures."""
        other = Planner(self.datasets, self.device, self.n_workers)
        other._structures, other._demands = self._structures, self._demands
        other._explained, other.memory_shares = self._explained, self.memory_shares
        return other

    def n_full_steps(self, batch: Sequence[TrialSpec]) -> float:
        """What a batch costs, in steps of all its trials: some leave before others."""
        whole, step = Load(self.economy), Load(self.economy)
        for spec in batch:
            demand = self._demand(spec)
            whole, step = whole.with_one(demand), step.with_one(demand._replace(steps=1))
        return whole.cost() / step.cost()

    def explain(self, batch: Sequence[TrialSpec]) -> str:
        """A batch in one line: what it mixes, and what that costs."""
        first = batch[0]
        load = Load(self.economy)
        for spec in batch:
            load = load.with_one(self._demand(spec))
        parts = [
            f"{len(batch)} trial{'s' if len(batch) > 1 else ''} of {first.model.target}",
            f"batch size {first.batch_size}",
            *(["bfloat16 products"] if first.numerics.autocast == "bfloat16" else []),
        ]
        steps = sorted({self._demand(spec).steps for spec in batch})
        parts.append(f"{steps[0]} to {steps[-1]} steps" if len(steps) > 1 else f"{steps[0]} steps")
        if self.structure(first).signature is None:
            return ", ".join([*parts, "one by one"])
        widths = len({self.structure(spec).sizes for spec in batch})
        if widths > 1:
            parts.append(f"{widths} widths, filled up to {load.growth():.2f} times the products")
        rules = len({update_rule(spec.optimizer) for spec in batch})
        if rules > 1:
            parts.append(f"{rules} update rules")
        return ", ".join(parts)

    def _urgency(self, queue: Queue) -> tuple[bool, int, int]:
        number, order, _ = queue.entries[0]
        return not self._is_full(queue), number, order

    def bucket(self, spec: TrialSpec) -> Hashable:
        """Equal for trials that can be trained together.

        Depth and normalisation come in by the model's family; widths do where it has layers that
        cannot be filled up. All repeats of an arm, and other arms on the same setup, share their
        buckets.
        """
        family = self.structure(spec).family
        if family is None:
            return (spec.study, spec.number)
        return (family, spec.dataset, spec.batch_size, spec.numerics)

    def structure(self, spec: TrialSpec) -> Structure:
        """The structure of a trial's model."""
        key = (spec.model, spec.dataset)
        if key not in self._structures:
            data = self.datasets[spec.dataset]
            model = build_model(spec.model, data, seed=0, number=0)
            reading = self._read(model, spec)
            self._structures[key] = Structure(
                None if reading is None else reading.signature,
                None if reading is None else reading.family,
                () if reading is None else reading.sizes,
                sum(p.numel() for p in model.parameters()),
                n_activations(model, reading),
                count_products(model, data.input_shape),
            )
        return self._structures[key]

    def _read(self, model: nn.Module, spec: TrialSpec) -> Reading | None:
        if spec.numerics.trainer == "plain":
            return None
        try:
            if pays(model, self.device):
                return read(model, self.datasets[spec.dataset].input_shape)
            reason = "convolutions are faster so on a CPU"
        except NotFusable as error:
            reason = f"no fused form of {error}"
        self._say_once(f"{spec.model.target} trains one by one: {reason}")
        return None

    def _say_once(self, text: str) -> None:
        if text not in self._explained:
            self._explained.add(text)
            _log.warning(text)

    def most_at_once(self, spec: TrialSpec) -> int:
        """How many trials like this one to fuse on the device."""
        structure = self.structure(spec)
        return 1 if structure.signature is None else self._most(spec, structure.n_parameters)

    def at_once(self, spec: TrialSpec, share: float) -> int:
        """How many trials like this one fit into a share of a GPU's memory."""
        structure = self.structure(spec)
        return self._in_memory(self._bytes(spec, structure.n_parameters), share)

    def _most(self, spec: TrialSpec, n_parameters: int) -> int:
        n_bytes = self._bytes(spec, n_parameters)
        if self.device.type == "cuda":
            return self._in_memory(n_bytes, self.memory_shares.get(spec.study, GPU_MEMORY_SHARE))
        return max(CPU_LEAST, min(round(CPU_CACHE_BYTES / n_bytes), CPU_MOST))

    def _in_memory(self, n_bytes: int, share: float) -> int:
        memory = torch.cuda.get_device_properties(self.device).total_memory
        return max(1, min(int(memory * share / n_bytes), GPU_MOST))

    def _bytes(self, spec: TrialSpec, n_parameters: int) -> int:
        """What a trial takes, of so many parameters."""
        size = 8 if spec.numerics.dtype == "float64" else 4
        # Parameters, gradients and the optimizer's state.
        states = 4 if spec.optimizer.kind in ("adam", "adamw") else 3
        # A layer leaves its output, and backward passes a gradient of the same shape.
        n_activations = self.structure(spec).n_activations
        values = n_parameters * states + 2 * n_activations * spec.batch_size
        return values * size

    def cost(self, spec: TrialSpec) -> float:
        """Relative cost of a trial: multiply-adds of all its steps."""
        data = self.datasets[spec.dataset]
        steps, _ = count_steps(spec, len(data.y_train))
        return 3.0 * steps * spec.batch_size * self.structure(spec).n_products
