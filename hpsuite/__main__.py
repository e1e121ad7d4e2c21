"""`python -m hpsuite +experiment=NAME [key=value ...]`: the whole interface.

Exit status: 0 done, 2 a mistake in what was asked (nothing was written; or another run works on
the same study), 130 interrupted, 143 by SIGTERM or 129 by SIGHUP (the same command continues), 1
anything else, such as workers that cannot be started, or a full disk.
"""

import contextlib
import io
import os
import shlex
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

    from hydra._internal.hydra import Hydra


class Interrupted(KeyboardInterrupt):
    """A signal that asks for the end.

    Attributes:
        status: with which the process is to end.
    """

    def __init__(self, number: int) -> None:
        """Of a signal's number."""
        super().__init__()
        self.status = 128 + number


@contextlib.contextmanager
def _interrupted_once() -> Iterator[None]:
    """Let an interrupt or SIGTERM end what is done here; another one then ends the process at once.

    One that is ignored, as in a job behind a shell, stays so.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    kinds = [signal.SIGINT, signal.SIGTERM]
    if sys.platform != "win32":
        kinds.append(signal.SIGHUP)  # of a terminal that is gone
    before = {kind: signal.getsignal(kind) for kind in kinds}

    def interrupt(number: int, _: object) -> None:
        for kind in kinds:
            signal.signal(kind, signal.SIG_DFL)
        raise Interrupted(number)

    for kind, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(kind, interrupt)
    try:
        yield
    finally:
        for kind, handler in before.items():
            if handler is not None:
                signal.signal(kind, handler)


def main() -> None:
    """Compose what the command line asks for, and run it; ends the process with its status."""
    # Hydra then raises its errors instead of printing them and leaving with status 1.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    import hydra
    from hydra.core.hydra_config import HydraConfig
    from omegaconf import DictConfig, OmegaConf

    from hpsuite.checks import UserError
    from hpsuite.overrides import config_dir, folders, into_matrix
    from hpsuite.troubles import JobEnded

    statuses: list[int] = []
    flags: list[str] = []
    here = os.getpid()

    @hydra.main(version_base="1.3", config_path=str(config_dir()), config_name="config")
    def task(_: DictConfig) -> None:
        statuses.append(1)
        asked = HydraConfig.get()
        # Not resolved: each is what was typed.
        task, hydras = (
            [str(text) for text in OmegaConf.to_container(node) or ()]
            for node in (asked.overrides.task, asked.overrides.hydra)
        )
        overrides = [*task, *folders(hydras)]
        try:
            statuses[-1] = run(overrides, str(asked.job.config_name), flags)
        except SystemExit as end:
            text = f"code of your own ended the process, with status {end.code}"
            statuses[-1] = _complain(text, status=1)
        if statuses[-1] and os.getpid() != here:  # where a launcher of Hydra's started it
            raise JobEnded(statuses[-1])

    sys.argv[1:] = into_matrix([*sys.argv[1:], *_folder_to_complete(sys.argv[1:])])
    try:
        with _interrupted_once():
            _check_flags()
            flags += _flags()
            if not _completes(sys.argv[1:]):  # which composes nothing
                _check_folders()
            task()
    except UserError as error:
        sys.exit(_complain(error))
    except JobEnded as error:
        sys.exit(_complain(error, error.status))
    except KeyboardInterrupt as error:
        print("interrupted: what was told is in the record; the same command continues it")
        sys.exit(error.status if isinstance(error, Interrupted) else 130)
    except Exception as error:
        if statuses:  # not a mistake in what was asked: our own, or the machine's
            raise
        sys.exit(_complain(_explained(error)))
    sys.exit(max(statuses, default=0))


def run(overrides: Sequence[str], config_name: str = "config", flags: Sequence[str] = ()) -> int:
    """Run one experiment, asked for with these flags before all else; returns the exit status."""
    from hpsuite.analyze import asks_for_analysis, parse_analysis, run_analysis
    from hpsuite.checks import UserError
    from hpsuite.compose import composed, crossed
    from hpsuite.experiment import run_experiment
    from hpsuite.losses import WorkerLost
    from hpsuite.sync import asks_for_sync, parse_sync, run_sync
    from hpsuite.troubles import trouble

    try:
        asked, command = composed(overrides, config_name), _command(flags, overrides)
        if asks_for_analysis(asked.config):
            run_analysis(*parse_analysis(asked.config, asked.overridden), command)
        elif asks_for_sync(asked.config):
            return 0 if run_sync(parse_sync(asked)) else 1
        else:
            run_experiment(*crossed(asked), command)
    except UserError as error:
        return _complain(error)
    except WorkerLost as error:
        return _complain(error, status=1)
    except Exception as error:
        if line := trouble(error):
            if isinstance(error, BrokenPipeError):  # nor does anybody read what Python has left
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return _complain(line, status=1)
        raise
    return 0


def _command(flags: Sequence[str], overrides: Sequence[str]) -> str:
    """What was typed, as it can be typed again, but for passwords."""
    from hpsuite.compose import unescaped
    from hpsuite.overrides import as_typed
    from hpsuite.texts import without_password

    typed = [unescaped(as_typed(override)) for override in overrides]
    # It will stand in reports, which are passed on.
    return without_password(shlex.join(["python", "-m", "hpsuite", *flags, *typed]))


def _flags() -> list[str]:
    """Of Hydra's flags those that say where options and experiments are."""
    from hydra._internal.utils import get_args_parser

    asked = get_args_parser().parse_args(sys.argv[1:])
    given = (("--config-dir", asked.config_dir), ("--config-name", asked.config_name))
    return [part for flag, value in given if value for part in (flag, value)]


def _completes(arguments: Sequence[str]) -> bool:
    """Whether the shell asks how a line could go on."""
    return bool({"-sc", "--shell-completion"}.intersection(arguments))


def _folder_to_complete(arguments: Sequence[str]) -> list[str]:
    """While the tab key completes a line with --config-dir, that flag: its options are offered too.

    Hydra by itself offers only those of the program's own folder.
    """
    if not _completes(arguments):
        return []
    words = os.environ.get("COMP_LINE", "").replace("=", " ").split()
    flags = ("--config-dir", "-cd")
    folder = next((words[i + 1] for i, word in enumerate(words[:-1]) if word in flags), "")
    return ["--config-dir", folder] if folder and Path(folder).is_dir() else []


def _complain(error: object, status: int = 2) -> int:
    from hpsuite.texts import without_password

    print(f"hpsuite: {without_password(str(error))}", file=sys.stderr)
    return status


def _check_flags() -> None:
    """Refuse what Hydra's own flags cannot be, in one line."""
    from hydra._internal.utils import get_args_parser

    from hpsuite.checks import UserError, refuse

    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            arguments = get_args_parser().parse_args()
    except SystemExit as error:
        if error.code:
            accepted = "flags of --hydra-help, such as -m, before or after all of key=value"
            reason = said.getvalue().strip().rpartition("error: ")[2]
            raise UserError(f"{reason}; accepted: {accepted}") from error
        return  # --version: Hydra answers it
    if arguments.config_dir is not None and not Path(arguments.config_dir).is_dir():
        raise refuse("--config-dir", arguments.config_dir, "a folder")


def _check_folders() -> None:
    """Check what Hydra would build by itself where others than hpsuite say what that is.

    Raises:
        UserError: something that is not known.
    """
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from hpsuite.hydra_targets import check_hydra

    with _hydra() as (hydra, arguments):
        elsewhere = (arguments.config_dir, arguments.config_path)
        if not any(elsewhere) and not any("hydra.searchpath" in o for o in arguments.overrides):
            return
        config = hydra.config_loader.load_configuration(
            config_name=arguments.config_name or "config",
            overrides=arguments.overrides,
            run_mode=RunMode.MULTIRUN,
            validate_sweep_overrides=False,
        )
        packages = OmegaConf.select(config, "packages") or ()
        plain = OmegaConf.to_container(config.hydra, resolve=False)
    check_hydra(plain, [str(package) for package in packages])


def _explained(error: Exception) -> str:
    """An error of Hydra's in one line. Hydra has ended by now, so it is started once more."""
    from hpsuite.checks import UserError
    from hpsuite.explain import check_choices, explain

    with _hydra() as (_, arguments):
        try:
            check_choices(arguments.overrides)
            line = explain(error, arguments.overrides, arguments.config_name or "config")
            return str(UserError(line))
        except UserError as found:
            return str(found)


@contextlib.contextmanager
def _hydra() -> Iterator[tuple["Hydra", "argparse.Namespace"]]:
    """Hydra, as the command line starts it, beside what that says."""
    from hydra._internal.hydra import Hydra
    from hydra._internal.utils import create_config_search_path, get_args_parser
    from hydra.core.config_search_path import SearchPathQuery
    from hydra.core.global_hydra import GlobalHydra

    from hpsuite.overrides import config_dir

    arguments = get_args_parser().parse_args()
    search_path = create_config_search_path(str(config_dir()))
    if arguments.config_dir is not None:
        folder = f"file://{Path(arguments.config_dir).absolute()}"
        search_path.prepend("command-line", folder, SearchPathQuery(provider="schema"))
    GlobalHydra.instance().clear()
    try:
        yield (
            Hydra.create_main_hydra2(task_name="hpsuite", config_search_path=search_path),
            arguments,
        )
    finally:
        GlobalHydra.instance().clear()


if __name__ == "__main__":
    main()
