"""A panel on fallbacks: who answers in the incident, by how strong and how quick the simpler model is."""

from dataclasses import replace
from typing import Final

import plotly.graph_objects as go

from breakerlab.lab.charts.served import answers
from breakerlab.lab.prediction import counted
from breakerlab.lab.run_panel import RunPanel, slider
from breakerlab.lab.service_name import service_name
from breakerlab.policy import Fallback, Policy
from breakerlab.replay import Run, Scenario, Standby, replay

CHAIN: Final = Fallback(small_model="a simpler answer", cache="an earlier answer", message="Please try again soon.")
POLICIES: Final = {
    "one attempt": Policy.none(),
    "breaker": Policy.recommended(),
    "ten attempts": Policy.naive(),
}
AT_A_TIME: Final = (1, 2, 4, 8, 16, 32, 64)
SECONDS: Final = (0.25, 0.5, 1.0, 2.0, 4.0, 6.0, 9.0)
SHARES: Final = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
HEIGHT: Final = 330  # px


class FallbackPanel(RunPanel):
    """A small model, a cache and a message behind the service; the answers are drawn anew while a slider is dragged.

    `at_a_time` and `takes` are the small model's sliders, `cached` the cache's, `first` the policy that comes before
    any of them.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self.at_a_time = slider(
            "Small model, slots", [(str(n), n) for n in AT_A_TIME], 1, "answers that it gives at a time"
        )
        self.takes = slider("It takes", [(f"{value:g} s", value) for value in SECONDS], 1.0, "seconds for each answer")
        shares = [(f"{share:.0%}", share) for share in SHARES]
        self.cached = slider("Cache has it", shares, 0.3, "share of the callers for whom the cache has an answer")
        self.first = slider(
            f"For the {service_name(scenario).noun}",
            [(name, name) for name in POLICIES],
            "breaker",
            "what is tried before any fallback",
        )
        super().__init__([[self.at_a_time, self.takes], [self.cached, self.first]])

    def play(self) -> Run:
        """The run that the sliders ask for."""
        standbys = {
            "small_model": Standby(seconds=self.takes.value, slots=self.at_a_time.value),
            "cache": Standby(seconds=0.01, availability=self.cached.value),
        }
        scenario = replace(self._scenario, app=replace(self._scenario.app, fallbacks=standbys))
        return replay(scenario, replace(POLICIES[self.first.value], fallback=CHAIN))

    def draw(self) -> go.Figure:
        """The answers by who gave them."""
        return answers({"answers": self.run}, height=HEIGHT)

    def told(self) -> str:
        """Who was served by whom, and what it cost the rest of the app."""
        n = self.run.summary()
        messages, errors = n["served_by_message"], n["requests"] - n["answered"]
        return (
            f"{n['answered'] - messages:,.0f} answers, {counted(messages, 'messages')}, {counted(errors, 'errors')}; "
            f"{n['other_failed']:,.0f} of {n['other_requests']:,.0f} other requests failed; "
            f"{counted(n['restarts'], 'restarts')}."
        )
