"""A few knobs of the explorer as sliders above the cascade: for a notebook that asks about just these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from breakerlab.lab.knobs import SCENARIO_KNOBS, Knob, knob
from breakerlab.lab.panel import OFF, CascadesPanel
from breakerlab.lab.run_panel import slider
from breakerlab.lab.service_name import ServiceName, service_name
from breakerlab.policy import Policy
from breakerlab.replay import Run, Scenario, replay


class KnobPanel(CascadesPanel):
    """The cascade as it was given and with your knobs, redrawn while a slider is dragged; both begin the same.

    `sliders` has the slider of each knob by its name: set its `value` to move it from code. `scenario` and `policy`
    are what the knobs say, `run` what came of it, `figure` what is drawn: attempts, breaker and answers.
    """

    columns = ("attempts", "breaker", "goodput")
    height = 370

    def __init__(
        self, scenario: Scenario, policy: Policy, knobs: Sequence[str | Knob], *, name: str, seed: int = 0
    ) -> None:
        """knobs: names of knobs of the explorer (`breakerlab.lab.knobs`), or knobs. Raises KeyError for another name.

        A knob without a meaning for the policy (the window of a breaker that is not there) moves and changes nothing.
        """
        self._scenario, self._policy, self._seed = scenario, policy, seed
        self._knobs = [knob(one) if isinstance(one, str) else one for one in knobs]
        service = service_name(scenario)
        self.sliders = {
            one.name: _slider(one, scenario if _is_of_scenario(one) else policy, service) for one in self._knobs
        }
        super().__init__(replay(scenario, policy, seed), name, tuple(self.sliders.values()))

    def play(self) -> Run:
        """The run that the sliders ask for."""
        return replay(self.scenario, self.policy, self._seed)

    @property
    def scenario(self) -> Scenario:
        """The scenario, with what the sliders say in its place."""
        return self._with_knobs(self._scenario, of_scenario=True)

    @property
    def policy(self) -> Policy:
        """The policy, with what the sliders say in its place."""
        return self._with_knobs(self._policy, of_scenario=False)

    def _with_knobs(self, subject: Any, *, of_scenario: bool) -> Any:
        for one in self._knobs:
            if _is_of_scenario(one) is of_scenario:
                value = self.sliders[one.name].value
                subject = one.put(subject, None if value == OFF else value)
        return subject

    def told_of(self, name: str, run: Run) -> str:
        """A run in one line."""
        n = run.summary()
        return (
            f"{name}: {n['answered']:,.0f} of {n['requests']:,.0f} requests answered in time; "
            f"{n['attempts']:,.0f} attempts sent; {n['rejected']:,.0f} refused by a breaker."
        )


def with_values(name: str, *values: Any, label: str | None = None, told: Callable[[Any], str] | None = None) -> Knob:
    """The knob of this name with other stops, in order; perhaps another label, and other words for a stop.

    Raises KeyError for a name that no knob has.
    """
    known = knob(name)
    return replace(known, values=values, values_for=None, label=label or known.label, told=told or known.told)


def _is_of_scenario(one: Knob) -> bool:
    return one.name in {known.name for known in SCENARIO_KNOBS}


def _slider(one: Knob, subject: Any, service: ServiceName) -> Any:
    value = one.get(subject)
    options = [(told, OFF if found is None else found) for told, found in one.options(subject)]
    return slider(one.label, options, OFF if value is None else value, service.put_into(one.meaning))
