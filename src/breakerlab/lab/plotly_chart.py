"""A plotly figure that is drawn anew in place, as fast as a slider is dragged."""

from __future__ import annotations

from typing import Final

import anywidget
import plotly.graph_objects as go
import traitlets

from breakerlab.lab.plotly_script import PROMISE, send_plotly
from breakerlab.lab.show import bundle

_SCRIPT: Final = f"""{PROMISE}
const CONFIG = {{ typesetMath: false, responsive: false }};  // the box is watched, not the window

function render({{ model, el }}) {{
  const box = document.createElement("div");
  box.className = "breakerlab-figure";
  box.setAttribute("role", "img");
  box.setAttribute("aria-label", model.get("label"));
  el.appendChild(box);
  let library, frame, width = 0, gone = false;

  function draw() {{
    frame = undefined;
    if (gone) return;
    width = box.clientWidth;
    const {{ data, layout, config }} = structuredClone(model.get("drawn"));
    box.style.height = `${{layout.height}}px`;
    // A box without a width is in a tab that is not looked at, or not on the page yet: it is drawn when it has one.
    if (!library || !width) return;
    library.react(box, data, {{ uirevision: "keep", ...layout, width }}, {{ ...config, ...CONFIG }});
  }}
  function drawSoon() {{
    frame ??= requestAnimationFrame(draw);
  }}
  const observer = new ResizeObserver(() => {{
    if (box.clientWidth !== width) drawSoon();
  }});
  observer.observe(box);
  model.on("change:drawn", drawSoon);
  draw();
  const explain = (error) => {{
    box.textContent = `This chart is not drawn: plotly did not load (${{error}}). Reload the page.`;
  }};
  plotly(model.get("version")).kept.then((loaded) => {{ library = loaded; drawSoon(); }}, explain);

  return () => {{
    gone = true;
    cancelAnimationFrame(frame);
    observer.disconnect();
    model.off("change:drawn", drawSoon);
    library?.purge(box);
  }};
}}
export default {{ render }};
"""

_STYLE: Final = ".breakerlab-figure { width: 100%; min-width: 0; overflow: hidden; background: #fff; }"


class PlotlyChart(anywidget.AnyWidget):
    """`figure` as a widget as wide as its place; `show` puts another in its stead, and a reader's zoom stays.

    label: what a screen reader says of it. The figure has a height of its own (`layout.height`, px). Text in it is
    never set as a formula.
    """

    _esm = _SCRIPT
    _css = _STYLE
    version = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    drawn = traitlets.Dict().tag(sync=True)

    def __init__(self, figure: go.Figure, label: str) -> None:
        self.figure = figure
        super().__init__(version=send_plotly(), label=label, drawn=bundle(figure))

    def show(self, figure: go.Figure) -> None:
        """Draw `figure` from now on. One that was changed in place is shown again the same way."""
        self.figure = figure
        self.drawn = bundle(figure)

    def __repr__(self) -> str:
        return "PlotlyChart()"
