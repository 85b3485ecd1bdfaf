"""The explorer's chart: two policies on one time axis, from the load offered to who answered.

It draws itself, because a slider must not wait: plotly takes 70 ms and more for six rows on axes of their own, this
takes a few. All text is set as text, never as markup.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import anywidget
import numpy as np
import pandas as pd
import traitlets

from breakerlab.lab.service_name import ServiceName
from breakerlab.lab.span import unit_of
from breakerlab.lab.style import FAULT, GRID, INK, LINES, OFFERED_AREA
from breakerlab.replay import Run, Scenario

NAMES: Final = ("A", "B")
HEIGHT: Final = 540
MOST_BINS: Final = 120
NICE_BINS: Final = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0),
    *(60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0, 14400.0, 43200.0),
)
DAY: Final = 86400.0
POOL_SAMPLED: Final = 0.5  # s
STATE_HEIGHTS: Final = (0.0, 2.0, 1.0)  # the timeline says 0 closed, 1 open, 2 half-open
STATES: Final = ("closed", "half-open", "open", "restart")

Values = list[float | None]


@dataclass(frozen=True)
class Row:
    """One row of the chart: its title, unit, and what is drawn solid and dotted, by column of the timeline.

    The title leaves room for the service's name.
    """

    key: str
    title: str
    unit: str
    solid: str
    dotted: str | None = None


ROWS: Final = (
    Row("load", "Attempts on the {service}; grey: load offered", "per s", "attempts"),
    Row("failures", "503 answers; dotted: timeouts", "per s", "status_503", "timeouts"),
    Row("pool", "Workers in use", "workers", "pool"),
    Row("other", "Other endpoints: failed; dotted: answered", "per s", "other_failed", "other_goodput"),
    Row("breaker", "Breaker; crosses: restarts; ▲: failed health checks", "", "breaker"),
    Row("answers", "{Service} answers in time; dotted: by a fallback", "per s", "served_by_llm", "served_by_fallback"),
)


def bin_for(duration: float) -> float:
    """Seconds of a bin with which a run of `duration` seconds has at most 120 bins."""
    nice = next((bin for bin in NICE_BINS if duration / bin <= MOST_BINS), None)
    return nice or DAY * math.ceil(duration / DAY / MOST_BINS)


def drawn(run: Run, bin: float) -> dict[str, Values]:
    """What is drawn of one run: a list a column, None for a gap; `time` in seconds.

    `restarts` and `failed_checks` are moments (s).
    """
    timeline = run.timeline(bin)
    end = int(np.searchsorted(timeline.index.to_numpy(), run.scenario.duration))
    timeline = timeline.iloc[: max(1, end)].copy()
    timeline["pool"] = _between_samples(timeline["pool"], bin)
    columns = {name: _values(timeline[name]) for row in ROWS for name in columns_of(row) if name in timeline}
    columns["served_by_fallback"] = _values(_by_fallbacks(timeline))
    columns["breaker"] = _states(run, timeline)
    columns["offered"] = _values(timeline["offered"])
    events = run.trace.events
    kind, value, time = (events[name].to_numpy() for name in ("kind", "value", "time"))
    return {
        "time": _values(timeline.index),
        **columns,
        "restarts": _values(time[(kind == "restart") & (value == 1)]),
        "failed_checks": _values(time[(kind == "health") & (value == 0)]),
    }


def _between_samples(pool: pd.Series[float], bin: float) -> pd.Series[float]:
    """The pool is sampled twice a second: in narrower bins the last sample holds until the next, and no longer."""
    held = math.ceil(POOL_SAMPLED / bin) - 1
    return pool.ffill(limit=held) if held else pool


def _values(numbers: Any) -> Values:
    return [None if number != number else number for number in np.asarray(numbers).tolist()]


def _packed(lines: list[dict[str, Values]], _: Any) -> list[dict[str, Any]]:
    """A policy's columns as one run of single-precision floats, NaN for a gap: to write them as text takes longer."""
    return [
        {
            "columns": [(name, len(values)) for name, values in columns.items()],
            "numbers": np.concatenate([np.array(values, np.float32) for values in columns.values()]).tobytes(),
        }
        for columns in lines
    ]


def columns_of(row: Row) -> tuple[str, ...]:
    return (row.solid,) if row.dotted is None else (row.solid, row.dotted)


def _by_fallbacks(timeline: pd.DataFrame) -> Any:
    others = [name for name in timeline if name.startswith("served_by_") and name != "served_by_llm"]
    return timeline[others].sum(axis=1).to_numpy() if others else np.zeros(len(timeline))


def _states(run: Run, timeline: pd.DataFrame) -> Values:
    if run.policy.breaker is None:
        return [None] * len(timeline)
    return [STATE_HEIGHTS[int(state)] for state in timeline["breaker"].fillna(0.0)]


_SCRIPT: Final = """
const SVG = "http://www.w3.org/2000/svg";
const LEFT = 74, RIGHT = 10, TOP = 26, BOTTOM = 34, GAP = 21;

function add(parent, tag, attributes = {}, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  if (text !== undefined) made.textContent = text;
  parent.appendChild(made);
  return made;
}

// What a policy's line is drawn from: an array a column, NaN for a gap.
function unpack({ columns, numbers }) {
  const { buffer, byteOffset, byteLength } = numbers, data = {};
  const all = new Float32Array(buffer.slice(byteOffset, byteOffset + byteLength));  // a copy, which is aligned
  let from = 0;
  for (const [name, length] of columns) data[name] = all.subarray(from, from += length);
  return data;
}

const short = (value, digits) => Number(value.toPrecision(digits)).toLocaleString("en", { maximumFractionDigits: 9 });

function niceStep(span, most) {
  const rough = span / most, power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => step >= rough * 0.9999);
}

function stepped(time, values, x, y, end) {
  let path = "", open = false;
  for (let i = 0; i < time.length; i++) {
    if (Number.isNaN(values[i])) { open = false; continue; }
    const at = y(values[i]).toFixed(1);
    path += open ? `V${at}` : `M${x(time[i]).toFixed(1)},${at}`;
    path += `H${x(time[i + 1] ?? end).toFixed(1)}`;
    open = true;
  }
  return path;
}

const shape = { cross: (x, y) => `M${x - 4},${y - 4}l8,8m0,-8l-8,8`, triangle: (x, y) => `M${x},${y - 5}l5,9h-10z` };

function render({ model, el }) {
  const look = model.get("look"), rows = look.rows, names = look.names, styles = look.styles;
  const height = look.height, each = (height - TOP - BOTTOM) / rows.length;
  const box = document.createElement("div");
  box.className = "breakerlab-lines";
  box.tabIndex = 0;
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Chart over time");
  const svg = add(box, "svg", { height, role: "img" });
  const told = document.createElement("div");
  told.className = "breakerlab-told";
  told.setAttribute("role", "status");
  box.appendChild(told);
  el.appendChild(box);
  svg.setAttribute("aria-label", `Chart of policies A and B over time, ${rows.length} rows: ` +
    rows.map((row) => row.title).join("; ") + ". Arrow keys tell the figures of a moment; the table sums them up.");
  const shades = add(svg, "g", { fill: look.fault });
  const legend = add(svg, "g", { "font-size": 12 });
  let place = LEFT;
  add(legend, "rect", { x: place, y: 3, width: 22, height: 9, fill: look.offered });
  add(legend, "text", { x: place + 27, y: 12 }, "load offered");
  names.forEach((name, i) => {
    place += i ? 70 : 115;
    add(legend, "path", { d: `M${place},8h24`, stroke: styles[i].color, "stroke-width": styles[i].width });
    add(legend, "text", { x: place + 29, y: 12 }, name);
  });
  add(legend, "rect", { x: place + 60, y: 3, width: 22, height: 9, fill: look.fault });
  add(legend, "text", { x: place + 87, y: 12 }, "fault");
  const parts = rows.map((row, i) => {
    const top = TOP + i * each + GAP - 4, bottom = TOP + (i + 1) * each - 4;
    const group = add(svg, "g", { "data-row": row.key });
    const mark = add(group, "rect", { x: 0, y: top - 16, height: bottom - top + 20, class: "mark" });
    const grid = add(group, "path", { stroke: look.grid, fill: "none" });
    const title = add(group, "text", { x: LEFT, y: top - 4, "font-size": 12 }, row.title);
    const middle = (top + bottom) / 2;
    add(group, "text", { x: 14, y: middle, "font-size": 11, "text-anchor": "middle",
      transform: `rotate(-90 14 ${middle})` }, row.unit);
    const ticks = add(group, "g", { "font-size": 11, "text-anchor": "end" });
    const area = row.key === "load" ? add(group, "path", { fill: look.offered }) : null;
    const lines = names.map((name, n) => row.columns.map((column, c) => add(group, "path", { fill: "none",
      stroke: styles[n].color, "stroke-width": c ? 1.5 : styles[n].width, "stroke-dasharray": c ? "2,2" : "none" })));
    const marks = row.key === "breaker" ? names.map((name, n) => ({
      restarts: add(group, "path", { fill: "none", stroke: styles[n].color, "stroke-width": 2.5 }),
      failed_checks: add(group, "path", { fill: styles[n].color }) })) : null;
    return { row, top, bottom, group, mark, grid, title, ticks, area, lines, marks };
  });
  const axis = add(svg, "g", { "font-size": 11, "text-anchor": "middle" });
  const cursor = add(svg, "path", { stroke: look.ink, "stroke-width": 1, "stroke-dasharray": "3,3", fill: "none" });
  let width = 0, moment = null, pointedRow = "";

  let lines = model.get("lines").map(unpack);
  const data = (n) => lines[n];
  const x = (time) => LEFT + (time / look.duration) * (width - LEFT - RIGHT);

  function drawRow(part) {
    const { row, top, bottom } = part;
    const values = names.flatMap((name, n) => row.columns.flatMap((column) => [...data(n)[column]]));
    if (part.area) values.push(...data(0).offered);
    const most = Math.max(0, ...values.filter((value) => !Number.isNaN(value)));
    const highest = row.states.length ? row.states.length - 0.6 : most || 1;
    const lowest = row.states.length ? -0.4 : 0;
    const step = row.states.length ? 1 : niceStep(highest, 3);
    const end = row.states.length ? highest : Math.ceil(highest / step - 1e-6) * step;
    const y = (value) => bottom - ((value - lowest) / (end - lowest)) * (bottom - top);
    const wanted = [];
    for (let i = 0; i * step <= end + 1e-6 * step; i++) wanted.push(i * step);
    while (part.ticks.childNodes.length > wanted.length) part.ticks.lastChild.remove();
    while (part.ticks.childNodes.length < wanted.length) add(part.ticks, "text", { x: LEFT - 5 });
    wanted.forEach((at, i) => {
      const label = part.ticks.childNodes[i], text = row.states[at] ?? short(at, 6);
      label.setAttribute("y", y(at) + 4);
      if (label.textContent !== text) label.textContent = text;
    });
    part.grid.setAttribute("d", wanted.map((at) => `M${LEFT},${y(at).toFixed(1)}H${width - RIGHT}`).join(""));
    names.forEach((name, n) => row.columns.forEach((column, c) =>
      part.lines[n][c].setAttribute("d", stepped(data(n).time, data(n)[column], x, y, look.duration))));
    if (part.area) {
      const path = stepped(data(0).time, data(0).offered, x, y, look.duration);
      part.area.setAttribute("d", path && `${path}V${bottom}H${LEFT}z`);
    }
    part.marks?.forEach((mark, n) => {
      for (const [kind, form, at] of [["restarts", "cross", 3], ["failed_checks", "triangle", 2.6]])
        mark[kind].setAttribute("d", Array.from(data(n)[kind], (t) => shape[form](x(t), y(at - 0.25 * n))).join(""));
    });
  }

  function drawAxis() {
    const whole = look.duration / look.unit.seconds, step = niceStep(whole, width > 500 ? 8 : 5);
    axis.replaceChildren();
    for (let i = 0; i * step <= whole * (1 + 1e-9); i++)
      add(axis, "text", { x: x(i * step * look.unit.seconds), y: height - BOTTOM + 12 }, short(i * step, 6));
    add(axis, "text", { x: (LEFT + width - RIGHT) / 2, y: height - 4 }, `time (${look.unit.name})`);
  }

  function shade() {
    shades.replaceChildren();
    const tall = { y: TOP + 2, height: height - TOP - BOTTOM - 2 };
    for (const [start, end] of model.get("faults"))
      add(shades, "rect", { ...tall, x: x(start), width: Math.max(0, x(end) - x(start)) });
  }

  function draw() {
    if (!width) return;
    parts.forEach(drawRow);
    tell();
  }

  function resize() {
    const now = Math.floor(box.clientWidth);
    if (!now || now === width) return;
    width = now;
    svg.setAttribute("width", width);
    for (const part of parts) part.mark.setAttribute("width", width);
    drawAxis();
    shade();
    draw();
  }

  function light() {
    const lit = model.get("lit");
    for (const part of parts) part.group.classList.toggle("lit", part.row.key === lit);
  }

  function tell() {
    cursor.setAttribute("d", moment === null ? "" : `M${x(moment).toFixed(1)},${TOP + 2}V${height - BOTTOM}`);
    if (moment === null) { told.textContent = ""; return; }
    const chosen = rows.filter((row) => row.key === (pointedRow || "load"));
    const texts = names.map((name, n) => {
      const { time } = data(n);
      let i = time.findLastIndex((t) => t <= moment + 1e-9);
      return `${name} ` + chosen.flatMap((row) => row.columns.map((column) => {
        const value = data(n)[column][i];
        return value === undefined || Number.isNaN(value) ? "-" : row.states[value] ?? short(value, 3);
      })).join(" and ");
    });
    const when = `${short(moment / look.unit.seconds, 4)} ${look.unit.name}`;
    told.textContent = `${when}, ${chosen[0].title}: ${texts.join(", ")} ${chosen[0].unit}`;
  }

  function point(row) {
    pointedRow = row;
    if (model.get("pointed") !== row) { model.set("pointed", row); model.save_changes(); }
  }

  svg.addEventListener("mousemove", (event) => {
    const at = svg.getBoundingClientRect(), y = event.clientY - at.top;
    const share = (event.clientX - at.left - LEFT) / (width - LEFT - RIGHT);
    const part = parts.find(({ top, bottom }) => y >= top - 16 && y <= bottom + 4);
    moment = part && share >= 0 && share <= 1 ? share * look.duration : null;
    point(part ? part.row.key : "");
    tell();
  });
  svg.addEventListener("mouseleave", () => { moment = null; point(""); tell(); });
  box.addEventListener("keydown", (event) => {
    const along = { ArrowRight: 1, ArrowLeft: -1 }[event.key], across = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!along && !across) return;
    event.preventDefault();
    event.stopPropagation();
    const keys = rows.map((row) => row.key), now = Math.max(0, keys.indexOf(pointedRow));
    if (across) point(keys[Math.min(keys.length - 1, Math.max(0, now + across))]);
    else point(keys[now]);
    moment = Math.min(look.duration, Math.max(0, (moment ?? 0) + (along ?? 0) * look.bin));
    tell();
  });
  box.addEventListener("blur", () => { moment = null; point(""); tell(); });
  model.on("change:lines", () => { lines = model.get("lines").map(unpack); draw(); });
  model.on("change:faults", shade);
  model.on("change:lit", light);
  const observer = new ResizeObserver(resize);
  observer.observe(box);
  resize();
  light();
  return () => observer.disconnect();
}
export default { render };
"""

_STYLE: Final = """
.breakerlab-lines { width: 100%; min-width: 0; background: #fff; position: relative; overflow: hidden; }
.breakerlab-lines svg { display: block; font-family: Helvetica, Arial, sans-serif; fill: #222; }
.breakerlab-lines .mark { fill: none; }
.breakerlab-lines .lit .mark { fill: #D9E8F5; fill-opacity: 0.6; }
.breakerlab-told { height: 17px; font: 12px/17px Helvetica, Arial, sans-serif; color: #222; padding-left: 6px; }
.breakerlab-told { white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
"""


class ExplorerChart(anywidget.AnyWidget):
    """Six rows over time, a line a policy in each.

    `lines` is what `drawn` gives, a table a policy; `faults` the windows (s) that are shaded. `pointed` is the row that
    the mouse or the arrow keys point at, "" for none; `lit` marks a row from outside.
    """

    _esm = _SCRIPT
    _css = _STYLE
    look = traitlets.Dict().tag(sync=True)
    lines = traitlets.List([]).tag(sync=True, to_json=_packed)
    faults = traitlets.List([]).tag(sync=True)
    pointed = traitlets.Unicode("").tag(sync=True)
    lit = traitlets.Unicode("").tag(sync=True)

    def __init__(self, scenario: Scenario, bin: float, lines: list[dict[str, Values]], service: ServiceName) -> None:
        rows = [
            {
                "key": row.key,
                "title": service.put_into(row.title),
                "unit": row.unit,
                "columns": columns_of(row),
                "states": STATES if row.key == "breaker" else (),
            }
            for row in ROWS
        ]
        look = {
            "rows": rows,
            "names": NAMES,
            "styles": [{"color": line.color, "width": line.width} for line in LINES[: len(NAMES)]],
            "height": HEIGHT,
            "duration": scenario.duration,
            "unit": unit_of(scenario.duration)._asdict(),
            "bin": bin,
            "offered": OFFERED_AREA,
            "fault": FAULT,
            "grid": GRID,
            "ink": INK,
        }
        super().__init__(look=look, lines=lines, faults=fault_windows(scenario))

    def __repr__(self) -> str:
        return "ExplorerChart()"


def fault_windows(scenario: Scenario) -> list[tuple[float, float]]:
    """(start, end) of each fault, in seconds, as far as the scenario lasts."""
    duration = scenario.duration
    return [(fault.start, min(fault.end, duration)) for fault in scenario.faults if fault.start < duration]
