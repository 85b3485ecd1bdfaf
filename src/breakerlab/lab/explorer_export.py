"""The explorer's view that takes a policy out, for other libraries, and in, from JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import ipywidgets as widgets

from breakerlab.lab.controls import button
from breakerlab.lab.export import TARGETS, Export

_NARROW: Final = {"description_width": "auto"}
NOTHING: Final = "Nothing: it says all of the policy."


class ExportView(widgets.VBox):
    """`exported(target)` gives what is shown; a press on the button hands the pasted text to `load`."""

    def __init__(self, exported: Callable[[str], Export], load: Callable[[str], None]) -> None:
        self._exported = exported
        self.target = widgets.Dropdown(
            options=[(title, target) for target, title in TARGETS.items()],
            description="Export the policy as",
            style=_NARROW,
            layout={"width": "340px"},
        )
        self.text = _text_field("Text to copy", "220px")
        self.text.add_class("breakerlab-exported")
        self.cannot = _text_field("What it cannot express", "130px")
        self.cannot.add_class("breakerlab-wraps")
        for field in (self.text, self.cannot):
            field.add_class("breakerlab-read")
        self.pasted = _text_field("Import: paste a policy's JSON", "90px")
        copy = button("Copy", "put the text on the clipboard", lambda: None)
        copy.add_class("breakerlab-copy")
        take = button("Import into the policy", "set the policy whose knobs are shown", lambda: load(self.pasted.value))
        take.layout.align_self = "flex-start"
        head = widgets.HBox([self.target, copy])
        super().__init__([head, self.text, self.cannot, self.pasted, take], layout={"min_width": "0"})
        self.target.observe(lambda _: self.show(), names="value")

    def show(self) -> None:
        """Show the policy as it is now."""
        found = self._exported(self.target.value)
        self.text.value = found.text
        self.cannot.value = "\n".join(f"- {sentence}" for sentence in found.cannot) or NOTHING


def _text_field(name: str, height: str) -> widgets.Textarea:
    field = widgets.Textarea(description=name, style=_NARROW, layout={"width": "auto", "height": height})
    field.add_class("breakerlab-text")
    return field
