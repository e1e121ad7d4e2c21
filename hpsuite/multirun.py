"""`-m`: several experiments in one go, all checked before the first of them is run."""

import re
import sys

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from hpsuite.analyze import asks_for_analysis, parse_analysis
from hpsuite.arms import plan_arms
from hpsuite.checks import UserError
from hpsuite.compose import composed, crossed
from hpsuite.experiment import find_device
from hpsuite.explain import explain
from hpsuite.on_ray.cluster import check_ray
from hpsuite.overrides import folders, without_backslashes
from hpsuite.sync import asks_for_sync, parse_sync
from hpsuite.texts import without_password

# Passwords and tokens that an address takes from the environment, and the users before them.
_FROM_ELSEWHERE = re.compile(r"(?<=//)([^/@:]*:)?\$\{[^{}]*\}@|[?&]\w+=\$\{[^{}]*\}(?=[&'\"\s]|$)")


class CheckFirst(Callback):
    """Checks every experiment of `-m` before Hydra writes its folder and starts the first."""

    def on_multirun_start(self, config: DictConfig, **kwargs: object) -> None:
        """Leave with status 2 where an experiment has a mistake."""
        overrides, hydras = (
            [str(text) for text in OmegaConf.to_container(node) or ()]
            for node in (config.hydra.overrides.task, config.hydra.overrides.hydra)
        )
        name = str(config.hydra.job.config_name)
        try:
            for job in _jobs(overrides):
                asked = composed([*job, *folders(hydras)], name)
                _check_passwords(job)
                if asks_for_analysis(asked.config):
                    parse_analysis(asked.config, asked.overridden)
                    continue
                if asks_for_sync(asked.config):
                    parse_sync(asked)
                    continue
                settings, arms = crossed(asked)
                check_ray(settings.executor, find_device(settings.device))
                plan_arms(arms)
        except UserError as error:
            print(f"hpsuite: {error}", file=sys.stderr)
            raise SystemExit(2) from error  # Hydra makes a warning of anything less
        except HydraException as error:
            print(f"hpsuite: {UserError(explain(error, [], name))}", file=sys.stderr)
            raise SystemExit(2) from error


def _jobs(overrides: list[str]) -> list[list[str]]:
    """The overrides of each job, as Hydra's own sweeper makes them."""
    parser = OverridesParser.create(config_loader=GlobalHydra.instance().config_loader())
    (jobs,) = BasicSweeper.split_arguments(parser.parse_overrides(overrides), None)
    return [[text for text in job if not text.startswith("hydra.")] for job in jobs]


def _check_passwords(job: list[str]) -> None:
    """Hydra writes what was typed to a file, multirun.yaml.

    Raises:
        UserError: a password that was typed.
    """
    for text in job:
        # Hydra's sweeper puts a backslash before signs.
        typed = _FROM_ELSEWHERE.sub("", without_backslashes(text))
        if without_password(typed) != typed:
            raise UserError(
                f"{text.partition('=')[0]}: found a password, which -m would write to a file; "
                "accepted: one in the environment, as PGPASSWORD or ${oc.env:NAME}, or in ~/.pgpass"
            )
