"""The explorer's table: what came of policies A and B, their difference, and whether it is more than noise.

It is a small widget of its own, because its rows tell which part of the chart they belong to. All text is set as text,
never as markup.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import anywidget
import pandas as pd
import traitlets


@dataclass(frozen=True)
class Quantity:
    """One row: the figure of `Run.summary` that it shows, its label and unit, and the chart's row it belongs to."""

    key: str
    label: str
    unit: str
    row: str
    digits: int = 0


QUANTITIES: Final = (
    Quantity("requests", "LLM requests", "", "load"),
    Quantity("answered", "answered in time", "", "answers"),
    Quantity("success_rate", "share answered", "%", "answers", 1),
    Quantity("goodput", "goodput", "per s", "answers", 2),
    Quantity("attempts", "attempts on the LLM", "", "load"),
    Quantity("amplification", "attempts per request", "", "load", 2),
    Quantity("status_503", "503 answers", "", "failures"),
    Quantity("status_429", "429 answers", "", "failures"),
    Quantity("timeouts", "attempts timed out", "", "failures"),
    Quantity("rejected", "refused locally", "", "breaker"),
    Quantity("other_failed", "other requests failed", "", "other"),
    Quantity("pool_peak", "most workers in use", "", "pool"),
    Quantity("restarts", "restarts", "", "breaker"),
    Quantity("lost", "attempts lost in restarts", "", "breaker"),
    Quantity("duplicates", "writes carried out again", "", "load"),
    Quantity("latency_p50", "success latency, p50", "s", "answers", 2),
    Quantity("latency_p99", "success latency, p99", "s", "answers", 2),
    Quantity("failure_p50", "failure known after, p50", "s", "answers", 2),
    Quantity("rejection_p50", "refusal known after, p50", "s", "breaker", 2),
    Quantity("time_to_recover", "time to recover", "s", "answers", 1),
)

BY: Final = "served_by_"
LONGEST: Final = 40  # characters of a name

_SCRIPT: Final = """
function cell(tag, text, scope) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (scope) made.scope = scope;
  return made;
}
function render({ model, el }) {
  const table = document.createElement("table");
  table.className = "breakerlab-summary";
  table.createCaption();
  const head = table.createTHead().insertRow();
  const body = table.createTBody();
  head.replaceChildren(...model.get("headings").map((text) => cell("th", text, "col")));
  function point(row) {
    if (model.get("pointed") === row) return;
    model.set("pointed", row);
    model.save_changes();
  }
  function addLine() {
    const line = body.insertRow();
    line.tabIndex = body.rows.length === 1 ? 0 : -1;
    line.append(cell("th", "", "row"), ...model.get("headings").slice(1).map(() => cell("td", "")));
    line.addEventListener("mouseenter", () => point(line.dataset.row));
    line.addEventListener("mouseleave", () => point(""));
    line.addEventListener("focus", () => {
      for (const other of body.rows) other.tabIndex = other === line ? 0 : -1;
      point(line.dataset.row);
    });
    line.addEventListener("blur", () => point(""));
    return line;
  }
  function draw() {
    const rows = model.get("rows");
    while (body.rows.length > rows.length) body.deleteRow(-1);
    rows.forEach((row, place) => {
      const line = body.rows[place] ?? addLine();
      line.dataset.row = row.row;
      [row.label, ...row.cells].forEach((text, i) => {
        if (line.cells[i].textContent !== text) line.cells[i].textContent = text;
      });
      line.classList.toggle("noise", row.noise);
    });
    light();
  }
  function light() {
    for (const line of body.rows) line.classList.toggle("lit", line.dataset.row === model.get("lit"));
  }
  const title = () => { table.caption.textContent = model.get("caption"); };
  body.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const line = step && body.rows[document.activeElement.sectionRowIndex + step];
    if (step) event.preventDefault();
    if (step) event.stopPropagation();
    line?.focus();
  });
  model.on("change:rows", draw);
  model.on("change:caption", title);
  model.on("change:lit", light);
  draw();
  title();
  el.appendChild(table);
}
export default { render };
"""

_STYLE: Final = """
.breakerlab-summary { border-collapse: collapse; font: 12px/1.35 Helvetica, Arial, sans-serif; color: #222; }
.breakerlab-summary { background: #fff; }
.breakerlab-summary caption { text-align: left; padding: 2px 6px; color: #444; caption-side: bottom; }
.breakerlab-summary th { font-weight: normal; text-align: left; padding: 0 4px 0 6px; }
.breakerlab-summary tbody th { max-width: 190px; overflow-wrap: anywhere; }
.breakerlab-summary thead th { font-weight: bold; text-align: right; border-bottom: 1px solid #999; }
.breakerlab-summary thead th { white-space: nowrap; }
.breakerlab-summary thead th:first-child { text-align: left; }
.breakerlab-summary td { text-align: right; padding: 0 6px 0 8px; white-space: nowrap; }
.breakerlab-summary td { font-variant-numeric: tabular-nums; }
.breakerlab-summary tr.noise td:nth-child(n+4) { color: #767676; }
.breakerlab-summary tbody tr:hover, .breakerlab-summary tr.lit { background: #D9E8F5; }
.breakerlab-summary tbody tr:focus { outline: 2px solid #0072B2 !important; outline-offset: -2px !important; }
"""


class SummaryTable(anywidget.AnyWidget):
    """The figures of both policies, a row a quantity; one stop of the Tab key, arrow keys go from row to row.

    `pointed` is the chart's row that the mouse or the keyboard points at, "" for none; `lit` marks rows from outside.
    """

    _esm = _SCRIPT
    _css = _STYLE
    headings = traitlets.List(["quantity", "A", "B", "B minus A", "95 % interval"]).tag(sync=True)
    rows = traitlets.List([]).tag(sync=True)
    caption = traitlets.Unicode("").tag(sync=True)
    pointed = traitlets.Unicode("").tag(sync=True)
    lit = traitlets.Unicode("").tag(sync=True)

    def __repr__(self) -> str:
        return "SummaryTable()"


def rows_of(a: Mapping[str, float], b: Mapping[str, float], differences: pd.DataFrame | None) -> list[dict[str, Any]]:
    """The rows of the table. differences: `Comparison.table` of B against A, or None while it is not known.

    Who served the answers is told where that need not be the LLM.
    """
    told = {} if differences is None else differences.set_index("quantity").to_dict("index")
    rows = []
    for quantity in QUANTITIES:
        rows.append(_row(quantity, a, b, told.get(quantity.key)))
        if quantity.key == "answered":
            rows += [_row(served, a, b, told.get(served.key)) for served in _served(a, b)]
    return rows


def _served(a: Mapping[str, float], b: Mapping[str, float]) -> list[Quantity]:
    keys = [key for key in {**a, **b} if key.startswith(BY)]
    names = [key.removeprefix(BY) for key in keys] if len(keys) > 1 else []
    labels = ("by the LLM" if name == "llm" else f"by {_short(name)}" for name in names)
    return [Quantity(BY + name, label, "", "answers") for name, label in zip(names, labels, strict=True)]


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"


def _row(
    quantity: Quantity, a: Mapping[str, float], b: Mapping[str, float], found: Mapping[str, Any] | None
) -> dict[str, Any]:
    first, second = (figures.get(quantity.key, 0.0) for figures in (a, b))  # whom a policy has not got serves nobody
    change = second - first if math.isfinite(first) and math.isfinite(second) else float("nan")
    interval = "" if found is None else _interval(quantity, found)
    cells = [_told(quantity, first), _told(quantity, second), _told(quantity, change, signed=True), interval]
    label = f"{quantity.label} ({quantity.unit})" if quantity.unit else quantity.label
    noise = found is not None and found["verdict"] == "noise"
    return {"label": label, "row": quantity.row, "cells": cells, "noise": noise}


def _interval(quantity: Quantity, found: Mapping[str, Any]) -> str:
    if found["verdict"] == "same":
        return "same"
    if found["verdict"] == "undefined":
        return "-"
    ends = f"{_told(quantity, found['low'], signed=True)} to {_told(quantity, found['high'], signed=True)}"
    return f"{ends}, noise" if found["verdict"] == "noise" else ends


def _told(quantity: Quantity, value: float, signed: bool = False) -> str:
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "never" if value > 0 else "minus infinity"
    scaled = 100.0 * value if quantity.unit == "%" else value
    sign = "+" if signed else ""
    return f"{scaled:{sign},.{quantity.digits}f}"
