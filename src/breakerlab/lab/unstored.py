"""Figures of numbers that differ from run to run: shown where the cell is run, and never stored in the notebook."""

import ipywidgets as widgets
import plotly.graph_objects as go

from breakerlab.lab.show import outputs


class UnstoredFigures(widgets.Output):
    """Figures below one another, as the last line of a cell.

    A notebook stores what a widget calls itself and nothing of what it shows; so that is the same for all figures.
    """

    def __init__(self, *figures: go.Figure) -> None:
        super().__init__(outputs=outputs(*map(_hung_from_the_top, figures)))

    def __repr__(self) -> str:
        return "Figures of your own run (run the cell to see them)"


def _hung_from_the_top(figure: go.Figure) -> go.Figure:
    """With its legend at the top edge: drawn before it is on the page, a legend does not know its height."""
    return go.Figure(figure).update_layout(legend={"yref": "container", "y": 1.0, "yanchor": "top"})
