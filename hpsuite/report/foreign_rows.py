"""The trials that were read elsewhere as a table, as they were understood."""

from collections.abc import Iterator, Sequence

from hpsuite.foreign import Foreign

# The columns of a table of trials, before and after those of hyperparameters.
_BEFORE = ("group", "number")
_AFTER = ("score", "test_score", "failed")


def trial_rows(trials: Foreign) -> Iterator[list[object]]:
    """All trials as they were understood, the first row being the header."""
    names = list(dict.fromkeys(n for s in trials.samples for n in s.names))
    yield [*_BEFORE, *_headers(names), *_AFTER]
    for sample in trials.samples:
        sign = 1.0 if sample.higher_is_better else -1.0
        for i, values in enumerate(sample.values):
            test = "" if sample.tests is None else sign * float(sample.tests[i])
            own = [values.get(name, "") for name in names]
            score, failed = sign * float(sample.scores[i]), bool(sample.failed[i])
            number = sample.numbers[i] if sample.numbers else i
            yield [sample.name, number, *own, score, test, failed]


def _headers(names: Sequence[str]) -> list[str]:
    """The columns of hyperparameters, each once: `params.score` for one that is called `score`."""
    taken = {*_BEFORE, *_AFTER, *names}
    headers = []
    for name in names:
        header = name
        if name in (*_BEFORE, *_AFTER):
            while header in taken:
                header = f"params.{header}"
            taken.add(header)
        headers.append(header)
    return headers
