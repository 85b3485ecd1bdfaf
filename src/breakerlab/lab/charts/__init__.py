"""Charts: each takes logs or runs (or the table of an experiment) and returns a plotly Figure in one style."""

from breakerlab.lab.charts.budgets import budgets
from breakerlab.lab.charts.circuit import state_diagram
from breakerlab.lab.charts.contended_row import competing_clients
from breakerlab.lab.charts.delays import jitter_delays
from breakerlab.lab.charts.eight_steps import anatomy
from breakerlab.lab.charts.false_trips import false_trips
from breakerlab.lab.charts.fates import fates
from breakerlab.lab.charts.herd import retry_histogram
from breakerlab.lab.charts.intervals import differences
from breakerlab.lab.charts.latency import latencies
from breakerlab.lab.charts.load import amplification
from breakerlab.lab.charts.metastable import recovery_map
from breakerlab.lab.charts.orders import orders
from breakerlab.lab.charts.overload import overload, recoveries
from breakerlab.lab.charts.predicted_counts import predicted_counts
from breakerlab.lab.charts.predicted_course import predicted_course
from breakerlab.lab.charts.predicted_recordings import predicted_recordings
from breakerlab.lab.charts.runs import fault_windows, lines
from breakerlab.lab.charts.served import answers
from breakerlab.lab.charts.small_clients import small_clients
from breakerlab.lab.charts.staleness import staleness
from breakerlab.lab.charts.text import plain
from breakerlab.lab.charts.time_axis import MOST_RUNS, PANELS, Panel, cascade, series

__all__ = [
    "MOST_RUNS",
    "PANELS",
    "Panel",
    "amplification",
    "anatomy",
    "answers",
    "budgets",
    "cascade",
    "competing_clients",
    "differences",
    "false_trips",
    "fates",
    "fault_windows",
    "jitter_delays",
    "latencies",
    "lines",
    "orders",
    "overload",
    "plain",
    "predicted_counts",
    "predicted_course",
    "predicted_recordings",
    "recoveries",
    "recovery_map",
    "retry_histogram",
    "series",
    "small_clients",
    "staleness",
    "state_diagram",
]
