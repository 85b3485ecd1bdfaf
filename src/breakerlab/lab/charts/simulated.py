"""What was simulated, beside a line of theory: hollow points with their intervals."""

from typing import Any

import pandas as pd
import plotly.graph_objects as go

from breakerlab.lab.charts.rounding import rounded


def add_points(figure: go.Figure, x: list[Any], mine: pd.DataFrame, middle: str, colour: str, **options: Any) -> None:
    """Draw a point at each of `x`, as high as the column `middle` of `mine`, with whiskers from `low` to `high`."""
    figure.add_scatter(
        x=x,
        y=rounded(mine[middle]),
        error_y={
            "symmetric": False,
            "array": rounded(mine["high"] - mine[middle]),
            "arrayminus": rounded(mine[middle] - mine["low"]),
            "color": colour,
            "thickness": 1.4,
            "width": 5,
        },
        mode="markers",
        marker={"color": "#FFFFFF", "size": 8, "line": {"color": colour, "width": 2}},
        showlegend=False,
        **options,
    )
