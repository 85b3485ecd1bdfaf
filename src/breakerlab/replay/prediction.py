"""`predict`: what a recording will show, as a band that all quantities together keep to.

The band is a split conformal one. The first half of the replicates gives the shape: for each quantity its median and
how far the replicates reach below and above it. Then one factor stretches or shrinks the whole shape, the smallest one
with which the wanted share of the second half lies inside, in every quantity. Since the second half and a recording are
drawn alike if the simulator is right, the recording lies inside with at least `confidence`, whatever the law, however
many quantities there are and however they hang together (Vovk, Gammerman and Shafer, "Algorithmic Learning in a Random
World", 2005; Lei et al., "Distribution-free predictive inference for regression", JASA 2018; the shape with its two
sides is that of directional quantile envelopes, Myllymäki et al., "Global envelope tests for spatial processes", JRSS B
2017). Envelopes from ranks alone, as in the last, need thousands of replicates for a hundred quantities.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from breakerlab.policy import Policy
from breakerlab.replay.distribution import Empirical
from breakerlab.replay.errors import ReplayError
from breakerlab.replay.replicates import Progress, seed_list, side_by_side
from breakerlab.replay.run import replay
from breakerlab.replay.scenario import Scenario
from breakerlab.trace import Trace
from breakerlab.trace.facts import recorded_parameter

Floats = NDArray[np.float64]
Quantities = Callable[[Trace], Mapping[str, float]]

COURSE = ("status_503", "attempts", "pool", "other_timeouts", "other_failed")
LEAST_REACH = 0.5  # of a count that did not vary on one side: to differ by 1 is twice as far as the replicates reach

_BIN = 5.0  # s
_ROUNDING = 1e-9
_CLEAR = 0.03  # s


class Outside(NamedTuple):
    """A quantity that was not as predicted: its value, and the band it should have been in."""

    quantity: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Forecast:
    """A band for each quantity; with probability `confidence` a run keeps to all of them.

    table: one row per quantity: `quantity`, `low`, `mean` (of the replicates), `high` and `width` (high minus low); the
    ends belong to the band. quantities: the function that was given to `predict`. seeds: how many replicates. name: of
    the scenario. factor: by which the reach of the first half of the replicates was multiplied.
    """

    table: pd.DataFrame
    quantities: Quantities
    confidence: float
    seeds: int
    name: str
    factor: float

    def judge(self, trace: Trace) -> pd.DataFrame:
        """`table` with two more columns: `recorded`, what `trace` shows, and `inside`.

        A quantity that only one of the two names is 0 for the other; NaN is never inside.
        """
        found = self.quantities(trace)
        judged = self.table.set_index("quantity")
        unforeseen = [name for name in found if name not in judged.index]
        judged = pd.concat([judged, pd.DataFrame(0.0, pd.Index(unforeseen), judged.columns)]) if unforeseen else judged
        judged["recorded"] = [float(found.get(name, 0.0)) for name in judged.index]
        judged["inside"] = (judged["recorded"] >= judged["low"]) & (judged["recorded"] <= judged["high"])
        return judged.rename_axis("quantity").reset_index()

    def holds(self, trace: Trace) -> bool:
        """Whether `trace` keeps to the band in every quantity."""
        return bool(self.judge(trace)["inside"].all())

    def outside(self, trace: Trace) -> list[Outside]:
        """The quantities in which `trace` leaves the band."""
        judged = self.judge(trace)
        return [
            Outside(row.quantity, row.recorded, row.low, row.high) for row in judged[~judged["inside"]].itertuples()
        ]

    def __repr__(self) -> str:
        shown = self.table.round(2).to_string(index=False, max_rows=40)
        return (
            f"Forecast for {self.name!r} from {self.seeds} replicates: all {len(self.table)} quantities together "
            f"hold at {self.confidence:.4g}\n{shown}"
        )


def predict(
    scenario: Scenario,
    policy: Policy | Sequence[Policy],
    quantities: Quantities,
    *,
    seeds: int | Sequence[int] = 400,
    confidence: float = 0.95,
    progress: Progress | None = None,
) -> Forecast:
    """A simultaneous band for what `quantities` tells of a run, from replays at many seeds.

    The callers are those of the scenario; the seeds vary what differs from one recording to the next, the jitter and
    the seconds on the way (`Service.network`). If neither is there, all replicates are one, and the band has no width.

    quantities: a function from a trace to numbers by name, as `counts` and `course`; it is called on replays and, when
    the prediction is judged, on a recording. A quantity that a replicate does not name is 0 there. seeds: how many (0,
    1, ...), or which; half of them, at least 19 at 95 %, set the band's width. With a hundred counts that hardly vary,
    take 1000: what no replicate of the first half showed is twice out of its reach, and 400 leave so much unseen that
    the factor is 2 now and then, and the whole band twice as wide. confidence: above 0 and below 1.
    progress: called as progress(done, all) after every replay.

    A quantity that was a whole number in every replicate is a count: its band is widened outwards to whole numbers,
    where replicates lie on that side of the median at all; where none do, the band ends at the median, or whole units
    beyond it if the factor asks for that. So a count that never varied is predicted exactly.

    Raises ValueError for too few seeds or a quantity that is not finite in some replicate, and ReplayError for a run
    that was stopped at a limit.
    """
    if isinstance(confidence, bool) or not isinstance(confidence, int | float) or not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence must be a number above 0 and below 1, not {confidence!r}")
    listed = seed_list(seeds, least=_fewest(confidence), why=f" for a band that holds at {confidence:.4g}")

    layers: Any = policy

    def play(seed: int) -> dict[str, float]:
        run = replay(scenario, layers, seed)
        if run.cut_off:
            raise ReplayError(f"seed {seed}: {run.cut_off}")
        return _finite(quantities(run.trace), seed)

    found = pd.DataFrame(side_by_side(play, listed, progress)).fillna(0.0)
    if found.empty:
        raise ValueError("quantities must give at least one number by name, and gave none")
    low, high, factor = simultaneous_band(found.to_numpy(np.float64), confidence)
    table = {"quantity": list(found), "low": low, "mean": found.mean().to_numpy(), "high": high, "width": high - low}
    return Forecast(pd.DataFrame(table), quantities, confidence, len(listed), scenario.name, factor)


def _fewest(confidence: float) -> int:
    """Replicates without which no band holds: one in the second half may have to be its outermost."""
    return 2 * math.ceil(confidence / (1.0 - confidence) - _ROUNDING)


def _finite(quantities: Mapping[str, float], seed: int) -> dict[str, float]:
    for name, value in quantities.items():
        if not math.isfinite(value):
            raise ValueError(f"quantities: {name!r} is {value!r} at seed {seed}; give a number for what is undefined")
    return {str(name): float(value) for name, value in quantities.items()}


def simultaneous_band(replicates: Floats, confidence: float) -> tuple[Floats, Floats, float]:
    """The lower and the upper end for each quantity, and the factor; see the top of this module and `predict`.

    replicates: finite numbers, shape (replicates, quantities), drawn independently from one law. A further draw from it
    lies between the ends, in every quantity, with at least `confidence`; where m replicates are in the second half and
    all quantities are continuous, with exactly ⌈(m + 1) confidence⌉/(m + 1), on average over replicates.
    """
    half = len(replicates) // 2
    shape, rest = replicates[:half], replicates[half:]
    whole = (replicates == np.rint(replicates)).all(axis=0)
    middle = np.median(shape, axis=0)
    middle = np.where(whole, np.floor(middle), middle)
    below, above = middle - shape.min(axis=0), shape.max(axis=0) - middle
    scores = np.maximum(_score(middle - rest, below, whole), _score(rest - middle, above, whole)).max(axis=1)
    factor = float(np.sort(scores)[math.ceil((len(rest) + 1) * confidence - _ROUNDING) - 1])
    return middle - _stretched(below, whole, factor), middle + _stretched(above, whole, factor), factor


def _score(deviation: Floats, reach: Floats, whole: NDArray[np.bool_]) -> Floats:
    """How many times as far as the first half of the replicates each of these lies from the median, on one side."""
    unit = np.where(reach > 0.0, reach, np.where(whole, LEAST_REACH, 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(deviation > 0.0, deviation / unit, 0.0)


def _stretched(reach: Floats, whole: NDArray[np.bool_], factor: float) -> Floats:
    """How far the band goes to one side of the median."""
    if math.isinf(factor):
        return np.full_like(reach, math.inf)
    outwards = np.where(reach > 0.0, np.ceil(factor * reach - _ROUNDING), np.floor(factor * LEAST_REACH))
    return np.where(whole, outwards, factor * reach)


def counts(trace: Trace) -> dict[str, float]:
    """The whole of a run or a recording in four counts, for `predict`.

    attempts: sent to the service. status_503: those it refused. answered: requests whose caller had an answer while it
    still waited. restarts: of the app.
    """
    timeline = trace.timeline(_BIN)
    sums = {"attempts": "attempts", "status_503": "status_503", "answered": "goodput"}
    return {**{name: _total(timeline[column]) for name, column in sums.items()}, "restarts": _restarts(trace)}


def course(trace: Trace, bin: float = _BIN) -> dict[str, float]:
    """What happened when, for `predict`: per `bin` seconds from second 0, and `attempts` and `restarts` in all.

    For each bin, named as in "pool at 35 s" after its left edge: status_503 (answers of the service), attempts (sent to
    it), other_timeouts and other_failed (requests for the endpoints that never use it), all of them counts, and pool,
    the most workers in use at a sample, 0 where there was none because the app was down. Where the trace tells its
    `duration`, bins from there on are left out, since work that is left over then has no fixed number of bins.

    Raises ValueError if `bin` is not a number of seconds above 0.
    """
    timeline = trace.timeline(bin)
    numbers = np.rint(timeline[list(COURSE)] * bin).assign(pool=timeline["pool"].fillna(0.0))
    duration = recorded_parameter(trace.source.facts, "duration")
    if isinstance(duration, int | float):
        numbers = numbers[numbers.index < duration - _ROUNDING]
    told = {f"{name} at {left:g} s": float(n) for name in COURSE for left, n in numbers[name].items()}
    return {**told, "attempts": _total(timeline["attempts"], bin), "restarts": _restarts(trace)}


def _total(rates: pd.Series, bin: float = _BIN) -> float:
    return float(round(rates.sum() * bin))


def _restarts(trace: Trace) -> float:
    events = trace.events
    return float(((events["kind"] == "restart") & (events["value"] == 1)).sum())


def seconds_to_service(trace: Trace) -> Floats:
    """What attempts of a recording took beyond the service's own time (s, at least 0), in order of time.

    The recording's own scenario and policy are replayed, with nothing on the way, and the attempts that were `ok` in
    both are paired by request and attempt: logged latency minus replayed latency, 0 where that is negative. Way and way
    back, the client's and the server's own work are all in it. Left out are attempts near whose start another one began
    or ended, since then nobody can say how many the service had in hand, which changes its own time.

    Raises ValueError if the recording has no policy in its header, and ScenarioError as `Scenario.from_trace`; both
    also where no attempt can be paired.
    """
    policy = trace.source.facts.get("policy")
    if not isinstance(policy, Mapping):
        raise ValueError(f"{trace.source.name}: the header names no policy, so the recording cannot be replayed")
    replayed = replay(Scenario.from_trace(trace), Policy.from_dict(policy)).trace
    logged = _answered(trace)
    pairs = logged[_is_clear(logged)].join(_answered(replayed)["latency"].rename("replayed"), how="inner")
    if pairs.empty:
        raise ValueError(f"{trace.source.name}: no attempt on service 'llm' was ok both in it and in its replay")
    pairs = pairs.sort_values("time")
    beyond: Floats = (pairs["latency"] - pairs["replayed"]).to_numpy(np.float64)
    return np.maximum(beyond, 0.0)


def _is_clear(attempts: pd.DataFrame) -> NDArray[np.bool_]:
    """Of which attempts no other one began or ended within `_CLEAR` seconds of the start."""
    start = attempts["time"].to_numpy()
    moments = np.sort(np.concatenate((start, start + attempts["latency"].to_numpy())))
    near = np.searchsorted(moments, start + _CLEAR, "right") - np.searchsorted(moments, start - _CLEAR, "left")
    clear: NDArray[np.bool_] = near == 1
    return clear


def seconds_to_app(trace: Trace) -> Floats:
    """What requests of a recording took from when they were due until the app began to work on them (s, at least 0).

    Measured from the request to its first attempt on the service; take a recording in which a worker was always free.
    Raises ValueError where no request has an attempt.
    """
    attempts = trace.attempts
    first = attempts[attempts["attempt"] == 1].set_index("request")
    due, begun = (first.loc[first["service"] == service, "time"] for service in ("app", "llm"))
    seconds: Floats = (begun - due).dropna().to_numpy(np.float64)
    if not len(seconds):
        raise ValueError(f"{trace.source.name}: no request on service 'app' has an attempt on service 'llm'")
    return np.maximum(seconds, 0.0)


def seconds_to_caller(trace: Trace) -> Floats:
    """What answers of a recording took from the end of their last attempt on the service until the caller had them (s).

    Raises ValueError where no request was `ok` on both services.
    """
    attempts = trace.attempts
    ok = attempts[attempts["outcome"] == "ok"]
    end = (ok["time"] + ok["latency"]).set_axis(ok["request"])
    seconds: Floats = (end[(ok["service"] == "app").to_numpy()] - end[(ok["service"] == "llm").to_numpy()]).to_numpy()
    seconds = seconds[np.isfinite(seconds)]
    if not len(seconds):
        raise ValueError(f"{trace.source.name}: no request was ok on service 'app' and on service 'llm'")
    return np.maximum(seconds, 0.0)


def seconds_late(trace: Trace) -> Floats:
    """By how much the retries of a recording were late (s, at least 0), where its policy's delay is a fixed one.

    Raises ValueError where it is not, or where nothing was retried.
    """
    policy = Policy.from_dict(trace.source.facts["policy"])  # type: ignore[arg-type]
    backoff = None if policy.retry is None else policy.retry.backoff
    if backoff is None or backoff.jitter != "none" or backoff.factor != 1.0:
        raise ValueError(f"{trace.source.name}: its policy has no fixed delay from which lateness could be told")
    llm = trace.attempts.query("service == 'llm'").sort_values(["request", "attempt"])
    request, start = llm["request"].to_numpy(), llm["time"].to_numpy()
    gaps = (start[1:] - (start + llm["latency"].to_numpy())[:-1])[request[1:] == request[:-1]] - backoff.base
    gaps = gaps[np.isfinite(gaps)]
    if not len(gaps):
        raise ValueError(f"{trace.source.name}: nothing was retried")
    late: Floats = np.maximum(gaps, 0.0)
    return late


def with_measured_ways(scenario: Scenario, trace: Trace) -> Scenario:
    """`scenario` with what the ways between callers, app and service took in `trace`, and how late its timers were.

    Take a recording of the same machine in which the service was hardly ever full, such as `calm`.
    Raises ValueError where that cannot be told.
    """
    return replace(
        scenario,
        app=replace(
            scenario.app,
            network=Empirical(seconds_to_app(trace)),
            answer_network=Empirical(seconds_to_caller(trace)),
            timer_lag=Empirical(seconds_late(trace)),
        ),
        service=replace(scenario.service, network=Empirical(seconds_to_service(trace))),
    )


def _answered(trace: Trace) -> pd.DataFrame:
    attempts = trace.attempts
    rows = attempts[(attempts["service"] == "llm") & (attempts["outcome"] == "ok") & attempts["latency"].notna()]
    return rows.set_index(["request", "attempt"])[["time", "latency"]]
