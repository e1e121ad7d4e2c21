"""What a run is told to do, as frozen dataclasses: settings, setups and arms.

parsing.py makes them of a composed configuration, and checks it.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from hpsuite.analysis.bands import Bands
from hpsuite.checks import UserError, build, defaults, one_line, refuse, resolve, under
from hpsuite.datasets import Data, Source, prepare
from hpsuite.declared import Declared
from hpsuite.provenance import own_code
from hpsuite.pruning import Pruning
from hpsuite.space import Space
from hpsuite.strategies import ScaledRandomSampler
from hpsuite.texts import ClusterAddress, LogLevel, Name, Packages, PathText
from hpsuite.trials import (
    ModelSpec,
    Numerics,
    OptimizerSpec,
    Scalar,
    TrialSpec,
    deciding,
)
from hpsuite.values import unsearched, with_values

Group = Mapping[str, object]
# More than a run could train, and fewer than would fill the memory before it begins, or than a
# counter of torch's or SQL's can hold.
MOST, MOST_TRIALS, MOST_STUDIES = 10**9, 10**6, 10**4
Trials = Annotated[int, Ge(1), Le(MOST_TRIALS)]
Repeats = Annotated[int, Ge(1), Le(MOST_STUDIES)]
AtLeastOne = Annotated[int, Ge(1), Le(MOST)]
# More than any machine has cores.
Workers = Annotated[int, Ge(1), Le(4096)]
NotNegative = Annotated[int, Ge(0)]
Seconds = Annotated[float, Gt(0)]
SplitSeed = Annotated[int, Ge(0), Lt(1 << 32)]  # numpy's legacy generators take no more


@dataclass(frozen=True)
class Budget:
    """How much each study may spend: trials, and epochs or gradient steps for each of them."""

    trials: Trials
    epochs: AtLeastOne | None = None
    steps: AtLeastOne | None = None


@dataclass(frozen=True)
class MiniBatch:
    """Rows per mini-batch."""

    batch_size: AtLeastOne = 64


@dataclass(frozen=True)
class Counts:
    """Studies per arm, and the seeds of all trials and of the data's split."""

    repeats: Repeats
    seed: NotNegative
    split_seed: SplitSeed


@dataclass(frozen=True)
class ExecutorConfig:
    """Where batches run: `inline` here, `processes` in one a core or GPU, `ray` on a cluster.

    Attributes:
        kind: which.
        workers: processes, or tasks in flight; None for each core or GPU, or what a cluster holds.
        idle_limit: seconds after which a process that trains, but uses no processor, counts as
            hanging and is killed; None lets it hang.
        time_limit: seconds after which a batch does, however busy its process is; None never.
        address: of a Ray cluster's head, or `auto`; None starts one of this machine alone.
        cpus_per_task, gpus_per_task: what Ray sets aside for each; GPUs by default 1 on CUDA.
    """

    kind: Literal["inline", "processes", "ray"]
    workers: Workers | None = None
    idle_limit: Seconds | None = 300.0
    time_limit: Seconds | None = None
    address: ClusterAddress | None = None
    cpus_per_task: Workers = 1
    gpus_per_task: Annotated[float, Gt(0), Le(1)] | None = None


@dataclass(frozen=True)
class TrackingConfig:
    """The view in MLflow.

    Attributes:
        enabled: whether to write it.
        uri: of the tracking server; None takes MLFLOW_TRACKING_URI, or mlflow.db in this folder.
        best_trials: child runs with learning curves for each arm's best so many; -1 for all.
        time_limit: seconds after which MLflow is asked for nothing more; None for no limit.
    """

    enabled: bool
    uri: str | None = None
    best_trials: Annotated[int, Ge(-1), Le(MOST)] = 3
    time_limit: Seconds | None = 300


@dataclass(frozen=True)
class AnalysisConfig:
    """How the figures are found.

    Attributes:
        fresh_seeds: with which each setup's best 4% and what each search selected are trained
            again; 0 for none.
        bands: of tuning curves: `ks` takes milliseconds, `tight` minutes.
        report: whether to write report.html, report.md and their pictures.
    """

    fresh_seeds: Annotated[int, Ge(0), Le(MOST_STUDIES)] = 0
    bands: Bands = "ks"
    report: bool = True


@dataclass(frozen=True)
class Settings:
    """What a run does besides its arms.

    Attributes:
        name: the experiment's name.
        title: what it asks, in one line.
        device: `auto` takes CUDA where there is one.
        data_dir: folder of the data sets' files.
        packages: top-level packages, besides hpsuite and Optuna, that a `_target_` may lie in.
        storage: the record: the path of a journal file, or an address that Optuna takes.
        output_dir: folder of the summaries.
        fresh: start a new generation of each study beside the old ones.
        plan: print the plan and stop.
        log_level: of messages.
        executor, tracking, analysis: see the classes.
        claims: what is claimed of the matrix, declared before the run.
        tier: which size of the experiment this is; None where it has one.
        left_out: what this size leaves out, in words.
    """

    name: Name
    title: str
    device: Literal["auto", "cpu", "cuda"]
    data_dir: PathText
    packages: Packages
    storage: PathText
    output_dir: PathText
    fresh: bool
    plan: bool
    log_level: LogLevel
    executor: ExecutorConfig
    tracking: TrackingConfig
    analysis: AnalysisConfig = field(default_factory=AnalysisConfig)
    claims: tuple[Declared, ...] = ()
    tier: str | None = None
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class DatasetConfig:
    """A data set: the function that reads it, and how it is split and normalised."""

    name: str
    target: str
    arguments: tuple[tuple[str, object], ...]
    split: tuple[tuple[str, object], ...]
    split_seed: int

    def load(self) -> Data:
        """Read, split and normalise.

        Raises:
            UserError: data that is missing or damaged, or too small for its splits.
        """
        try:
            source = resolve("dataset._target_", self.target)(**dict(self.arguments))
            if not isinstance(source, Source):
                raise refuse("dataset._target_", self.target, "what returns an hpsuite Source")
            split = dict(self.split)
            return build("dataset", prepare, split, source=source, split_seed=self.split_seed)
        except UserError:
            raise
        except (ValueError, OSError) as error:
            if str(error).startswith("data_dir: "):
                raise UserError(one_line(error)) from error
            raise under("dataset", error) from error


@dataclass(frozen=True)
class StrategyConfig:
    """A sampler's class, its arguments, and how it is asked.

    Attributes:
        name: of the strategy's option.
        target: dotted name of the sampler's class; of one of OptunaHub's, what identifies it.
        arguments: the user's, sorted by name.
        asking: for samplers that are not hpsuite's, arguments of `PerTrialSeeded`.
        variant: what else tells it from others of its experiment, as (key, value).
        loaded: for samplers of OptunaHub, which are found by no dotted name, the class.
        pruning: how trials are stopped early; None where all train to their end.
    """

    name: str
    target: str
    arguments: tuple[tuple[str, object], ...]
    asking: tuple[tuple[str, object], ...]
    variant: tuple[tuple[str, str], ...] = ()
    loaded: Callable[..., object] | None = None
    pruning: Pruning | None = None

    @property
    def label(self) -> str:
        """Its name, and what else tells it apart."""
        return labelled(self.name, self.variant)

    @property
    def sampler(self) -> Callable[..., object]:
        """The sampler's class.

        Raises:
            UserError: one that cannot be imported.
        """
        return self.loaded or resolve("strategy._target_", self.target)

    @property
    def is_reference(self) -> bool:
        """Whether its trials are i.i.d. over the space, on their own scales, and whole."""
        if self.pruning is not None or self.target != _REFERENCE:
            return False
        return dict(self.arguments)["scale"] == "own"


_REFERENCE = f"{ScaledRandomSampler.__module__}.{ScaledRandomSampler.__qualname__}"


@dataclass(frozen=True)
class Setup:
    """Data set x model x optimizer x space x epochs or steps.

    Attributes:
        dataset: what is trained on.
        model_name: name of the model's option.
        model: the model where nothing of it is searched.
        optimizer: likewise.
        batch_size: likewise.
        epochs, steps: likewise; one of them is None.
        space: what is searched.
        numerics: how numbers are computed.
        variant: what else tells this setup from others of its experiment, as (key, value).
    """

    dataset: DatasetConfig
    model_name: str
    model: ModelSpec
    optimizer: OptimizerSpec
    batch_size: int
    epochs: int | None
    steps: int | None
    space: Space
    numerics: Numerics
    variant: tuple[tuple[str, str], ...] = field(default=())

    @property
    def label(self) -> str:
        """The model's name, and what else tells the setup apart."""
        return labelled(self.model_name, self.variant)

    def spec(
        self, values: Mapping[str, Scalar], *, study: str, number: int, seed: int, dataset: str
    ) -> TrialSpec:
        """A trial with its searched hyperparameters set; `dataset` is the data's fingerprint."""
        spec = TrialSpec(
            study=study,
            number=number,
            seed=seed,
            dataset=dataset,
            model=self.model,
            optimizer=self.optimizer,
            batch_size=self.batch_size,
            epochs=self.epochs,
            steps=self.steps,
            numerics=self.numerics,
        )
        return with_values(spec, values)

    def decided_by(self, dataset: str) -> dict[str, object]:
        """All of the setup that decides its trials, as plain values; `dataset` as above.

        What the space searches is left out of the rest: the value it stands for is never used.
        """
        searched = set(self.space.names)
        optimizer = deciding(self.optimizer)
        if searched & {"epochs", "steps"}:
            searched |= {"epochs", "steps"}
        own = {"batch_size": self.batch_size, "epochs": self.epochs, "steps": self.steps}
        # A model's arguments at their defaults say nothing, so that it can be given new ones.
        usual = defaults(resolve("model._target_", self.model.target))
        parts: dict[str, dict[str, object]] = {
            "model": {
                k: v
                for k, v in unsearched(self.model, self.space).items()
                if k not in usual or usual[k] != v
            },
            "optimizer": optimizer,
            "budget": {**own},
        }
        for part in parts.values():
            for name in searched.intersection(part):
                del part[name]
        return {
            **parts,
            **own_code(self.model.target),
            "dataset": dataset,
            "target": self.model.target,
            "space": {h.name: asdict(h) for h in self.space.hyperparameters},
            "numerics": deciding(self.numerics),
        }


@dataclass(frozen=True)
class Arm:
    """One strategy on one setup.

    Attributes:
        setup, strategy: what.
        trials: budget of trials of each study; a grid may plan fewer.
        repeats: number of studies.
        seed: the experiment's seed.
    """

    setup: Setup
    strategy: StrategyConfig
    trials: int
    repeats: int
    seed: int

    @property
    def label(self) -> str:
        """Data set, model and strategy in words."""
        model = labelled(self.setup.model_name, self.setup.variant)
        return f"{self.setup.dataset.name} {model} {self.strategy.label}"


def labelled(name: str, variant: tuple[tuple[str, str], ...]) -> str:
    """A name, and what else tells it apart: `mlp optimizer=sgd_ema`."""
    return " ".join((name, *(f"{key}={value}" for key, value in variant)))
