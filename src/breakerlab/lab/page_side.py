"""What only the page can do for the explorer: fit the charts to their boxes, name the sliders for screen readers, copy.

ipywidgets gives a slider's handle neither a name nor the text of its value; plotly looks at the size of its box when
the window changes, not when the box does.
"""

from __future__ import annotations

from typing import Final

import anywidget

ROOT: Final = "breakerlab-explorer"

_SCRIPT: Final = """
const ROOT = ".breakerlab-explorer";

function set(element, name, value) {
  if (element && element.getAttribute(name) !== value) element.setAttribute(name, value);
}

function nameSlider(slider) {
  const handle = slider.querySelector(".noUi-handle");
  if (!handle) return;
  set(handle, "aria-label", slider.querySelector(".widget-label")?.textContent ?? "");
  set(handle, "aria-valuetext", slider.querySelector(".widget-readout")?.textContent ?? "");
  set(handle, "aria-disabled", String(slider.querySelector(".noUi-target[disabled]") !== null));
}

function nameAll(root) {
  for (const handle of root.querySelectorAll(".noUi-handle")) nameSlider(handle.closest(".widget-hslider"));
  for (const chart of root.querySelectorAll(".js-plotly-plot")) {
    set(chart, "role", "img");
    set(chart, "aria-label", "Chart of latencies; the table tells the figures");
  }
  for (const tabs of root.querySelectorAll("[role=tablist]"))
    set(tabs, "aria-label", tabs.closest(".breakerlab-left") ? "Knobs" : "Views");
  set(root.querySelector(".breakerlab-message"), "role", "status");
}

function fitAll(root) {
  const misfit = [...root.querySelectorAll(".breakerlab-chart")].some((box) => {
    const drawn = box.querySelector(".main-svg")?.getBoundingClientRect().width;
    return box.clientWidth && drawn && Math.abs(drawn - box.clientWidth) > 2;
  });
  if (misfit) window.dispatchEvent(new Event("resize"));
}

function keepFitting(root) {
  const observer = new ResizeObserver(() => requestAnimationFrame(() => fitAll(root)));
  for (const box of root.querySelectorAll(".breakerlab-chart")) observer.observe(box);
  for (const milliseconds of [200, 1000, 3000]) setTimeout(() => fitAll(root), milliseconds);
  return observer;
}

function copy(event) {
  if (!event.target.closest(".breakerlab-copy")) return;
  const text = event.currentTarget.querySelector(".breakerlab-exported textarea");
  text.select();
  navigator.clipboard?.writeText(text.value).catch(() => document.execCommand("copy"));
}

function render({ el }) {
  let root, frame, observers = [];
  el.style.display = "none";
  function begin() {
    root = el.closest(ROOT);
    if (!root || !root.querySelector(".noUi-handle")) {
      frame = requestAnimationFrame(begin);
      return;
    }
    nameAll(root);
    observers.push(keepFitting(root));
    const names = new MutationObserver((changes) => {
      for (const change of changes) {
        const element = change.target.nodeType === 1 ? change.target : change.target.parentElement;
        const slider = element?.closest(".widget-hslider");
        if (slider) nameSlider(slider);
      }
    });
    for (const knobs of root.querySelectorAll(".breakerlab-knobs"))
      names.observe(knobs, { childList: true, subtree: true, characterData: true, attributeFilter: ["disabled"] });
    observers.push(names);
    root.addEventListener("click", copy);
  }
  begin();
  return () => {
    cancelAnimationFrame(frame);
    observers.forEach((observer) => observer.disconnect());
    root?.removeEventListener("click", copy);
  };
}
export default { render };
"""

_STYLE: Final = """
.breakerlab-explorer { --jp-widgets-font-size: 12px; --jp-widgets-inline-height: 25px; width: 100%; min-width: 0; }
.breakerlab-explorer .widget-tab > .widget-tab-contents { padding: 4px 2px; }
.breakerlab-explorer .widget-radio { display: flex; flex-direction: row; align-items: center; }
.breakerlab-explorer .widget-radio-box { margin-bottom: 0 !important; }
.breakerlab-explorer .breakerlab-left .widget-tab-contents { position: relative; min-height: 560px; }
.breakerlab-explorer .lm-TabBar-tab { flex-basis: auto !important; padding: 0 10px !important; }
.breakerlab-explorer .widget-readout {
  flex: 0 0 72px; min-width: 72px; max-width: 72px; padding: 0; margin-left: 10px; text-align: left;
  overflow: visible; white-space: nowrap;
}
.breakerlab-explorer .widget-hslider .slider-container { min-width: 70px; margin-left: 8px; margin-right: 0; }
.breakerlab-explorer .breakerlab-knobs { position: absolute; inset: 2px; overflow: hidden auto; }
.breakerlab-explorer .breakerlab-knobs > * { flex: 0 0 auto; }
.breakerlab-explorer .breakerlab-heading {
  font-weight: bold; border-bottom: 1px solid #BBB; margin: 6px 6px 2px 2px; height: 22px; line-height: 22px;
}
.breakerlab-explorer .breakerlab-chart { width: 100%; min-width: 0; overflow: hidden; }
.breakerlab-explorer .breakerlab-message { color: #8A3800; font-weight: bold; white-space: normal; }
.breakerlab-explorer textarea { font-family: var(--jp-code-font-family, monospace); white-space: pre; }
.breakerlab-explorer .breakerlab-wraps textarea { white-space: pre-wrap; font-family: inherit; }
.breakerlab-explorer :focus-visible, .breakerlab-explorer .noUi-handle:focus {
  outline: 2px solid #0072B2 !important; outline-offset: 1px;
}
.breakerlab-explorer [disabled].noUi-target { opacity: 0.4; }
"""


class PageSide(anywidget.AnyWidget):
    """Put it among the children of the box of class `ROOT`; it shows nothing itself."""

    _esm = _SCRIPT
    _css = _STYLE
