"""Labels and tables leave dollar signs alone: tests/browser/test_hostile.py sees that JupyterLab does so too."""

from types import SimpleNamespace

import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter

from breakerlab.lab import no_formulas
from breakerlab.lab.no_formulas import IGNORE, Label, html_of, leave_tables_alone

ORDINARY = pd.DataFrame({"endpoint": ["GET /menu", "<b>"]})


def test_a_label_is_ignored_by_mathjax_and_prints_as_any_label() -> None:
    assert IGNORE in Label("$x$")._dom_classes
    assert repr(Label("$x$")) == "Label(value='$x$')"


@pytest.mark.parametrize("formula", ["$x$", r"\(x\)", r"\[x\]", r"\begin{math}x\end{math}"])
def test_a_table_with_a_formula_is_ignored_by_mathjax(formula: str) -> None:
    assert IGNORE in html_of(pd.DataFrame({"endpoint": [formula]}))
    assert IGNORE in html_of(pd.DataFrame({formula: [1]}))


def test_any_other_table_is_shown_as_pandas_shows_it() -> None:
    assert html_of(ORDINARY) == ORDINARY._repr_html_()


def test_no_html_where_pandas_is_told_to_show_none() -> None:
    with pd.option_context("display.notebook_repr_html", False):
        assert html_of(ORDINARY) is None


def test_ipython_shows_tables_so(monkeypatch: pytest.MonkeyPatch) -> None:
    formatter = DisplayFormatter()
    monkeypatch.setattr(no_formulas, "get_ipython", lambda: SimpleNamespace(display_formatter=formatter))
    leave_tables_alone()
    shown, _ = formatter.format(pd.DataFrame({"endpoint": ["$x$"]}))
    assert IGNORE in shown["text/html"]
