"""What a notebook shows: charts, tables and panels over logs and simulated runs, predictions and exercises."""

from breakerlab.lab import charts
from breakerlab.lab.assumed_server_panel import AssumedServerPanel
from breakerlab.lab.charts import cascade
from breakerlab.lab.exercise import check
from breakerlab.lab.explorer import Explorer, explore
from breakerlab.lab.no_formulas import leave_tables_alone
from breakerlab.lab.panel import CascadePanel
from breakerlab.lab.prediction import Prediction
from breakerlab.lab.recordings_panel import RecordingsPanel
from breakerlab.lab.show import show
from breakerlab.lab.tables import attempts_table, eight_steps_table, what_changed
from breakerlab.lab.unstored import UnstoredFigures

__all__ = [
    "AssumedServerPanel",
    "CascadePanel",
    "Explorer",
    "Prediction",
    "RecordingsPanel",
    "UnstoredFigures",
    "attempts_table",
    "cascade",
    "charts",
    "check",
    "eight_steps_table",
    "explore",
    "show",
    "what_changed",
]

leave_tables_alone()
