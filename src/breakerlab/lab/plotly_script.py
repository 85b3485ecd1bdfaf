"""plotly's script in the page: sent once by each kernel, and evaluated once in each page.

plotly's own `FigureWidget` sends its five megabytes with every figure, and the page evaluates them anew for each: about
a second, in which nothing else moves.
"""

from __future__ import annotations

from typing import Final

import anywidget
import traitlets
from plotly.offline import get_plotlyjs, get_plotlyjs_version

# For every script that wants plotly: the promise of this version of it, kept or not yet, in whatever order they come.
PROMISE: Final = """
function plotly(version) {
  const promises = (globalThis.breakerlabPlotly ??= {});
  if (!promises[version]) {
    const promise = (promises[version] = {});
    promise.kept = new Promise((keep, fail) => Object.assign(promise, { keep, fail }));
    promise.kept.catch(() => {});
  }
  return promises[version];
}
"""

_SCRIPT: Final = f"""{PROMISE}
const BEFORE = "const module = {{ exports: {{}} }}, exports = module.exports, define = undefined;\\n";
const AFTER = "\\nexport default module.exports;";

function initialize({{ model }}) {{
  const promise = plotly(model.get("version"));
  if (promise.sought) return;
  promise.sought = true;
  const url = URL.createObjectURL(new Blob([BEFORE, model.get("script"), AFTER], {{ type: "text/javascript" }}));
  import(url).then((loaded) => promise.keep(loaded.default), promise.fail).finally(() => URL.revokeObjectURL(url));
}}
export default {{ initialize }};
"""


class PlotlyScript(anywidget.AnyWidget):
    """Brings plotly's script to the page. `version` is the script's own, not that of the Python package."""

    _esm = _SCRIPT
    version = traitlets.Unicode().tag(sync=True)
    script = traitlets.Bytes().tag(sync=True)

    def __init__(self) -> None:
        super().__init__(version=get_plotlyjs_version(), script=get_plotlyjs().encode())

    def __repr__(self) -> str:
        return "PlotlyScript()"


_sent: list[PlotlyScript] = []


def send_plotly() -> str:
    """Let the page have plotly's script, unless this kernel has sent it; its version."""
    if not _sent or _sent[0].comm is None:  # never sent, or closed together with all other widgets
        _sent[:] = [PlotlyScript()]
    return str(_sent[0].version)
