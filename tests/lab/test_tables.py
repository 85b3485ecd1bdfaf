"""The tables that say what changed."""

import pytest

from breakerlab.lab import attempts_table, eight_steps_table, what_changed
from breakerlab.lab.tables import counts, speed_and_answers
from breakerlab.policy import Policy, Retry, RetryBudget
from breakerlab.replay import Run, Scenario, replay


def test_what_changed_counts_what_the_tables_hold(naive: Run, guarded: Run) -> None:
    table = what_changed({"naive": naive, "guarded": guarded})
    attempts = naive.trace.attempts
    llm = attempts[attempts["service"] == "llm"]
    assert table.loc["Attempts sent to the LLM", "naive"] == f"{len(llm):,}"
    assert table.loc["Attempts answered 503", "naive"] == f"{(llm['status'] == 503).sum():,}"
    app = attempts[(attempts["service"] == "app") & (attempts["endpoint"] == "GET /search")]
    assert table.loc["Requests to other endpoints", "naive"] == f"{len(app):,}"
    assert table.loc["Requests to other endpoints that failed", "naive"] == f"{(app['outcome'] != 'ok').sum():,}"
    assert table.loc["Restarts of the app", "guarded"] == "0"


def test_eight_steps_are_seen_under_naive_retries_and_not_under_the_recommended_policy(
    naive: Run, guarded: Run
) -> None:
    table = eight_steps_table({"naive": naive, "guarded": guarded})
    assert len(table) == 8
    assert "not seen" not in set(table["naive"])
    assert table["guarded"].iloc[7] == "not seen"


def test_a_refusal_by_a_budget_is_not_called_the_breakers(scenario: Scenario) -> None:
    retry = Retry(attempts=4, budget=RetryBudget(ratio=0.1, burst=1.0))
    run = replay(scenario, Policy(retry=retry))
    refused = (run.trace.attempts["outcome"] == "rejected").sum()
    assert refused > 0
    table = what_changed({"budget, no breaker": run})
    assert not [row for row in table.index if "breaker" in row]
    assert table.loc["Attempts refused locally, never sent"].item() == f"{refused:,}"


def test_attempts_are_listed_with_start_end_and_outcome(guarded: Run) -> None:
    table = attempts_table(guarded)
    attempts = guarded.trace.attempts
    first = attempts[attempts["service"] == "llm"].iloc[0]
    ends = first["time"] + first["latency"]
    assert table.index[0] == "attempt 1"
    assert table.iloc[0].tolist() == [f"{first['time']:.1f} s", f"{ends:.1f} s", first["outcome"]]
    assert len(table) == (attempts["service"] == "llm").sum()


def test_speed_stands_beside_answers(naive: Run, guarded: Run) -> None:
    """A refusal is quick: the 95th percentile is of all callers, whatever they were told."""
    table = speed_and_answers({"naive": naive, "guarded": guarded})
    latency = guarded.requests["latency"].sort_values().to_numpy()
    told = table.loc["guarded", "95 % of all callers hear something within"]
    assert float(told.removesuffix(" s")) == pytest.approx(latency[int(0.95 * len(latency))], abs=0.05)
    assert table.loc["naive", "answered while the caller waited"] == f"{naive.summary()['success_rate']:.1%}"


def test_counts_of_runs_with_a_number_more(naive: Run, guarded: Run) -> None:
    table = counts({"naive": naive, "guarded": guarded}, "latency_p90")
    n = guarded.summary()
    assert list(table.columns) == ["requests", "answered", "attempts", "refused", "success latency, 90 % (s)"]
    assert list(table.loc["guarded"])[:2] == [f"{n['requests']:,.0f}", f"{n['answered']:,.0f}"]
    assert table.loc["guarded", "refused"] == f"{n['rejected']:,.0f}" != "0"
    assert table.loc["guarded", "success latency, 90 % (s)"] == f"{n['latency_p90']:.2f}"
