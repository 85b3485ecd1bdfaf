"""What a log says reaches the page as text: nothing that a chart, a table or a widget sends is markup of the log's."""

import inspect
import pkgutil
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import ipywidgets as widgets
import pandas as pd
import plotly.graph_objects as go
import pytest
from plotly.basedatatypes import BaseFigure

from breakerlab import lab
from breakerlab.lab import charts
from breakerlab.lab.plotly_chart import PlotlyChart
from breakerlab.lab.show import bundle
from breakerlab.replay import Run
from breakerlab.trace import Trace

from . import hostile

# A name may be cut short.
MARKUP = ("<b>bo", "<a hr", "<scr", "<img")
DRAWN = ("application/vnd.plotly.v1+json", "image/png", "text/plain")
EVERYTHING = {**hostile.SHOWN, **hostile.NO_TEXT}


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in [*value, *value.values()] if isinstance(value, dict) else value:
            yield from strings(item)


def family(widget: widgets.Widget) -> Iterator[widgets.Widget]:
    yield widget
    for child in getattr(widget, "children", ()):
        yield from family(child)


def return_type(function: Any) -> str:
    """As it is written: some modules import pandas for type checkers only."""
    return str(inspect.signature(function).return_annotation) if inspect.isfunction(function) else ""


def tables_of(kind: type) -> set[str]:
    """The public properties and methods that give a DataFrame."""
    found = {name: getattr(member, "fget", member) for name, member in vars(kind).items() if name[0] != "_"}
    return {f"{kind.__name__}.{name}" for name, function in found.items() if "DataFrame" in return_type(function)}


def test_whatever_is_public_is_attacked_or_shows_nothing_of_a_log() -> None:
    public = {f"charts.{name}" for name in charts.__all__} | {f"lab.{name}" for name in lab.__all__}
    tables = tables_of(Trace) | tables_of(Run)
    assert len(tables) == 6
    assert public | tables <= {*EVERYTHING, *hostile.NOT_SHOWN}


def test_every_widget_of_the_lab_is_attacked_or_is_part_of_one_that_is() -> None:
    modules = [import_module(found.name) for found in pkgutil.walk_packages(lab.__path__, f"{lab.__name__}.")]
    classes = {one for module in modules for _, one in inspect.getmembers(module, inspect.isclass)}
    ours = {one for one in classes if issubclass(one, widgets.Widget) and one.__module__.startswith(lab.__name__)}
    attacked = {name.partition(".")[2] for name in EVERYTHING}
    assert hostile.PARTS <= {one.__name__ for one in ours} <= hostile.PARTS | attacked


@pytest.mark.parametrize("name", sorted(hostile.NOT_SHOWN))
def test_what_is_said_to_show_nothing_makes_no_figure_table_or_widget(name: str) -> None:
    room, _, what = name.partition(".")
    public = getattr({"charts": charts, "lab": lab}[room], what)
    assert not [kind for kind in ("Figure", "DataFrame", "Widget", "Explorer") if kind in return_type(public)]
    assert not (inspect.isclass(public) and issubclass(public, widgets.Widget))


@pytest.mark.parametrize("name", EVERYTHING)
def test_nothing_that_is_sent_is_markup_of_the_log(name: str) -> None:
    shown = EVERYTHING[name]()
    if isinstance(shown, widgets.Widget):
        assert not [one for one in family(shown) if isinstance(one, widgets.HTML | widgets.HTMLMath)]
        assert not [one for one in family(shown) if isinstance(one, BaseFigure)]  # those are shown by a PlotlyChart
        written = [output["data"] for one in family(shown) for output in getattr(one, "outputs", ())]
        assert not [kind for data in written for kind in data if kind not in DRAWN]
        figures = [one.drawn for one in family(shown) if isinstance(one, PlotlyChart)]
        sent = [text for data in (*figures, *written) for text in strings(data)]
    elif isinstance(shown, go.Figure):
        sent = list(strings(bundle(shown)))
        assert any("&lt;" in text for text in sent) == (name in hostile.SHOWN)
    else:
        sent = [getattr(shown, "_repr_html_", str)()] if isinstance(shown, pd.DataFrame) else []
    assert [text for text in sent if any(beginning in text for beginning in MARKUP)] == []
