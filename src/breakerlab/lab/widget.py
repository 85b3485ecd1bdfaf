"""A figure that widgets can change, without the seconds that its first import would cost.

plotly's `FigureWidget` imports nbformat, that imports jsonschema, and that imports rfc3987-syntax, if JupyterLab has
brought it, which builds grammars for 4.4 s. jsonschema does without it and then leaves one thing unchecked: whether
text with the format "iri" is one. No notebook has such a format.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import plotly.graph_objects as go

_SLOW = "rfc3987_syntax"


def figure_widget(figure: go.Figure) -> "go.FigureWidget":
    """`figure` as a widget; change it inside its `batch_update()`. (The very name `go.FigureWidget` imports it.)"""
    with _not_importable(_SLOW):
        return go.FigureWidget(figure)


@contextmanager
def _not_importable(name: str) -> Iterator[None]:
    """Within the block, importing `name` raises ImportError, unless it has been imported before."""
    if name in sys.modules:
        yield
        return
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
