"""The explorer's table: what came of policies A and B, their difference, and whether it is more than noise.

It is a small widget of its own, because its rows tell which part of the chart they belong to. All text is set as text,
never as markup.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import anywidget
import pandas as pd
import traitlets

from breakerlab.lab.quantities import BY, Quantity, quantity
from breakerlab.lab.service_name import ServiceName

ROWS: Final = {
    "requests": "load",
    "answered": "answers",
    "success_rate": "answers",
    "goodput": "answers",
    "attempts": "load",
    "amplification": "load",
    "status_503": "failures",
    "status_429": "failures",
    "timeouts": "failures",
    "rejected": "breaker",
    "other_failed": "other",
    "pool_peak": "pool",
    "restarts": "breaker",
    "lost": "breaker",
    "duplicates": "load",
    "latency_p50": "answers",
    "latency_p99": "answers",
    "failure_p50": "answers",
    "rejection_p50": "breaker",
    "time_to_recover": "answers",
}
"""The figures of `Run.summary` that the table has, each with the row of the chart that it belongs to."""

LONGEST: Final = 50  # characters of a label, which may name who served

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


def rows_of(
    a: Mapping[str, float], b: Mapping[str, float], differences: pd.DataFrame | None, service: ServiceName
) -> list[dict[str, Any]]:
    """The rows of the table. differences: `Comparison.table` of B against A, or None while it is not known.

    Who served the answers is told where that need not be the service.
    """
    found = {} if differences is None else differences.set_index("quantity").to_dict("index")
    rows = []
    for name, row in ROWS.items():
        for shown in (name, *(_served(a, b) if name == "answered" else ())):
            rows.append({"row": row, **_told(quantity(shown, service), shown, a, b, found.get(shown))})
    return rows


def _served(a: Mapping[str, float], b: Mapping[str, float]) -> list[str]:
    names = [name for name in {**a, **b} if name.startswith(BY)]
    return names if len(names) > 1 else []


def _told(
    known: Quantity, name: str, a: Mapping[str, float], b: Mapping[str, float], found: Mapping[str, Any] | None
) -> dict[str, Any]:
    first, second = (figures.get(name, 0.0) for figures in (a, b))  # whom a policy has not got serves nobody
    change = second - first if math.isfinite(first) and math.isfinite(second) else float("nan")
    interval = "" if found is None else _interval(known, found)
    cells = [known.told(first), known.told(second), known.told(change, signed=True), interval]
    noise = found is not None and found["verdict"] == "noise"
    return {"label": _short(known.title), "cells": cells, "noise": noise}


def _short(label: str) -> str:
    return label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}…"


def _interval(known: Quantity, found: Mapping[str, Any]) -> str:
    if found["verdict"] == "same":
        return "same"
    if found["verdict"] == "undefined":
        return "-"
    ends = f"{known.told(found['low'], signed=True)} to {known.told(found['high'], signed=True)}"
    return f"{ends}, noise" if found["verdict"] == "noise" else ends
