"""The tables that say what changed."""

from breakerlab.lab import eight_steps_table, what_changed
from breakerlab.replay import Run


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
