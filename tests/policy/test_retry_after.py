"""What a response asks to wait, from headers that nobody can trust."""

import subprocess
import sys
import time
from email.message import Message
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from breakerlab.policy.retry_after import retry_after_of

NOW = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
HALF_A_MINUTE_LATER = "Sun, 06 Nov 1994 08:50:07 GMT"


def asked(headers: Any, now: float = NOW) -> float | None:
    return retry_after_of(headers, wall=lambda: now)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3", 3.0), ("0", 0.0), (" 120 ", 120.0), ("0.5", 0.5), ("+2", 2.0), ("-1", 0.0), ("-0.0", 0.0), ("1e3", 1000.0)],
)
def test_seconds(text: str, seconds: float) -> None:
    assert asked({"Retry-After": text}) == seconds
    assert str(asked({"Retry-After": text})) == str(seconds)  # no minus before the zero


@pytest.mark.parametrize(("text", "seconds"), [("1500", 1.5), ("1", 0.001), ("-20", 0.0), ("2.5", 0.0025)])
def test_milliseconds(text: str, seconds: float) -> None:
    assert asked({"retry-after-ms": text}) == seconds


def test_milliseconds_say_it_more_finely_and_go_first() -> None:
    assert asked({"retry-after": "2", "retry-after-ms": "1234"}) == 1.234
    assert asked({"retry-after": "2", "retry-after-ms": "soon"}) == 2.0


@pytest.mark.parametrize(
    "date",
    [
        HALF_A_MINUTE_LATER,
        "Sunday, 06-Nov-94 08:50:07 GMT",
        "Sun Nov  6 08:50:07 1994",
        "Sun, 06 Nov 1994 09:50:07 +0100",
    ],
)
def test_the_three_forms_of_an_http_date_and_a_time_zone(date: str) -> None:
    assert asked({"Retry-After": date}) == 30.0
    assert asked({"Retry-After": date}, now=NOW + 29.5) == 0.5


def test_a_date_without_a_zone_is_not_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert asked({"Retry-After": "Sun Nov  6 08:50:07 1994"}) == 30.0
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_date_that_has_passed_is_no_wait() -> None:
    assert asked({"Retry-After": DATE}, now=NOW + 3600.0) == 0.0


def test_a_date_counts_from_the_responses_own_so_that_a_skewed_clock_does_not_matter() -> None:
    headers = {"Retry-After": HALF_A_MINUTE_LATER, "Date": DATE}
    assert [asked(headers, now=NOW + skew) for skew in (-86_400.0, 0.0, 86_400.0)] == [30.0, 30.0, 30.0]
    assert asked({**headers, "Date": "yesterday"}, now=NOW + 10.0) == 20.0


@pytest.mark.parametrize("name", ["Retry-After", "retry-after", "RETRY-AFTER"])
def test_the_case_of_a_name_does_not_matter(name: str) -> None:
    assert asked({name: "7"}) == 7.0
    message = Message()
    message[name] = "8"
    assert asked(message) == 8.0


def test_the_headers_of_a_real_response() -> None:
    httpx = pytest.importorskip("httpx")
    assert asked(httpx.Headers({"Retry-After": "9"})) == 9.0
    assert asked(httpx.Headers([("Retry-After", "9"), ("Retry-After", "10")])) is None


GARBAGE = ["", " ", "soon", "nan", "inf", "-inf", "1e999", "1_000", "\uff13", "1 2", "0x10", "3;", "1,5", "9" * 65,
           "3 s", "Sun, 99 Nov 1994 08:49:37 GMT", "06 Nov 99999999999 1:1:1 GMT", "Sun, 06 Nov 1994 25:49:37 GMT",
           "Sun, 06 Nov 1994 08:49:37 " + "G" * 99]  # fmt: skip


@pytest.mark.parametrize("text", GARBAGE)
@pytest.mark.parametrize("name", ["Retry-After", "retry-after-ms"])
def test_what_is_not_intelligible_asks_for_nothing(name: str, text: str) -> None:
    assert asked({name: text}) is None


@pytest.mark.parametrize("headers", [{}, {"X": "3"}, {b"retry-after": b"3"}, {"retry-after": None}, {"retry-after": 3}])
def test_without_a_readable_header_nothing_is_asked(headers: Any) -> None:
    assert asked(headers) is None


LIKE_A_DATE = st.from_regex(
    r"[A-Za-z]{0,9}[ ,]{0,2}[-+0-9]{0,12}[ -][A-Za-z]{0,4}[ -][-0-9]{0,12} [-0-9:.]{0,12} ?[-+A-Z0-9]{0,6}"
)
TEXT = st.text(max_size=80) | st.text("0123456789.-+eE_ :,GMTJanov", max_size=40) | LIKE_A_DATE


@settings(max_examples=500)
@given(TEXT, TEXT, TEXT)
@example(HALF_A_MINUTE_LATER, "", DATE)
def test_no_text_ever_raises(seconds: str, milliseconds: str, date: str) -> None:
    for headers in ({"Retry-After": seconds, "retry-after-ms": milliseconds, "Date": date}, {"Retry-After": seconds}):
        wait = asked(headers)
        assert wait is None or 0.0 <= wait < float("inf")


def test_the_library_for_dates_is_loaded_when_a_date_is_met() -> None:
    script = f"""
import sys
from breakerlab.policy.retry_after import retry_after_of
retry_after_of({{"retry-after": "3"}})
before = "email.utils" in sys.modules
retry_after_of({{"retry-after": {DATE!r}}})
print(before, "email.utils" in sys.modules)
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["False", "True"]
