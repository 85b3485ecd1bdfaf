"""How often a cache of answers can help in an outage, and how often what it gives is out of date.

Callers ask questions of which some are asked more often than others (Zipf: the n-th most frequent in proportion to
1/n^skew). While the service is well each answer is kept; in the outage a caller gets the last answer to the same
question, if it is not too old (`stale-if-error`, RFC 5861). What is true changes meanwhile.
"""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import pandas as pd

RATE: Final = 9.0  # requests/s
BEFORE: Final = 14_400.0  # s for the cache to fill
OUTAGE: Final = 600.0  # s
LIMITS: Final = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14_400.0)  # s

Ages = np.ndarray[Any, np.dtype[np.float64]]


def stale_answers(
    limits: Iterable[float] = LIMITS,
    *,
    questions: int = 20_000,
    skew: float = 1.0,
    changes: float = 3600.0,
    outage: float = OUTAGE,
    seed: int = 0,
) -> pd.DataFrame:
    """What callers get from the cache in an outage, one row for each of the `limits`: the oldest answer accepted, in s.

    Columns: `oldest`, the limit; `served`, the share of callers who get an answer; `outdated`, the share of callers who
    get one that is no longer true, as expected where the truth about each question changes at random, on average every
    `changes` seconds; `age` (s), the median of what is given, NaN if nothing is.

    questions: how many different ones there are, at least 1. skew: of Zipf's law, at least 0; at 0 all are asked alike.
    outage: s. Four hours of 9 requests/s go before it, all answered.
    """
    ages = _ages(questions, skew, outage, seed)
    rows = [_row(ages, limit, changes) for limit in limits]
    return pd.DataFrame(rows, columns=["oldest", "served", "outdated", "age"])


def _ages(questions: int, skew: float, outage: float, seed: int) -> Ages:
    """For each caller in the outage the age of the last answer to the question (s); infinite if there is none."""
    draw = np.random.default_rng(seed)
    time = np.sort(draw.uniform(0.0, BEFORE + outage, round(RATE * (BEFORE + outage))))
    weights = np.arange(1, questions + 1, dtype=float) ** -skew
    question = draw.choice(questions, len(time), p=weights / weights.sum())
    answered = time < BEFORE
    last = np.full(questions, -np.inf)
    np.maximum.at(last, question[answered], time[answered])
    ages: Ages = time[~answered] - last[question[~answered]]
    return ages


def _row(ages: Ages, limit: float, changes: float) -> tuple[float, float, float, float]:
    given = ages[ages <= limit]
    changed = float(np.sum(1.0 - np.exp(-given / changes)))
    return limit, len(given) / len(ages), changed / len(ages), float(np.median(given)) if len(given) else np.nan
