"""Labels and tables that show text as it is: JupyterLab would set `$...$` in a log as a formula, with links in it."""

from typing import Any, Final

import ipywidgets as widgets
import pandas as pd
from IPython.core.getipython import get_ipython

IGNORE: Final = "mathjax_ignore"  # the class of what MathJax leaves alone
STARTS: Final = ("$", "\\(", "\\[", "\\begin")  # of a formula


class Label(widgets.Label):
    """A label whose text is never set as a formula."""

    def __init__(self, value: str = "", **options: Any) -> None:
        super().__init__(value, **options)
        self.add_class(IGNORE)

    def __repr__(self) -> str:
        return f"Label(value={self.value!r})"


def html_of(table: pd.DataFrame) -> str | None:
    """The table as pandas shows it, with its formulas left alone if there are any. None where pandas shows no HTML."""
    html = table._repr_html_()
    if html is None or not any(start in html for start in STARTS):
        return html
    with pd.option_context("display.html.use_mathjax", False):
        return table._repr_html_()


def leave_tables_alone() -> None:
    """Let IPython show tables so; nothing happens outside of it."""
    shell = get_ipython()
    if shell is not None:
        shell.display_formatter.formatters["text/html"].for_type(pd.DataFrame, html_of)
