"""What was run in a folder before: the commands in its summaries, read as data.

A summary may come from somebody else. Its command is taken apart, never given to a shell; what it
may set, and whose code it may run, is checked (see `asked_again`).
"""

import json
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpsuite.checks import UserError, refuse
from hpsuite.overrides import as_override

SUMMARY = "summary.json"
_MADE = re.compile(r"(?P<time>\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d)(-(?P<n>\d+))?")
_FLAGS = ("--config-dir", "--config-name")
# What `without_password` leaves in an address.
_HIDDEN = "***"


@dataclass(frozen=True)
class Earlier:
    """A run that left a summary.

    Attributes:
        experiment: its name.
        folder: of its files.
        summary: what it left; empty where that cannot be read.
    """

    experiment: str
    folder: Path
    summary: Mapping[str, object]

    @property
    def command(self) -> str:
        """What was typed, without passwords; empty where that is unknown."""
        command = self.summary.get("command")
        return command if isinstance(command, str) else ""


def experiments_in(output_dir: Path) -> list[str]:
    """The experiments that left a summary in a folder, in alphabetical order."""
    return sorted({path.parent.parent.name for path in output_dir.glob(f"*/*/{SUMMARY}")})


def earlier_runs(output_dir: Path, experiment: str) -> list[Earlier]:
    """The newest run of each command of an experiment, the newest first."""
    found = [
        (made["time"], int(made["n"] or 1), path.parent)
        for path in (output_dir / experiment).glob(f"*/{SUMMARY}")
        if (made := _MADE.fullmatch(path.parent.name))
    ]
    newest: dict[str, Earlier] = {}
    for _, _, folder in sorted(found, reverse=True):
        run = Earlier(experiment, folder, _read(folder / SUMMARY))
        newest.setdefault(run.command, run)
    return list(newest.values())


def _read(path: Path) -> Mapping[str, object]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Asked:
    """A command, taken apart.

    Attributes:
        overrides: of any key.
        config_name: of the file that holds the defaults.
    """

    overrides: tuple[str, ...]
    config_name: str = "config"


def asked_again(run: Earlier, given: Sequence[str], packages: Sequence[str]) -> Asked:
    """What a run was asked, to be composed again.

    Args:
        run: with its command.
        given: overrides of now, which go over its own.
        packages: whose code may be run; a summary's own word for that is no user's.

    Raises:
        UserError: no command of hpsuite's, or one whose passwords are needed.
    """
    if not run.summary:
        raise UserError(f"{run.folder / SUMMARY} cannot be read")
    if not run.command:
        raise UserError(f"{run.folder / SUMMARY} does not say what was typed")
    wanted = f"the command of a run of hpsuite's, in {run.folder / SUMMARY}"
    try:
        words = shlex.split(run.command)
    except ValueError as error:
        raise refuse("command", run.command, wanted) from error
    if words[:3] != ["python", "-m", "hpsuite"]:
        raise refuse("command", run.command, wanted)
    flags, overrides = {}, words[3:]
    while overrides and overrides[0] in _FLAGS and len(overrides) > 1:
        flags[overrides[0]] = overrides[1]
        overrides = overrides[2:]
    # Hydra's own keys reach its plug-ins, and stand in no summary that hpsuite wrote.
    if any(re.match(r"-|[+~]*hydra\b", text) for text in overrides):
        raise refuse("command", run.command, wanted)
    _check_values(run, overrides, given)
    more = [*_without_passwords(overrides, given), *given, f"packages={as_override([*packages])}"]
    if "--config-dir" in flags:
        folder = Path(flags["--config-dir"]).absolute()
        if not folder.is_dir():
            raise refuse("--config-dir", flags["--config-dir"], "a folder")
        more.append(f"hydra.searchpath={as_override([f'file://{folder}'])}")
    return Asked((*overrides, *more), flags.get("--config-name", "config"))


def _check_values(run: Earlier, overrides: Sequence[str], given: Sequence[str]) -> None:
    """Refuse what stands for something else: it may be a secret of this machine's."""
    keys = {text.partition("=")[0] for text in given}
    for key, _, value in (text.partition("=") for text in overrides):
        if "${" in value and key not in keys:
            raise UserError(
                f"{key}: found ${{...}} in {run.folder / SUMMARY}; accepted: {key}= as it was given"
            )


def _without_passwords(overrides: Sequence[str], given: Sequence[str]) -> Iterator[str]:
    """Overrides in place of those whose passwords were not kept.

    Raises:
        UserError: one that nothing is given for.
    """
    keys = {text.partition("=")[0] for text in given}
    for text in overrides:
        key = text.partition("=")[0]
        if _HIDDEN not in text or key in keys:
            continue
        if key == "tracking.uri" and os.environ.get("MLFLOW_TRACKING_URI"):
            yield "tracking.uri=null"
            continue
        raise UserError(f"{key}: its password is in no summary; accepted: {key}= with it")
