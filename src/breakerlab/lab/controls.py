"""Knobs as widgets that work by keyboard alone, each with its label, unit and meaning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import ipywidgets as widgets

from breakerlab.lab.knobs import Knob
from breakerlab.lab.no_formulas import Label
from breakerlab.lab.service_name import ServiceName

LABEL_WIDTH: Final = "100px"
_OFF: Final = "off"  # to ipywidgets None is "nothing chosen"


class Controls(widgets.VBox):
    """Sliders and choices for some knobs under the headings of their groups; `turned(knob, value)` hears of each turn.

    `show(subject)` sets every control to what the policy or scenario has, and tells nobody. What has no meaning for it
    cannot be turned.
    """

    def __init__(
        self, knobs: Sequence[Knob], subject: Any, turned: Callable[[Knob, Any], None], service: ServiceName
    ) -> None:
        self._knobs, self._turned, self._showing = tuple(knobs), turned, False
        self.meanings = {knob.label: service.put_into(knob.meaning) for knob in knobs}
        self.by_name = {knob.name: _control(knob, subject, self.meanings[knob.label]) for knob in knobs}
        super().__init__(list(self._rows(service)))
        self.add_class("breakerlab-knobs")
        for knob in knobs:
            self.by_name[knob.name].observe(self._observer(knob), names="value")

    def _rows(self, service: ServiceName) -> Iterable[widgets.Widget]:
        group = ""
        for knob in self._knobs:
            if knob.group != group:
                group = knob.group
                heading = Label(service.put_into(group))
                heading.add_class("breakerlab-heading")
                yield heading
            yield self.by_name[knob.name]

    def show(self, subject: Any) -> None:
        self._showing = True
        try:
            for knob in self._knobs:
                _set(self.by_name[knob.name], knob, subject)
        finally:
            self._showing = False

    def _observer(self, knob: Knob) -> Callable[[Any], None]:
        def changed(change: Any) -> None:
            if not self._showing:
                self._turned(knob, None if change["new"] == _OFF else change["new"])

        return changed


def _control(knob: Knob, subject: Any, meaning: str) -> widgets.Widget:
    value = knob.get(subject)
    common = {
        "description": knob.label,
        "tooltip": meaning,
        "disabled": not knob.counts(subject),
        "style": {"description_width": LABEL_WIDTH},
        "layout": {"width": "auto", "margin": "0"},
    }
    if set(knob.values) == {False, True}:
        return widgets.Checkbox(value=value, indent=True, **common)
    chosen = {"options": _options(knob, subject), "value": _OFF if value is None else value}
    if not knob.is_drawn or all(isinstance(one, str | tuple | None) for one in knob.values):
        return widgets.Dropdown(**chosen, **common)
    return widgets.SelectionSlider(continuous_update=True, **chosen, **common)


def _options(knob: Knob, subject: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((told, _OFF if one is None else one) for told, one in knob.options(subject))


def _set(control: Any, knob: Knob, subject: Any) -> None:
    """Make the control say what `subject` has; what it says already is not sent to the page again."""
    value = knob.get(subject)
    shown = _OFF if value is None else value
    if control.value != shown:
        if not isinstance(control, widgets.Checkbox):
            options = _options(knob, subject)
            if tuple(control.options) != options:
                control.options = options
        control.value = shown
    control.disabled = not knob.counts(subject)


def button(label: str, meaning: str, act: Callable[[], None]) -> widgets.Button:
    made = widgets.Button(description=label, tooltip=meaning, layout={"width": "auto"})
    made.on_click(lambda _: act())
    return made
