"""The simulator: a policy meets a service that its own retries can overload."""

from breakerlab.replay.run import ReplayError, Run, replay, warm_up
from breakerlab.replay.scenario import App, Fault, OtherEndpoint, Scenario, ScenarioError, Service, Workload
from breakerlab.replay.summary import summary

__all__ = [
    "App",
    "Fault",
    "OtherEndpoint",
    "ReplayError",
    "Run",
    "Scenario",
    "ScenarioError",
    "Service",
    "Workload",
    "replay",
    "summary",
    "warm_up",
]
