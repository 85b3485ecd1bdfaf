"""A guess before the result: the reader says what will happen, and later sees both side by side."""

from collections.abc import Sequence
from typing import Any, Final

import ipywidgets as widgets

from breakerlab.lab.charts.rounding import told
from breakerlab.lab.no_formulas import Label

NO_GUESS: Final = "no guess yet"


class Prediction(widgets.VBox):
    """A question with choices, or with a number between `low` and `high`, that keeps the reader's guess.

        guess = Prediction("How many restarts will there be?", low=0, high=10, unit="restarts")
        guess                                  # shows the panel, in a cell of its own
        guess.reveal(run.summary()["restarts"])     # "You said 2 restarts, the replay has 3."

    It works by keyboard alone. With no guess made, as when all cells are run at once, it says so, and shows the result
    all the same. `guess` is the answer given, None without one; set it to answer from code.
    """

    def __init__(
        self,
        question: str,
        choices: Sequence[str] | None = None,
        *,
        low: float | None = None,
        high: float | None = None,
        unit: str = "",
        subject: str = "the replay",
    ) -> None:
        """choices: at least two words or sentences; or low and high, with their unit in the plural. subject: what the
        result comes from, for the sentence.

        Raises ValueError for neither, for both, or for a range that cannot be.
        """
        _check(choices, low, high)
        self._question, self._unit, self._subject = question, unit, subject
        self._answer: Any = None
        self._numeric = choices is None
        self._range = (low, high)
        self._control = _field(low, high, unit) if choices is None else _buttons(choices)
        self._said = Label(_made(None, ""))
        super().__init__([Label(question), self._control, self._said])
        self._control.observe(self._tell, names="value")

    @property
    def guess(self) -> Any:
        """The reader's answer: one of the choices, a number, or None."""
        return _number(self._control.value, *self._range) if self._numeric else self._control.value

    @guess.setter
    def guess(self, value: Any) -> None:
        if self._numeric:
            value = "" if value is None else str(value)
        self._control.value = value

    def reveal(self, answer: Any) -> None:
        """Print guess and result in one sentence, and keep it in the panel, where a later guess changes it.

        answer: a number, or one of the choices. Raises ValueError for another.
        """
        if self._numeric and (isinstance(answer, bool) or not isinstance(answer, int | float)):
            raise ValueError(f"the answer to {self._question!r} must be a number, not {answer!r}")
        if not self._numeric and answer not in self._control.options:
            known = ", ".join(map(repr, self._control.options))
            raise ValueError(f"the answer to {self._question!r} must be one of {known}, not {answer!r}")
        self._answer = answer
        self._tell(None)
        print(self.sentence)

    @property
    def sentence(self) -> str:
        """What the panel says now."""
        shown = self._in_words(self.guess)
        if self.guess is None and self._numeric and self._control.value.strip():
            return f"Please give a number from {told(self._range[0])} to {self._in_words(self._range[1])}."
        if self._answer is None:
            return _made(self.guess, shown)
        result = self._in_words(self._answer)
        verb = "has" if self._numeric else "says"
        if self.guess is None:
            return f"{NO_GUESS.capitalize()}; {self._subject} {verb} {result}."
        if shown == result:
            return f"You said {shown}, and so {verb} {self._subject}."
        return f"You said {shown}, {self._subject} {verb} {_without_unit(result, self._unit)}."

    def _tell(self, change: Any) -> None:
        self._said.value = self.sentence

    def _in_words(self, value: Any) -> str:
        if value is None:
            return NO_GUESS
        return counted(value, self._unit) if self._numeric else f'"{value}"'


def counted(value: float, unit: str) -> str:
    """A number with its unit, which is given in the plural: "1 restart", "3 restarts", "0.5 s"."""
    one = value == 1 and len(unit) > 2 and unit.endswith("s") and unit.isalpha()
    return f"{told(value)} {unit[:-1] if one else unit}".rstrip()


def _without_unit(words: str, unit: str) -> str:
    """The result after the guess has named the unit; one that is a singular keeps its own."""
    return words.removesuffix(f" {unit}") if unit else words


def _made(guess: Any, shown: str) -> str:
    return f"{NO_GUESS.capitalize()}." if guess is None else f"Your guess: {shown}."


def _field(low: float, high: float, unit: str) -> widgets.Text:
    """A field to write in, empty at first, so that a guess is something that the reader has done.

    No slider: to a screen reader ipywidgets' sliders say the number of the stop. No list: JupyterLab takes its arrow
    keys for moving between cells.
    """
    return widgets.Text(
        placeholder=f"{told(low)} to {counted(high, unit)}",
        description="Your guess",
        tooltip=f"a number from {told(low)} to {counted(high, unit)}",
        continuous_update=True,
        style={"description_width": "90px"},
        layout={"width": "300px"},
    )


def _number(text: str, low: float, high: float) -> float | None:
    """The number that was written, None for anything else and for one out of the range."""
    try:
        value = float(text)
    except ValueError:
        return None
    return (int(value) if value.is_integer() else value) if low <= value <= high else None


def _buttons(choices: Sequence[str]) -> widgets.RadioButtons:
    return widgets.RadioButtons(
        options=list(choices),
        value=None,
        description="Your guess",
        tooltip="Tab moves from one to the next, the space bar chooses",
        style={"description_width": "90px"},
        layout={"width": "max-content"},
    )


def _check(choices: Any, low: Any, high: Any) -> None:
    ranged = low is not None or high is not None
    if (choices is None) == (not ranged):
        raise ValueError("Prediction needs either choices, or low and high")
    if choices is not None:
        if isinstance(choices, str) or len(choices) < 2 or len(set(choices)) < len(choices):
            raise ValueError(f"Prediction.choices must be at least two different answers, not {choices!r}")
        return
    if low is None or high is None or not low < high:
        raise ValueError(f"Prediction goes from low to a higher high, not from {low!r} to {high!r}")
