"""The main loop: keep the workers busy, ask late, tell in order."""

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait

from hpsuite.executors import Executor
from hpsuite.study import StudyRun
from hpsuite.training import Planner
from hpsuite.trials import TrialResult


def run_studies(
    studies: Sequence[StudyRun],
    planner: Planner,
    executor: Executor,
    *,
    on_told: Callable[[int], None],
) -> None:
    """Train all that the studies are short of.

    Trials of all studies wait in one pool, so that repeats and arms of a setup share batches. No
    more are asked for than keep the workers busy: what is asked for and not told is what an
    interrupted run has to train again.

    Args:
        studies: of all arms.
        planner: where trials wait.
        executor: where batches run.
        on_told: called with the number of trials newly told.
    """
    by_name = {study.name: study for study in studies}
    running: set[Future[list[TrialResult]]] = set()
    while True:
        # One batch more than there are workers: none waits for this process to tell and ask.
        while len(running) <= executor.n_workers and fill(planner, studies):
            if len(running) == executor.n_workers and not planner.has_full_batch():
                break
            running.add(executor.submit(planner.take()))
        if not running:
            return
        done, running = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            told = sum(by_name[result.study].tell(result) for result in future.result())
            on_told(told)


def fill(planner: Planner, studies: Sequence[StudyRun]) -> bool:
    """Ask until some batch is full or nobody can be asked; returns whether any trial waits.

    Studies take turns by the number of their next trial: those that wait for results get them
    early.
    """
    while not planner.has_full_batch():
        askable = [study for study in studies if study.can_ask]
        if not askable:
            break
        planner.add(min(askable, key=lambda study: study.n_asked).ask())
    return len(planner) > 0
