"""What a notebook shows: charts, tables and panels over logs and simulated runs, predictions and exercises."""

from breakerlab.lab import charts
from breakerlab.lab.charts import cascade
from breakerlab.lab.exercise import check
from breakerlab.lab.explorer import Explorer, explore
from breakerlab.lab.panel import CascadePanel
from breakerlab.lab.prediction import Prediction
from breakerlab.lab.show import show
from breakerlab.lab.tables import attempts_table, eight_steps_table, what_changed

__all__ = [
    "CascadePanel",
    "Explorer",
    "Prediction",
    "attempts_table",
    "cascade",
    "charts",
    "check",
    "eight_steps_table",
    "explore",
    "show",
    "what_changed",
]
