"""`python -m hpsuite +experiment=NAME [key=value ...]`: the whole interface.

Exit status: 0 done, 2 a mistake in what was asked (nothing was written), 130 interrupted (the same
command continues), 1 anything else.
"""

import os
import sys
from collections.abc import Sequence


def main() -> None:
    """Compose what the command line asks for, and run it."""
    # Hydra then raises its errors instead of printing them and leaving with status 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.errors import HydraException
    from omegaconf import DictConfig
    from omegaconf.errors import OmegaConfBaseException

    from hpsuite.checks import UserError
    from hpsuite.compose import config_dir, explain

    statuses: list[int] = []

    @hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="config")
    def task(_: DictConfig) -> None:
        statuses.append(run(HydraConfig.get().overrides.task))

    try:
        task()
    except UserError as error:
        sys.exit(_complain(error))
    except (HydraException, OmegaConfBaseException) as error:
        sys.exit(_complain(explain(error)))
    sys.exit(max(statuses, default=0))


def run(overrides: Sequence[str]) -> int:
    """Run one experiment; returns the exit status."""
    from hpsuite.checks import UserError
    from hpsuite.compose import compose_experiment
    from hpsuite.experiment import run_experiment

    try:
        settings, arms = compose_experiment(overrides)
        run_experiment(settings, arms)
    except UserError as error:
        return _complain(error)
    except KeyboardInterrupt:
        print("interrupted: what was told is in the record; the same command continues it")
        return 130
    return 0


def _complain(error: object) -> int:
    print(f"hpsuite: {error}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    main()
