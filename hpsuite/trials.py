"""The words that every room speaks: what a trial is to do, and what came of it.

A `TrialSpec` holds all that decides a trial's result and nothing else, so that equal specs give
equal results wherever, beside whomever and whenever they are trained (docs/architecture.md, law 3).
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt

Scalar = bool | int | float | str | None
Value = Scalar | tuple[Scalar, ...]

OptimizerKind = Literal["sgd", "sgd_ema", "adam", "adamw"]
ScheduleKind = Literal["none", "step", "exponential", "inverse_time", "cosine"]
Outcome = Literal["finite", "nonfinite", "pruned", "failed"]
UnitInterval = Annotated[float, Ge(0), Lt(1)]

# The metadata of a field that came when there were records already; see `deciding`.
LATER: Mapping[str, bool] = {"later": True}


# The user attributes of a trial that is a day: what it goes on from, whether its model came to
# nothing (as one of three words), whether it is kept.
DAY, LOST, JUDGED = "day", "lost", "judged"
DIVERGED, AT_CHANCE, FAILED = "diverged", "at chance", "failed"


def frozen_arguments(arguments: Mapping[str, object]) -> tuple[tuple[str, Value], ...]:
    """Keyword arguments as a sorted, hashable tuple; lists become tuples."""

    def freeze(value: object) -> Value:
        if isinstance(value, list | tuple):
            return tuple(value)
        assert value is None or isinstance(value, bool | int | float | str), value
        return value

    return tuple(sorted((name, freeze(value)) for name, value in arguments.items()))


def deciding(spec: "OptimizerSpec | Numerics") -> dict[str, object]:
    """What of a spec decides a trial, as plain values.

    A field that came later is left out at its default, which is what was done before: the
    identities of older records stay.
    """
    default = {f.name: f.default for f in fields(spec) if f.metadata.get("later")}
    return {k: v for k, v in asdict(spec).items() if k not in default or v != default[k]}


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """A model by the importable name of the function or class that builds it.

    Attributes:
        target: dotted name of a callable `(input_shape, n_classes, **arguments) -> nn.Module`.
        arguments: its keyword arguments, sorted by name.
    """

    target: str
    arguments: tuple[tuple[str, Value], ...] = ()


@dataclass(frozen=True, slots=True)
class OptimizerSpec:
    """An optimizer and its learning-rate schedule.

    Attributes:
        kind: `sgd` is v = momentum v + g (torch's form), `sgd_ema` the exponentially weighted
            average v = momentum v + (1 - momentum) g, `adam` Kingma and Ba 2014, `adamw` the same
            with decoupled weight decay (Loshchilov and Hutter 2019).
        learning_rate: that from which it decays, after the warm-up, > 0.
        momentum: in [0, 1), for the two forms of SGD.
        beta1, beta2, epsilon: of Adam and AdamW, in [0, 1), [0, 1) and > 0.
        weight_decay: L2 penalty added to the gradient (torch's `weight_decay`), >= 0; under
            `adamw`, the share, times the learning rate, that each step takes off the parameters.
        schedule: how the learning rate decays (see `training/schedules.py`).
        decay_rate: the schedule's own parameter; `none` and `cosine` do not use it.
        decay_epochs: for `step`, the number of epochs between two decays.
        nesterov: for the two forms of SGD, whether a step looks ahead (Sutskever et al. 2013,
            section 2, in torch's form).
        label_smoothing: share of the training loss's targets that goes to all classes alike, in
            [0, 1) (Szegedy et al. 2016, section 7).
        warmup_fraction: share of the steps in which the learning rate rises, in [0, 1) (Goyal et
            al. 2017, section 2.2).
    """

    kind: OptimizerKind = "sgd"
    learning_rate: Annotated[float, Gt(0)] = 0.1
    momentum: UnitInterval = 0.9
    beta1: UnitInterval = 0.9
    beta2: UnitInterval = 0.999
    epsilon: Annotated[float, Gt(0)] = 1e-8
    weight_decay: Annotated[float, Ge(0)] = 0.0
    schedule: ScheduleKind = "none"
    decay_rate: Annotated[float, Ge(0)] = 0.0
    decay_epochs: Annotated[int, Ge(1)] = 1
    nesterov: bool = field(default=False, metadata=LATER)
    label_smoothing: UnitInterval = field(default=0.0, metadata=LATER)
    warmup_fraction: UnitInterval = field(default=0.0, metadata=LATER)


@dataclass(frozen=True, slots=True)
class Numerics:
    """How numbers are computed, and what is kept of them; part of a study's identity.

    Attributes:
        dtype: `float32` or `float64`.
        tf32: whether CUDA matrix products may round their inputs to TF32.
        trainer: `auto` fuses what can be fused, `plain` trains one model at a time.
        autocast: `bfloat16` rounds what enters matrix products and convolutions, forward and
            backward; only with float32, in which all else stays (training/mixed_precision.py).
        probe: whether to record what a hidden unit's nonlinearity sees (see `training/probe.py`);
            it changes no other result.
        convolutions: how those that are fused are multiplied: `columns`, as products with what
            lies under their kernels, or `grouped`, as one convolution of groups; `auto` is the
            faster of the two on a GPU (see `training/autotune.py`), else `columns`.
        compiled: whether torch.compile makes the update of what is fused; `auto` where it is
            faster on a GPU, else `no`.
        deterministic: whether results on a GPU are to be the same bits wherever as many trials
            train at once: nothing is then measured to decide what `auto` above stands for, and how
            many these are, and torch takes deterministic kernels where it has them.
    """

    dtype: Literal["float32", "float64"] = "float32"
    tf32: bool = False
    trainer: Literal["auto", "plain"] = "auto"
    autocast: Literal["none", "bfloat16"] = field(default="none", metadata=LATER)
    probe: bool = field(default=False, metadata=LATER)
    convolutions: Literal["auto", "columns", "grouped"] = field(default="auto", metadata=LATER)
    compiled: Literal["auto", "yes", "no"] = field(default="auto", metadata=LATER)
    deterministic: bool = field(default=False, metadata=LATER)


@dataclass(frozen=True, slots=True)
class Block:
    """Epochs that a model was trained before, with one setting of its optimizer.

    Attributes:
        optimizer: its setting.
        epochs: how many, >= 1.
    """

    optimizer: OptimizerSpec
    epochs: int


@dataclass(frozen=True, slots=True)
class Lineage:
    """What a trial goes on from: all that its model was trained before, day by day.

    It says how to find the state that the trial begins with, so that a checkpoint is never more
    than a short cut.

    Attributes:
        origin: number of the trial that its model began with, whose random streams it goes on with.
        before: the days before this one, in order; none for the first.
    """

    origin: int
    before: tuple[Block, ...] = ()


@dataclass(frozen=True, slots=True)
class TrialSpec:
    """All that decides the result of one trial.

    Attributes:
        study: name of the study that asked for it.
        number: its number in that study, from 0.
        seed: the study's seed; with `number` it decides every random stream of the trial.
        dataset: fingerprint of the data it trains on.
        model, optimizer, numerics: see the classes.
        batch_size: rows per mini-batch; the last one of an epoch may be smaller.
        epochs, steps: the budget; exactly one is given.
        lineage: of a day, what it goes on from; None for a trial that stands by itself. A day has
            a budget of epochs.
    """

    study: str
    number: int
    seed: int
    dataset: str
    model: ModelSpec
    optimizer: OptimizerSpec
    batch_size: int = 64
    epochs: int | None = None
    steps: int | None = None
    numerics: Numerics = field(default_factory=Numerics)
    lineage: Lineage | None = None

    def __post_init__(self) -> None:
        assert (self.epochs is None) != (self.steps is None), (self.epochs, self.steps)
        assert self.lineage is None or self.epochs is not None, self

    @property
    def stream(self) -> int:
        """The number that, with the seed, decides its random streams."""
        return self.number if self.lineage is None else self.lineage.origin

    @property
    def before(self) -> tuple[Block, ...]:
        """The days before it."""
        return () if self.lineage is None else self.lineage.before

    @property
    def first_epoch(self) -> int:
        """Epochs that its model was trained before."""
        return sum(block.epochs for block in self.before)

    @property
    def ancestor(self) -> "TrialSpec":
        """The day at whose end it begins; its number is that of the first of its lineage."""
        assert self.lineage is not None
        *earlier, last = self.lineage.before
        return replace(
            self,
            number=self.lineage.origin,
            optimizer=last.optimizer,
            epochs=last.epochs,
            lineage=Lineage(self.lineage.origin, tuple(earlier)),
        )


@dataclass(frozen=True, slots=True)
class Day:
    """A trial that is a day of a model: where it goes on, and what was decided, with reasons.

    Attributes:
        day, member: which day of which model, from 0.
        parent: number of the trial that it goes on from; None for initial weights.
        nudge: by what each changed hyperparameter, by its stored name, was multiplied.
        copied: whether it goes on from another member.
        reason: for its values, in words.
        kept: whether later days may go on from it; None where it was not told yet.
        verdict: the reason for that, in words.
    """

    day: int
    member: int
    parent: int | None
    nudge: tuple[tuple[str, float], ...] = ()
    copied: bool = False
    reason: str = ""
    kept: bool | None = None
    verdict: str = ""

    @classmethod
    def of(cls, attributes: Mapping[str, Any]) -> "Day | None":
        """What a trial's user attributes say; None for one that is no day."""
        own = attributes.get(DAY)
        if not isinstance(own, Mapping) or "member" not in own:
            return None
        told = attributes.get(JUDGED, {})
        own = {**own, "nudge": tuple(own["nudge"].items())}
        return cls(**own, kept=told.get("kept"), verdict=told.get("reason", ""))


@dataclass(frozen=True, slots=True)
class Judged:
    """What a pruner was told of a trial, and what it noted.

    Attributes:
        reports: validation accuracies in [0, 1] after epoch 1, 2, ...; of a trial that diverged,
            its chance score from that epoch on.
        marks: what the pruner keeps with the trial, by key, sorted.
    """

    reports: tuple[float, ...]
    marks: tuple[tuple[str, Scalar], ...] = ()


@dataclass(frozen=True, slots=True)
class TrialResult:
    """What came of a trial.

    Attributes:
        study, number: which trial.
        outcome: `nonfinite` where the training or validation loss stopped being a finite number;
            such a trial was stopped at the end of that epoch and scores what always answering
            with the training set's most frequent class would score. `pruned` where a pruner
            stopped it before its last epoch. `failed` where it could not be trained: each process
            that tried ended, or memory did not hold it; it scores as a non-finite one.
        val_accuracy, test_accuracy: final accuracies, in [0, 1]. Of a pruned trial, the validation
            accuracy when it was stopped; on test data it is not scored, and has what always
            answering with the training set's most frequent class would score.
        val_curve: validation accuracy after each epoch (and after the last step), in [0, 1].
        loss_curve: mean training loss of each epoch, in nats, as it is minimised: with label
            smoothing, without the penalty of weight decay; a non-finite trial's is cut off.
        steps: gradient steps taken.
        seconds: its share of the wall time of the batch it was trained in.
        initial_loss: mean validation loss before the first step, in nats, without label smoothing;
            in evaluation, so that batch norm has the running statistics that it begins with, mean
            0 and variance 1. None where it is not finite, or was recorded before this was.
        val_loss: the same after the last step; None for a non-finite or pruned trial, too.
        judged: by the pruner of its study; None where that has none.
        probe: the 15th, 50th and 85th percentile of the input of the first unit's nonlinearity in
            the last hidden layer, over the validation rows: before the first step, then after each
            epoch, as far as finite. None where `numerics.probe` is off.
        reason: why it failed, in words; empty for all other outcomes.
    """

    study: str
    number: int
    outcome: Outcome
    val_accuracy: float
    test_accuracy: float
    val_curve: tuple[float, ...]
    loss_curve: tuple[float, ...]
    steps: int
    seconds: float
    initial_loss: float | None = None
    val_loss: float | None = None
    judged: Judged | None = None
    probe: tuple[tuple[float, ...], ...] | None = None
    reason: str = ""

    @property
    def came_to_nothing(self) -> bool:
        """Whether it diverged or could not be trained, so that it counts as a failure."""
        return self.outcome in ("nonfinite", "failed")

    @property
    def epochs(self) -> int:
        """Epochs that it trained, a part of one counted as one."""
        return len(self.val_curve) + (self.outcome == "nonfinite")

    @property
    def merit(self) -> tuple[bool, float, int]:
        """Larger for what validation selects: the first of the best that were not pruned."""
        return self.outcome != "pruned", self.val_accuracy, -self.number

    def same_outcome(self, other: "TrialResult") -> bool:
        """Whether two results agree to the bit in all but the time they took."""
        return replace(self, study="", number=0, seconds=0.0) == replace(
            other, study="", number=0, seconds=0.0
        )
