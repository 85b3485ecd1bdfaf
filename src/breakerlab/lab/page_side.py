"""What only the page can do for the explorer: name controls for screen readers, tell their meaning, copy.

ipywidgets gives a slider's handle neither a name nor the text of its value, makes that text a stop of the Tab key, has
radio buttons that arrow keys do not move, and no field that can be read and not written. JupyterLab takes plain keys
for commands on cells, wherever the focus is: arrow keys would leave the control, and "x" would cut the cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import anywidget
import traitlets

ROOT: Final = "breakerlab-explorer"

_SCRIPT: Final = """
const ROOT = ".breakerlab-explorer";

function set(element, name, value) {
  if (element && element.getAttribute(name) !== value) element.setAttribute(name, value);
}

function nameSlider(slider) {
  const handle = slider.querySelector(".noUi-handle");
  if (!handle) return;
  set(slider.querySelector(".widget-readout"), "contenteditable", "false");
  set(handle, "aria-label", slider.querySelector(".widget-label")?.textContent ?? "");
  set(handle, "aria-valuetext", slider.querySelector(".widget-readout")?.textContent ?? "");
  set(handle, "aria-disabled", String(slider.querySelector(".noUi-target[disabled]") !== null));
}

const labelOf = (row) => (row.querySelector(".widget-label-basic") ?? row.querySelector(".widget-label")).textContent;

// The rows of the knobs, each with its one-line meaning: for the mouse, for screen readers and for the line below.
function explain(root, meanings) {
  root.querySelectorAll(".breakerlab-knobs").forEach((knobs, panel) => {
    for (const row of knobs.querySelectorAll(".widget-hslider, .widget-checkbox, .widget-dropdown")) {
      const meaning = meanings[panel]?.[labelOf(row)] ?? "";
      row.dataset.meaning = `${labelOf(row)}: ${meaning}.`;
      set(row, "title", meaning);
      set(row.querySelector(".noUi-handle, input, select"), "aria-description", meaning);
    }
  });
}

function nameAll(root) {
  for (const handle of root.querySelectorAll(".noUi-handle")) nameSlider(handle.closest(".widget-hslider"));
  for (const [place, group] of root.querySelectorAll(".widget-radio").entries()) {
    set(group.querySelector(".widget-radio-box"), "role", "radiogroup");
    set(group.querySelector(".widget-radio-box"), "aria-label", group.querySelector(".widget-label").textContent);
    for (const button of group.querySelectorAll("input")) set(button, "name", `${root.dataset.explorer}-${place}`);
  }
  for (const field of root.querySelectorAll(".breakerlab-read textarea")) field.readOnly = true;
  for (const tabs of root.querySelectorAll("[role=tablist]"))
    set(tabs, "aria-label", tabs.closest(".breakerlab-left") ? "Knobs" : "Views");
  set(root.querySelector(".breakerlab-message"), "role", "status");
}

function copy(event) {
  const button = event.target.closest(".breakerlab-copy");
  if (!button) return;
  const text = event.currentTarget.querySelector(".breakerlab-exported textarea");
  text.select();
  const done = () => { button.textContent = "Copied"; setTimeout(() => { button.textContent = "Copy"; }, 1500); };
  const ask = () => { if (document.execCommand("copy")) done(); };
  if (navigator.clipboard) navigator.clipboard.writeText(text.value).then(done, ask);
  else ask();
}

// The window hears of a key before JupyterLab does, which minds this attribute. Shortcuts with Ctrl or Shift stay.
function keepKeys(root) {
  const keep = (event) => {
    if (!root.contains(event.target)) return;
    const plain = !(event.ctrlKey || event.metaKey || event.altKey || event.shiftKey);
    event.target.toggleAttribute("data-lm-suppress-shortcuts", plain);
  };
  window.addEventListener("keydown", keep, true);
  return { disconnect: () => window.removeEventListener("keydown", keep, true) };
}

function render({ model, el }) {
  let root, frame, observers = [];
  const line = document.createElement("div");
  line.className = "breakerlab-meaning";
  line.textContent = model.get("hint");
  el.appendChild(line);
  function tell(event) {
    const row = event.target.closest?.("[data-meaning]");
    if (row) line.textContent = row.dataset.meaning;
  }
  function begin() {
    root = el.closest(ROOT);
    if (!root?.querySelector(".noUi-handle") || !root.querySelector(".breakerlab-read textarea")) {
      frame = requestAnimationFrame(begin);
      return;
    }
    root.dataset.explorer = `breakerlab-${Math.random()}`;  // each is a module of its own: none can count them
    nameAll(root);
    explain(root, model.get("meanings"));
    observers.push(keepKeys(root));
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
    for (const kind of ["focusin", "mouseover"]) root.addEventListener(kind, tell);
  }
  begin();
  return () => {
    cancelAnimationFrame(frame);
    observers.forEach((observer) => observer.disconnect());
    root?.removeEventListener("click", copy);
    for (const kind of ["focusin", "mouseover"]) root?.removeEventListener(kind, tell);
  };
}
export default { render };
"""

_STYLE: Final = """
.breakerlab-explorer { --jp-widgets-font-size: 12px; --jp-widgets-inline-height: 25px; width: 100%; min-width: 0; }
.breakerlab-explorer .widget-tab > .widget-tab-contents { padding: 4px 2px; }
.breakerlab-explorer .widget-radio { display: flex; flex-direction: row; align-items: center; }
.breakerlab-explorer .widget-radio-box { margin: 0 0 0 8px !important; }
.breakerlab-meaning {
  box-sizing: border-box; height: 38px; padding: 3px 6px; font: 12px/16px Helvetica, Arial, sans-serif; color: #444;
  border: 1px solid #BBB; border-top: 0; background: #fff; overflow: hidden; margin: -2px 2px 0;
}
.breakerlab-explorer .breakerlab-left .widget-tab-contents { position: relative; min-height: 532px; }
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
.breakerlab-explorer .breakerlab-message { color: #8A3800; font-weight: bold; white-space: normal; }
.breakerlab-explorer .breakerlab-about { white-space: normal; overflow-wrap: anywhere; height: auto; line-height: 1.4; }
.breakerlab-explorer .breakerlab-text { flex-direction: column; align-items: stretch; }
.breakerlab-explorer .breakerlab-text > .widget-label { text-align: left; flex: 0 0 auto; }
.breakerlab-explorer .breakerlab-text > textarea { flex: 1 1 auto; }
.breakerlab-explorer textarea { font-family: var(--jp-code-font-family, monospace); white-space: pre; }
.breakerlab-explorer .breakerlab-wraps textarea { white-space: pre-wrap; font-family: inherit; }
.breakerlab-explorer :focus-visible, .breakerlab-explorer .noUi-handle:focus {
  outline: 2px solid #0072B2 !important; outline-offset: 1px;
}
.breakerlab-explorer [disabled].noUi-target { opacity: 0.4; }
"""


class PageSide(anywidget.AnyWidget):
    """Put it into the box of class `ROOT`, below the knobs: it shows the meaning of the one that is pointed at.

    `meanings` has a mapping for each panel of knobs, from label to meaning.
    """

    _esm = _SCRIPT
    _css = _STYLE
    hint = traitlets.Unicode("Point at a knob, or go to it with Tab, and its meaning stands here.").tag(sync=True)
    meanings = traitlets.List([]).tag(sync=True)

    def __init__(self, meanings: Sequence[Mapping[str, str]]) -> None:
        super().__init__(meanings=[dict(panel) for panel in meanings])

    def __repr__(self) -> str:
        return "PageSide()"
