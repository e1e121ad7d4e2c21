"""Who trains in benchmarks/throughput.py.

Every contender trains the same trials (initial weights, learning rates, rows, number of steps) in
mini-batches in an order of its own, validates after each epoch and tests at the end:

- `Example`, a: one trial at a time as in Optuna's own example for PyTorch
  (https://github.com/optuna/optuna-examples, pytorch/pytorch_simple.py): a study, an objective, a
  DataLoader over torchvision's data set with ToTensor, or over a TensorDataset where the data is
  not torchvision's; data sets are made once, loaders in each trial;
- `Sequential`, b: the best loop for one trial that we can write: data resident as tensors,
  mini-batches by index, torch's foreach or fused optimizers, channels_last for images, or forward
  and backward compiled;
- `Ours`: hpsuite's trainer, of as many trials as its planner puts together.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import optuna
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from benchmarks.problems import Case
from hpsuite.datasets import Data
from hpsuite.training import Planner, Resident, train
from hpsuite.training.loop import build_model, count_steps
from hpsuite.trials import TrialSpec

CPU = torch.device("cpu")


class Example:
    """Contender a."""

    def __init__(self, case: Case, data: Data, n_jobs: int = 1) -> None:
        """`n_jobs` is that of `study.optimize`."""
        self._n_jobs, self._data = n_jobs, data
        make = self._from_torchvision if case.of.source == "mnist" else self._from_tensors
        self._train, self._val, self._test = (
            make(case, x, y)
            for x, y in (
                (data.x_train, data.y_train),
                (data.x_val, data.y_val),
                (data.x_test, data.y_test),
            )
        )

    def _from_torchvision(self, case: Case, x: Any, y: Any) -> Dataset[tuple[Tensor, Any]]:
        from torchvision.datasets import MNIST
        from torchvision.transforms import ToTensor

        made = MNIST(case.data_dir, train=True, download=False, transform=ToTensor())
        made.data, made.targets = torch.tensor(x[:, 0]), torch.tensor(y)
        return made

    def _from_tensors(self, case: Case, x: Any, y: Any) -> Dataset[tuple[Tensor, ...]]:
        inputs = (x * self._data.multiplier + self._data.offset).astype(np.float32)
        return TensorDataset(torch.tensor(inputs), torch.tensor(y))

    def __call__(self, specs: Sequence[TrialSpec]) -> list[float]:
        """Test accuracies of trials, in a study of their own."""
        study = optuna.create_study(direction="maximize", sampler=optuna.samplers.RandomSampler(0))
        for i, spec in enumerate(specs):
            study.enqueue_trial({"learning_rate": spec.optimizer.learning_rate}, {"place": i})

        def objective(trial: optuna.Trial) -> float:
            spec = specs[trial.user_attrs["place"]]
            rate = trial.suggest_float("learning_rate", 1e-5, 1, log=True)
            model = build_model(spec.model, self._data, seed=spec.seed, number=spec.number)
            descent = _optimizer(spec, model, rate)
            loader = DataLoader(self._train, batch_size=spec.batch_size, shuffle=True)
            total, _ = count_steps(spec, len(self._data.y_train))
            step = epoch = 0
            while step < total:
                model.train()
                for x, y in loader:
                    descent.zero_grad()
                    loss = F.cross_entropy(model(x), y)
                    loss.backward()
                    descent.step()
                    step += 1
                    if step == total:
                        break
                score = self._score(model, self._val, spec.batch_size)
                trial.report(score, epoch)
                epoch += 1
            trial.set_user_attr("test", self._score(model, self._test, spec.batch_size))
            return score

        study.optimize(objective, n_trials=len(specs), n_jobs=self._n_jobs)
        return [trial.user_attrs["test"] for trial in study.trials]

    def _score(self, model: nn.Module, rows: Dataset[Any], batch_size: int) -> float:
        """Accuracy in [0, 1]."""
        model.eval()
        hits = n = 0
        with torch.no_grad():
            for x, y in DataLoader(rows, batch_size=batch_size):
                hits += int(model(x).argmax(1).eq(y).sum())
                n += len(y)
        return hits / n


class Sequential:
    """Contender b."""

    def __init__(
        self,
        case: Case,
        data: Data,
        *,
        implementation: Literal["foreach", "fused"] = "fused",
        layout: Literal["nchw", "channels_last"] = "nchw",
        compiled: bool = False,
    ) -> None:
        """Put the data into memory as it enters the network.

        Args:
            case: what is trained.
            data: its data.
            implementation: of torch's optimizer.
            layout: of images and kernels in memory.
            compiled: whether torch.compile makes one program each of forward and backward, for
                mini-batches of full size; it is made once, and each trial's weights are copied in.
        """
        self._data = data
        self._options: dict[str, bool] = {implementation: True}
        self._layout = torch.channels_last if layout == "channels_last" else None
        resident = Resident.place(data, CPU)
        self._splits = [
            (self._laid_out(resident.inputs(x, torch.float32)), y)
            for x, y in (
                (resident.x_train, resident.y_train),
                (resident.x_val, resident.y_val),
                (resident.x_test, resident.y_test),
            )
        ]
        self._whole: nn.Module | None = None
        self._loss: Callable[[Tensor, Tensor], Tensor] | None = None
        if compiled:
            (spec,) = case.trials(1)
            self._whole = self._build(spec)
            torch.compiler.reset()  # what was compiled before is not needed any more
            self._loss = torch.compile(self._loss_of(self._whole), dynamic=False)

    def _laid_out(self, x: Tensor) -> Tensor:
        return x if self._layout is None else x.contiguous(memory_format=self._layout)

    def _build(self, spec: TrialSpec) -> nn.Module:
        model = build_model(spec.model, self._data, seed=spec.seed, number=spec.number)
        return model if self._layout is None else model.to(memory_format=self._layout)

    @staticmethod
    def _loss_of(model: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
        def loss_of(x: Tensor, y: Tensor) -> Tensor:
            return F.cross_entropy(model(x), y)

        return loss_of

    def __call__(self, specs: Sequence[TrialSpec]) -> list[float]:
        """Test accuracies of trials."""
        return [self._one(spec) for spec in specs]

    def _one(self, spec: TrialSpec) -> float:
        model = self._build(spec)
        if self._whole is not None:
            self._whole.load_state_dict(model.state_dict())
            model = self._whole
        plain = self._loss_of(model)
        fast = self._loss or plain
        descent = _optimizer(spec, model, spec.optimizer.learning_rate, **self._options)
        (x, y), (x_val, y_val), (x_test, y_test) = self._splits
        total, _ = count_steps(spec, len(y))
        step = 0
        while step < total:
            model.train()
            for rows in torch.randperm(len(y)).split(spec.batch_size)[: total - step]:
                loss_of = fast if len(rows) == spec.batch_size else plain
                loss = loss_of(x[rows], y[rows])
                descent.zero_grad()
                loss.backward()
                descent.step()
                step += 1
            self._score(model, x_val, y_val)
        return self._score(model, x_test, y_test)

    @staticmethod
    def _score(model: nn.Module, x: Tensor, y: Tensor, rows: int = 256) -> float:
        """Accuracy in [0, 1]; images in parts that stay in a core's caches."""
        model.eval()
        with torch.inference_mode():
            parts = zip(x.split(rows), y.split(rows), strict=True)
            return sum(int((model(a).argmax(1) == b).sum()) for a, b in parts) / len(y)


class Ours:
    """hpsuite's trainer."""

    def __init__(self, case: Case, data: Data) -> None:
        self._resident = Resident.place(data, CPU)

    def __call__(self, specs: Sequence[TrialSpec]) -> list[float]:
        """Test accuracies of trials, which are one batch."""
        own = [replace(spec, dataset=self._resident.data.fingerprint) for spec in specs]
        return [result.test_accuracy for result in train(own, self._resident)]


def at_once(case: Case, data: Data) -> int:
    """How many of its trials hpsuite's planner puts together on a core."""
    planner = Planner({data.fingerprint: data}, CPU, n_workers=1)
    return planner.most_at_once(case.trials(1, fingerprint=data.fingerprint)[0])


def _optimizer(
    spec: TrialSpec, model: nn.Module, rate: float, **options: bool
) -> torch.optim.Optimizer:
    """The optimizer of a trial, torch's own, at a learning rate."""
    if spec.optimizer.kind == "adam":
        return torch.optim.Adam(model.parameters(), lr=rate, **options)
    momentum = spec.optimizer.momentum
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=momentum, **options)


Contender = Callable[[Sequence[TrialSpec]], list[float]]
# By name, how each is made of a case and its data.
CONTENDERS: dict[str, Callable[[Case, Data], Contender]] = {
    "a": Example,
    "a, n_jobs": lambda case, data: Example(case, data, n_jobs=os.cpu_count() or 1),
    "b foreach": lambda case, data: Sequential(case, data, implementation="foreach"),
    "b fused": Sequential,
    "b compiled": lambda case, data: Sequential(case, data, compiled=True),
    "b channels_last": lambda case, data: Sequential(case, data, layout="channels_last"),
    "hpsuite": Ours,
    "hpsuite, MKL not strict": Ours,
}


def contenders_of(case: Case) -> list[str]:
    """Names of those that train a case on one core."""
    without = {"a, n_jobs"}
    if case.network == "convnet":
        without |= {"b foreach", "hpsuite, MKL not strict"}
    else:
        without |= {"b channels_last"}
    return [name for name in CONTENDERS if name not in without]
