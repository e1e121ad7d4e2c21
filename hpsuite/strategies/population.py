"""Models that are watched day by day: one (panda), or several that learn from each other."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Gt, Le
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState
from pydantic import BeforeValidator

from hpsuite.checks import show
from hpsuite.strategies.base import NAMES, PlannedSampler, check_one_objective, trial_generator
from hpsuite.strategies.unit_cube import Value, level, to_value
from hpsuite.trials import AT_CHANCE, DAY, JUDGED, LOST

# Powers of the factors that are tried from one state, before it is left as it is.
_POWERS = 4


def checked_names(names: object) -> tuple[str, ...]:
    """Names as a tuple; ValueError, with what is accepted, for anything else."""
    accepted = "a list of names, each once, such as [learning_rate, momentum]"
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
        raise ValueError(accepted)
    if not names or len(set(names)) < len(names):
        raise ValueError(accepted)
    return tuple(names)


Names = Annotated[tuple[str, ...], BeforeValidator(checked_names), NAMES]
Factors = tuple[Annotated[float, Gt(0)], ...]


class PopulationSampler(PlannedSampler):
    """Babysits models: each trial is a day of one, and goes on where another trial ended.

    Each of `members` models has its day in turn: trial n is a day of member n modulo `members`.
    The first day begins with initial weights and, as `ScaledRandomSampler` with the same seed has
    it in the trial of that number, values drawn at random. From then on

    - a day that ended worse than the day that it goes on from, or diverged, is taken back: the
      next one goes on from the same state;
    - while the last day gained at least `enough`, the next one goes on with the same values;
    - otherwise one hyperparameter is nudged: its stored value, which of a momentum may be 1 - x, is
      multiplied by one of `factors`, and kept in its range. What was tried from a state and taken
      back is not tried from it again; when all of it was, the factors are squared, and so on;
    - of several members, after each day of all, those of the worst `share` take over the state and
      the values of one of the best `share`, drawn at random (truncation selection), each of the
      `nudged` multiplied by a factor of its own: population-based training (Jaderberg et al. 2017,
      section 4.1). There nothing is taken back, and others than copies keep their values.

    A single member is the course's panda. What a trial goes on from, and why it has its values, is
    in its user attribute `day` while it runs; whether it is kept, in `judged` when it was told. A
    model whose first day diverges begins anew, with less and less of the first of `nudged`; one
    that learned nothing on it begins anew with other random values.

    Whoever runs a trial gives it the state of its parent, and may mark one whose model is of no
    use, though it has a score, by the user attribute `lost`: as `diverged`, or as `at chance`.
    Trials that failed or were pruned are taken back. Single-objective studies only.

    Args:
        search_space: distribution by name.
        n_trials: number of days of all members together, >= `members`.
        members: models, >= 1.
        nudged: names of hyperparameters to nudge; those that the space lacks, and what is no
            continuous range, are skipped; where none remains, nothing is changed.
        factors: by which stored values are multiplied, each > 0 and not 1; at least one.
        enough: gain of a day, in the unit of the score, >= 0, at which nothing is changed.
        share: of the members that are replaced, and copied, in [0, .5]; rounded down.
        start: the values of the first member's first day: `random`, or the `defaults`.
        defaults: values by name, for `start: defaults`; of those not given, the middle of the range
            on its scale, or the first choice.
        seed: >= 0.

    Raises:
        ValueError: what PlannedSampler raises; as `argument: found ...; accepted: ...`, on other
            arguments than the above.
    """

    def __init__(
        self,
        search_space: Mapping[str, BaseDistribution],
        n_trials: int,
        *,
        members: Annotated[int, Ge(1)] = 1,
        nudged: Names = ("learning_rate", "momentum", "weight_decay"),
        factors: Factors = (0.5, 0.8, 1.25, 2.0),
        enough: Annotated[float, Ge(0)] = 0.02,
        share: Annotated[float, Ge(0), Le(0.5)] = 0.25,
        start: Literal["random", "defaults"] = "random",
        defaults: Mapping[str, Value] | None = None,
        seed: int,
    ) -> None:
        super().__init__(search_space, n_trials, seed)
        if not 1 <= members <= n_trials:
            accepted = f"1 to {n_trials}, the trials, which are days of all members"
            raise _refuse("members", members, accepted)
        if not factors or any(not 0 < factor < math.inf or factor == 1 for factor in factors):
            raise _refuse("factors", factors, "numbers above 0 other than 1, at least one")
        if not 0 <= enough < math.inf:
            raise _refuse("enough", enough, "a number of at least 0")
        if not 0 <= share <= 0.5:
            raise _refuse("share", share, "a number from 0 to 0.5")
        if start not in {"random", "defaults"}:
            raise _refuse("start", start, "random or defaults")
        self.nudged = tuple(
            name
            for name in nudged
            if isinstance(d := self.search_space.get(name), FloatDistribution) and not d.single()
        )
        self.members, self.factors, self.enough = members, tuple(factors), enough
        self.start, self.n_replaced = start, int(members * share)
        self.defaults = dict(defaults or {}) if start == "defaults" else {}

    @property
    def continues(self) -> bool:
        return True

    def needed(self, study: Study) -> list[int]:
        """Numbers of the told trials whose states trials to come may go on from.

        To be asked when each member has had as many days.
        """
        n = len(study.get_trials(deepcopy=False))
        return [slot.kept.number for slot in self._slots(study, n) if slot.kept is not None]

    def defaults_used(self) -> Sequence[str]:
        if self.start == "random":
            return ()
        return [name for name, d in self.search_space.items() if not d.single()]

    def shaped_by_budget(self) -> dict[str, object]:
        if self.start == "random":
            return {}
        return {"defaults": {name: self._start(0)[name] for name in self.defaults_used()}}

    def n_askable(self, n_told: int) -> int | None:
        return min(self.members * (n_told // self.members + 1), self.n_planned)

    def values(self, study: Study, trial: FrozenTrial) -> dict[str, Value]:
        check_one_objective(self, study)
        day, member = divmod(trial.number, self.members)
        slots = self._slots(study, day * self.members)
        plan = self._plan(slots, member, trial.number)
        parent = plan.slot.kept
        study._storage.set_trial_user_attr(
            trial._trial_id,
            DAY,
            {
                "day": day,
                "member": member,
                "parent": None if parent is None else parent.number,
                "nudge": plan.nudge,
                "copied": plan.copied,
                "reason": plan.reason,
            },
        )
        return plan.values

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        parent = trial.user_attrs.get(DAY, {}).get("parent")
        before = None if parent is None else study.get_trials(deepcopy=False)[parent].value
        known = state == TrialState.COMPLETE and values is not None and math.isfinite(values[0])
        after = values[0] if known and values is not None else None
        judged = self._judge(study, trial, after, before)
        back = "the beginning" if parent is None else f"the end of trial {parent}"
        if judged.kept:
            reason = f"{after:.4g}" + ("" if before is None else f" after {before:.4g}") + ": kept"
        elif after is None or judged.lost:
            reason = f"{judged.lost or 'failed'}: back to {back}"
        else:
            reason = f"{after:.4g} after {before:.4g}: back to {back}"
        found = {"kept": judged.kept, "gain": judged.gain, "reason": reason}
        study._storage.set_trial_user_attr(trial._trial_id, JUDGED, found)

    def _judge(
        self, study: Study, trial: FrozenTrial, after: float | None, before: float | None
    ) -> "_Judged":
        """Whether a day ended no worse than it began."""
        sign = 1 if study.direction == StudyDirection.MAXIMIZE else -1
        lost = str(trial.user_attrs.get(LOST, ""))
        if after is None or lost:
            return _Judged(False, None, lost)
        if before is None:
            return _Judged(True, None)
        gain = sign * (after - before)
        return _Judged(gain >= 0, gain)

    def _slots(self, study: Study, n_before: int) -> list["_Slot"]:
        """What became of each member in the first trials."""
        trials = study.get_trials(deepcopy=False)
        slots = [_Slot() for _ in range(self.members)]
        for trial in trials[:n_before]:
            day = trial.user_attrs.get(DAY)
            if day is None:
                continue
            slot = slots[day["member"]]
            if day["copied"]:
                slot = slots[day["member"]] = _Slot(kept=trials[day["parent"]])
            is_told = trial.state == TrialState.COMPLETE and trial.value is not None
            before = None if slot.kept is None else slot.kept.value
            judged = self._judge(study, trial, trial.value if is_told else None, before)
            if judged.kept:
                slots[day["member"]] = _Slot(trial, judged.gain)
            else:
                slot.tried.append(dict(trial.params))
                slot.lost = judged.lost
        sign = 1 if study.direction == StudyDirection.MAXIMIZE else -1
        for slot in slots:
            if slot.kept is not None and slot.kept.value is not None:
                slot.score = sign * slot.kept.value
        return slots

    def _start(self, number: int) -> dict[str, Value]:
        """The values that a member begins with, by the number of its first day, or a later one."""
        units = trial_generator(self.seed, number).random(len(self.search_space))
        drawn = zip(self.search_space.items(), units, strict=True)
        if self.start == "random" or number > 0:
            return {name: to_value(d, float(unit), "own") for (name, d), unit in drawn}
        return {name: self._default(name, d) for (name, d), _ in drawn}

    def _default(self, name: str, distribution: BaseDistribution) -> Value:
        if distribution.single() or name not in self.defaults:
            is_choice = isinstance(distribution, CategoricalDistribution)
            return level(distribution, 0) if is_choice else to_value(distribution, 0.5, "own")
        return self.defaults[name]

    def _plan(self, slots: Sequence["_Slot"], member: int, number: int) -> "_Plan":
        """What a member does next."""
        slot, generator = slots[member], trial_generator(self.seed, number)
        if number < self.members:
            how = "its defaults" if self.start == "defaults" and number == 0 else "random values"
            return _Plan(slot, self._start(member), {}, f"begins with {how}")
        if (source := self._source(slots, member, generator)) is not None:
            return self._copy(slots, member, source, generator)
        if slot.kept is None:
            return self._begin_anew(slot, member, number)
        values = dict(slot.kept.params)
        if not slot.tried:
            if slot.gain is None:
                return _Plan(slot, values, {}, "its first day: goes on as it is")
            gained = f"the last day gained {slot.gain:.4g}"
            if slot.gain >= self.enough:
                return _Plan(slot, values, {}, f"{gained}: goes on as it is")
            why = f"{gained}, less than {self.enough:g}"
        else:
            why = f"trial {slot.kept.number} again"
        for power in range(1, _POWERS + 1):
            nudges = [(n, f**power) for n in self.nudged for f in self.factors]
            nudged = [(n, f, self._nudged(values, {n: f})) for n, f in nudges]
            new = [nudge for nudge in nudged if nudge[2] not in (values, *slot.tried)]
            if new:
                name, factor, chosen = new[int(generator.integers(len(new)))]
                return _Plan(slot, chosen, {name: factor}, f"{why}: {name} x {factor:.4g}")
        return _Plan(slot, values, {}, f"{why}: nothing is left to try")

    def _source(
        self, slots: Sequence["_Slot"], member: int, generator: np.random.Generator
    ) -> int | None:
        """The member that another takes over; None where it goes on with its own."""
        if self.n_replaced == 0:
            return None
        ranked = sorted(range(len(slots)), key=lambda m: (-slots[m].score, m))
        if member not in ranked[-self.n_replaced :]:
            return None
        source = ranked[int(generator.integers(self.n_replaced))]
        return source if slots[source].score > slots[member].score else None

    def _copy(
        self, slots: Sequence["_Slot"], member: int, source: int, generator: np.random.Generator
    ) -> "_Plan":
        slot = _Slot(kept=slots[source].kept)
        assert slot.kept is not None
        nudge = {name: float(generator.choice(self.factors)) for name in self.nudged}
        words = ", ".join(f"{name} x {factor:.4g}" for name, factor in nudge.items())
        reason = (
            f"member {member} is among the worst {self.n_replaced} of {self.members}: goes on from "
            f"trial {slot.kept.number} of member {source}, with {words}"
        )
        values = self._nudged(slot.kept.params, nudge)
        return _Plan(slot, values, nudge, reason, copied=True)

    def _begin_anew(self, slot: "_Slot", member: int, number: int) -> "_Plan":
        """From initial weights, as no day was kept yet."""
        values, factor = self._start(member), min(*self.factors, 0.5) ** len(slot.tried)
        for name in self.nudged[: 0 if slot.lost == AT_CHANCE else 1]:
            chosen = self._nudged(values, {name: factor})
            if chosen not in (values, *slot.tried):
                reason = f"begins anew with {name} x {factor:.4g}"
                return _Plan(slot, chosen, {name: factor}, reason)
        return _Plan(slot, self._start(number), {}, "begins anew with other random values")

    def _nudged(self, values: Mapping[str, Any], nudge: Mapping[str, float]) -> dict[str, Value]:
        """Values, some of them multiplied and kept in their ranges."""
        changed: dict[str, Value] = dict(values)
        for name, factor in nudge.items():
            distribution = self.search_space[name]
            assert isinstance(distribution, FloatDistribution)
            value = min(max(values[name] * factor, distribution.low), distribution.high)
            if distribution.step is not None:
                steps = round((value - distribution.low) / distribution.step)
                value = min(distribution.low + steps * distribution.step, distribution.high)
            changed[name] = value
        return changed


@dataclass(frozen=True)
class _Judged:
    """Whether a day is kept, what it gained (None for a first day), and how it was lost."""

    kept: bool
    gain: float | None
    lost: str = ""


@dataclass
class _Slot:
    """A member: the day it stands at, what that gained, what was tried in vain since, and how."""

    kept: FrozenTrial | None = None
    gain: float | None = None
    tried: list[dict[str, Any]] = field(default_factory=list)
    lost: str = ""
    score: float = -math.inf


@dataclass(frozen=True)
class _Plan:
    """A day: from which state, with which values, and why."""

    slot: _Slot
    values: dict[str, Value]
    nudge: dict[str, float]
    reason: str
    copied: bool = False


def _refuse(argument: str, found: object, accepted: str) -> ValueError:
    return ValueError(f"{argument}: found {show(found)}; accepted: {accepted}")
