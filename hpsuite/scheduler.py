"""The main loop: keep the workers busy, ask late, tell in order."""

import heapq
from collections.abc import Callable, Iterable, Sequence

from hpsuite.attempts import Attempts
from hpsuite.executors import Executor
from hpsuite.study import StudyRun
from hpsuite.training import Planner, Pool
from hpsuite.trials import TrialResult

# Where no batch fills, as with a batch size searched over hundreds of values, asking stops at so
# many times the trials that fit into one.
MOST_WAITING_BATCHES = 16


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

    Raises:
        WorkerLost: all that was tried is lost, and was from the start.
        UserError: a study that another process changes at the same time.
    """
    turns, pool = Turns(studies), Pool(planner)
    is_sound = any(study.n_told for study in studies)
    running = Attempts(executor, planner.datasets, is_sound=is_sound)
    while True:
        # One batch more than there are workers: none waits for this process to tell and ask.
        # What is done is told before more is asked for.
        while (
            len(running) <= executor.n_workers
            and not running.any_done()
            and not running.is_doubtful
        ):
            turns.fill(pool)
            if not len(pool) or (len(running) == executor.n_workers and not pool.has_full_batch()):
                break
            # Where none fills, nothing more comes until some batch is told.
            idle = planner.n_workers - len(running)
            running.submit(pool.take(None if pool.has_full_batch() else idle))
        if not len(running):
            return
        for results in running.wait():
            on_told(turns.tell(results))


class Turns:
    """The studies, and whose turn it is to be asked.

    They take turns by the number of their next trial: those that wait for results get them early.
    """

    def __init__(self, studies: Iterable[StudyRun]) -> None:
        """No study waits for results yet."""
        self._studies = list(studies)
        self._index = {study.name: i for i, study in enumerate(self._studies)}
        assert len(self._index) == len(self._studies), "two studies of one name"
        # Those that can be asked, by the number of their next trial.
        self._askable: list[tuple[int, int]] = []
        for i in self._index.values():
            self._line_up(i)

    def _line_up(self, i: int) -> None:
        if self._studies[i].can_ask:
            heapq.heappush(self._askable, (self._studies[i].n_asked, i))

    def fill(self, pool: Pool) -> None:
        """Ask until some batch is full, enough trials wait, or nobody can be asked."""
        while self._askable and not pool.has_full_batch():
            _, i = heapq.heappop(self._askable)
            study = self._studies[i]
            asked = study.ask_cohort() if study.in_cohorts else study.ask()
            pool.add(asked)
            self._line_up(i)
            if len(pool) >= MOST_WAITING_BATCHES * pool.most_at_once(asked):
                return

    def tell(self, results: Iterable[TrialResult]) -> int:
        """Tell results to their studies; returns how many trials were told in order."""
        told = 0
        for result in results:
            i = self._index[result.study]
            was_askable = self._studies[i].can_ask
            told += self._studies[i].tell(result)
            if not was_askable:
                self._line_up(i)
        return told
