"""A figure as one display bundle, interactive in JupyterLab; without plotly's renderers, which take seconds to load."""

import json
from typing import Any

import plotly.graph_objects as go
from IPython.display import display
from plotly.utils import PlotlyJSONEncoder

MIME = "application/vnd.plotly.v1+json"


def show(figure: go.Figure) -> None:
    """Display `figure`. The stored notebook gets a PNG beside it from `make notebooks`, for pages that run nothing."""
    display({MIME: bundle(figure), "text/plain": "Figure (run the cell to see it)"}, raw=True)


def outputs(*figures: go.Figure) -> tuple[dict[str, Any], ...]:
    """The figures as a widget of type `Output` takes them, to show them below one another."""
    shown = [{MIME: bundle(figure)} for figure in figures]
    return tuple({"output_type": "display_data", "data": data, "metadata": {}} for data in shown)


def bundle(figure: go.Figure) -> dict[str, Any]:
    """The figure as JSON data, as JupyterLab draws it."""
    data = {**figure.to_plotly_json(), "config": {"displaylogo": False, "responsive": True}}
    return dict(json.loads(json.dumps(data, cls=PlotlyJSONEncoder)))
