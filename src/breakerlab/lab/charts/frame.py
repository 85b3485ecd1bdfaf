"""What is around every chart: axes, margins, panel titles, and the caption that names the server model."""

from typing import Any, Final

import plotly.graph_objects as go

from breakerlab.lab.charts.text import in_lines
from breakerlab.lab.style import CAPTION_FONT, FONT, GRID, INK, TITLE_FONT

NARROWEST: Final = 830  # px: JupyterLab on a 1280 px laptop, its file list open
CHARACTER: Final = 5.6  # px, of the caption
CAPTION_LINE: Final = 15  # px
LEFT: Final = 66  # px, for ticks and the axis title
DEEPEST: Final = 100  # px from the left edge to a caption, also where names stand left of the plot
AXIS_TITLES: Final = 46  # px below the plot, for ticks and the axis title


def frame(figure: go.Figure, *, height: int, caption: str = "", **margins: int) -> None:
    """Give `figure` the look of all charts. height and margins (l, r, t, b): px. caption: below the chart, any text."""
    left = margins.get("l", LEFT)
    indent = min(left, DEEPEST)
    told = caption_lines(caption, indent)
    below = margins.pop("b", AXIS_TITLES)
    figure.update_layout(
        template="none",
        height=height,
        autosize=True,
        font=FONT,
        margin={"l": LEFT, "r": 20, "t": 40, "b": below + caption_height(told), **margins},
        hoverlabel={"namelength": -1},
    )
    title_font = {"size": 12, "color": INK}
    figure.update_xaxes(gridcolor=GRID, zeroline=False, ticks="outside", tickcolor=GRID)
    figure.update_xaxes(title_font=title_font, title_standoff=4)
    figure.update_yaxes(gridcolor=GRID, zeroline=False, title_font=title_font, title_standoff=8)
    if told:
        write_caption(figure, told, below, indent - left)


def caption_lines(caption: str, left: int) -> str:
    """Any text, shown literally, in lines that fit beside a left margin of `left` px."""
    return in_lines(caption, int((NARROWEST - left) / CHARACTER))


def caption_height(told: str) -> int:
    """Pixels that the lines need."""
    return (told.count("<br>") + 1) * CAPTION_LINE + 8 if told else 0


def write_caption(figure: go.Figure, told: str, below: int, shift: int = 0) -> None:
    """Put lines, already plain, `below` px under the plot, and `shift` px right of its left edge."""
    figure.add_annotation(
        name="caption",
        text=told,
        font=CAPTION_FONT,
        x=0,
        y=0,
        xref="paper",
        yref="paper",
        xanchor="left",
        yanchor="top",
        xshift=shift,
        yshift=-below,
        align="left",
        showarrow=False,
    )


def panel_titles(figure: go.Figure, *titles: str) -> None:
    """Left-align the titles that `make_subplots` has centred, each at the left edge of its panel."""
    wanted = set(titles)
    axes = [figure.layout[name] for name in _axis_names(figure)]
    edges = [axis.domain[0] for axis in axes]
    for annotation in figure.layout.annotations:
        if annotation.text in wanted:
            left = max((edge for edge in edges if edge <= annotation.x + 1e-9), default=0.0)
            annotation.update(x=left, xanchor="left", align="left", font=TITLE_FONT)


def _axis_names(figure: go.Figure) -> list[str]:
    return [name for name in figure.layout if name.startswith("xaxis")]


def beside(figure: go.Figure, text: str, x: Any, y: Any, colour: str, **where: Any) -> None:
    """A direct label: `text`, already plain, right of the point (x, y) of a panel, in the colour of its line."""
    style = {"showarrow": False, "xanchor": "left", "xshift": 6, "align": "left", "font": {"size": 11, "color": colour}}
    figure.add_annotation(text=text, x=x, y=y, **{**style, **where})
