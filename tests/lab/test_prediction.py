"""A guess is kept, and shown against the result; unattended it says that there was none."""

import json

import ipywidgets as widgets
import pytest

from breakerlab.lab import Prediction
from breakerlab.lab.prediction import counted


@pytest.fixture
def restarts() -> Prediction:
    return Prediction("How many restarts?", low=0, high=10, unit="restarts")


@pytest.fixture
def more_or_fewer() -> Prediction:
    return Prediction("Will more be answered?", ["more", "fewer", "as many"])


def said(panel: Prediction) -> str:
    return panel.children[-1].value


@pytest.mark.parametrize(
    ("guess", "answer", "sentence"),
    [
        (2, 3.0, "You said 2 restarts, the replay has 3."),
        (1, 3, "You said 1 restart, the replay has 3."),
        (2, 1, "You said 2 restarts, the replay has 1 restart."),
        (3, 3.0, "You said 3 restarts, and so has the replay."),
        (None, 3.0, "No guess yet; the replay has 3 restarts."),
    ],
)
def test_a_number_is_shown_against_the_result(restarts, capsys, guess, answer, sentence) -> None:
    restarts.guess = guess
    restarts.reveal(answer)
    assert capsys.readouterr().out == f"{sentence}\n"
    assert said(restarts) == sentence


def test_a_choice_is_shown_against_the_result(more_or_fewer, capsys) -> None:
    more_or_fewer.reveal("more")
    more_or_fewer.guess = "fewer"
    more_or_fewer.reveal("more")
    more_or_fewer.guess = "more"
    more_or_fewer.reveal("more")
    assert capsys.readouterr().out.splitlines() == [
        'No guess yet; the replay says "more".',
        'You said "fewer", the replay says "more".',
        'You said "more", and so says the replay.',
    ]


def test_a_guess_after_the_result_changes_what_the_panel_says(restarts) -> None:
    assert said(restarts) == "No guess yet."
    restarts.guess = 4
    assert said(restarts) == "Your guess: 4 restarts."
    restarts.reveal(3)
    restarts.guess = 5
    assert said(restarts) == "You said 5 restarts, the replay has 3."


def test_a_field_starts_without_a_guess_and_zero_is_one(restarts) -> None:
    assert restarts.guess is None
    restarts.guess = 0
    restarts.reveal(0)
    assert said(restarts) == "You said 0 restarts, and so has the replay."


def test_two_panels_show_the_same_text(more_or_fewer) -> None:
    """nbval compares the text of a panel between two runs."""
    again = Prediction("Will more be answered?", ["more", "fewer", "as many"])
    assert repr(again) == repr(more_or_fewer)
    assert isinstance(more_or_fewer, widgets.VBox)


def test_nothing_in_it_is_html_and_each_control_is_described(restarts, more_or_fewer) -> None:
    payload = "<img src=x onerror=alert(1)>"
    panel = Prediction(payload, [payload, "b"])
    for one in (panel, restarts, more_or_fewer):
        question, control, _ = one.children
        assert isinstance(question, widgets.Label)
        assert not any(isinstance(child, widgets.HTML | widgets.HTMLMath) for child in one.children)
        assert control.description == "Your guess"
        assert control.tooltip
    assert json.dumps(panel.children[0].get_state()["value"]) == json.dumps(payload)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "either choices, or low and high"),
        ({"choices": ["a", "b"], "low": 0}, "either choices, or low and high"),
        ({"choices": ["a"]}, "at least two"),
        ({"choices": ["a", "a"]}, "at least two different"),
        ({"choices": "yes"}, "at least two"),
        ({"low": 0}, "goes from low"),
        ({"low": 3, "high": 3}, "goes from low"),
    ],
)
def test_what_is_no_question_is_refused(options, message) -> None:
    with pytest.raises(ValueError, match=message):
        Prediction("?", **options)


def test_an_answer_of_another_kind_is_refused(restarts, more_or_fewer) -> None:
    with pytest.raises(ValueError, match="must be a number"):
        restarts.reveal("three")
    with pytest.raises(ValueError, match="must be one of 'more', 'fewer'"):
        more_or_fewer.reveal("less")


@pytest.mark.parametrize("text", ["three", "11", "-1", "nan", "inf", "1e400", "<b>2</b>"])
def test_what_is_no_number_in_the_range_is_no_guess(restarts, capsys, text: str) -> None:
    restarts.children[1].value = text
    assert restarts.guess is None
    assert said(restarts) == "Please give a number from 0 to 10 restarts."
    restarts.children[1].value = " 2.5 "
    assert said(restarts) == "Your guess: 2.5 restarts."
    restarts.children[1].value = " "
    assert said(restarts) == "No guess yet."


def test_units_follow_their_number() -> None:
    assert [counted(1, "restarts"), counted(1, "s"), counted(1, "requests/s"), counted(1500, "")] == [
        *("1 restart", "1 s", "1 requests/s", "1,500")
    ]
