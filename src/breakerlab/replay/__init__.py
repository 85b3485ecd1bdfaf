"""The simulator: a policy meets a service that its own retries can overload.

`replay` and all that makes a scenario need numpy alone. What works on tables of many runs is loaded when it is first
asked for, and pandas with it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from breakerlab.replay.app import App, OtherEndpoint, Standby
from breakerlab.replay.distribution import Constant, Empirical, Exponential, Llm, Lognormal
from breakerlab.replay.errors import ReplayError, ScenarioError
from breakerlab.replay.run import Run, replay, warm_up
from breakerlab.replay.scenario import Scenario
from breakerlab.replay.server import Fault, RateLimit, Service
from breakerlab.replay.summary import summary
from breakerlab.replay.workload import Bursts, ClosedLoop, Poisson, Workload

if TYPE_CHECKING:
    from breakerlab.replay.comparison import Comparison, compare
    from breakerlab.replay.metastability import recovery_map
    from breakerlab.replay.prediction import Forecast, counts, course, predict, with_measured_ways

__all__ = [
    "App",
    "Bursts",
    "ClosedLoop",
    "Comparison",
    "Constant",
    "Empirical",
    "Exponential",
    "Fault",
    "Forecast",
    "Llm",
    "Lognormal",
    "OtherEndpoint",
    "Poisson",
    "RateLimit",
    "ReplayError",
    "Run",
    "Scenario",
    "ScenarioError",
    "Service",
    "Standby",
    "Workload",
    "compare",
    "counts",
    "course",
    "predict",
    "recovery_map",
    "replay",
    "summary",
    "warm_up",
    "with_measured_ways",
]

_LAZY = {
    "Comparison": "comparison",
    "compare": "comparison",
    "recovery_map": "metastability",
    **dict.fromkeys(("Forecast", "counts", "course", "predict", "with_measured_ways"), "prediction"),
}


def __getattr__(name: str) -> object:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
