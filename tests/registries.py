"""A registry of samplers in OptunaHub's layout, written for tests."""

from pathlib import Path
from textwrap import dedent

# By file, below package/: two samplers of different make, and what is no sampler.
FILES = {
    # Steps from the best trial so far; its class is in a module of its own.
    "samplers/hill_climb/__init__.py": """
        from .sampler import HillClimbSampler

        __all__ = ["HillClimbSampler"]
        """,
    "samplers/hill_climb/sampler.py": """
        from __future__ import annotations

        import numpy as np
        from optuna.samplers import BaseSampler, RandomSampler
        from optuna.search_space import IntersectionSearchSpace
        from optuna.study import StudyDirection
        from optuna.trial import TrialState

        from optuna._transform import _SearchSpaceTransform


        class HillClimbSampler(BaseSampler):
            def __init__(self, *, width: float = 0.1, n_random: int = 4, seed: int | None = None):
                if width <= 0:
                    raise ValueError(f"width must be more than 0, but found {width}")
                self._width = width
                self._n_random = n_random
                self._rng = np.random.default_rng(seed)
                self._random = RandomSampler(seed=seed)

            def infer_relative_search_space(self, study, trial):
                space = IntersectionSearchSpace().calculate(study)
                return {name: d for name, d in space.items() if not d.single()}

            def sample_relative(self, study, trial, search_space):
                done = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
                if not search_space or len(done) < self._n_random:
                    return {}
                sign = 1 if study.direction == StudyDirection.MAXIMIZE else -1
                best = max(done, key=lambda t: sign * t.value)
                transform = _SearchSpaceTransform(search_space, transform_0_1=True)
                point = transform.transform({name: best.params[name] for name in search_space})
                point += self._rng.normal(scale=self._width, size=len(point))
                return transform.untransform(np.clip(point, 0, 1))

            def sample_independent(self, study, trial, param_name, param_distribution):
                return self._random.sample_independent(
                    study, trial, param_name, param_distribution
                )
        """,
    "samplers/hill_climb/README.md": "---\nauthor: nobody\n---\n",
    "samplers/hill_climb/LICENSE": "MIT\n",
    # On OptunaHub's own base class, told its space; its package has a second sampler.
    "samplers/middle/__init__.py": """
        import numpy as np
        import optunahub
        from optuna.samplers import BaseSampler, RandomSampler


        class MiddleSampler(optunahub.samplers.SimpleBaseSampler):
            def __init__(self, search_space=None, share: float = 0.5, *, seed: int | None = None):
                super().__init__(search_space, seed=seed)
                self._share = share
                self._rng = np.random.default_rng(seed)

            def sample_relative(self, study, trial, search_space):
                return {
                    name: d.low + (d.high - d.low) * (1 - self._share * self._rng.random())
                    for name, d in search_space.items()
                    if hasattr(d, "low") and isinstance(d.low, float)
                }


        class UpperSampler(MiddleSampler):
            pass


        class Abstract(BaseSampler):
            pass


        def function(seed: int) -> None:
            pass


        class NoSampler:
            def __init__(self, seed: int) -> None:
                pass
        """,
    "samplers/unseeded/__init__.py": """
        from optuna.samplers import RandomSampler


        class UnseededSampler(RandomSampler):
            def __init__(self) -> None:
                super().__init__()


        class ForgetfulSampler(RandomSampler):
            def __init__(self, seed: int) -> None:
                super().__init__()


        class FailingSampler(RandomSampler):
            def __init__(self, seed: int) -> None:
                raise KeyError("nothing")


        class SpoilingSampler(RandomSampler):
            def sample_independent(self, study, trial, param_name, param_distribution):
                raise AssertionError("no such luck")
        """,
    "samplers/needy/__init__.py": "import a_module_that_nobody_has\n",
    "samplers/wrong/__init__.py": "def (:\n",
    "samplers/exploding/__init__.py": "raise OSError('boom\\nand more')\n",
    "visualization/no_sampler/__init__.py": "def plot() -> None: ...\n",
}


def write_registry(root: Path) -> Path:
    """Write all of FILES below `root`/package; returns `root`, as a clone of OptunaHub's."""
    for name, text in FILES.items():
        path = root / "package" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"))
    return root
