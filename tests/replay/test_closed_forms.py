"""The closed forms against the numbers of REFERENCE_CHECKS, and against one another where they must agree."""

import math

import pytest

from . import closed_forms as theory


def test_q1_the_bounded_queue() -> None:
    found = theory.bounded_queue(16, 16, 18.0)
    assert (round(found.blocked, 6), round(found.wait, 6)) == (0.120811, 0.633141)


def test_q2_erlang_c() -> None:
    found = theory.erlang_c(16, 14.0)
    assert (round(found.waits, 6), round(found.wait, 6)) == (0.508482, 0.254241)


def test_q3_erlang_b() -> None:
    assert round(theory.erlang_b(16, 18.0), 5) == 0.23569


@pytest.mark.parametrize(("workers", "throughput"), [(10, 5.0), (30, 14.5048), (100, 16.0)])
def test_q4_the_machine_repair_model(workers: int, throughput: float) -> None:
    assert round(theory.closed_loop(workers, 16, 1.0, 1.0), 4) == throughput


def test_q5_and_q6_answers_in_time() -> None:
    assert round(theory.fifo_in_time(0.8, 5.0), 4) == 0.5057
    assert theory.fifo_in_time(1.2, 5.0) == 0.0
    assert theory.lifo_in_time(1.2, 5.0) == pytest.approx(0.785, abs=0.002)  # "about"
    assert theory.deadline_in_time(1.2, 5.0) == pytest.approx(0.706, abs=0.002)


def test_r1_and_r2_attempts() -> None:
    assert (theory.attempts_per_request(4, 0.5), 1.0 - 0.5**4) == (1.875, 0.9375)
    assert theory.layered_attempts([4, 4, 4], 1.0) == 64.0
    assert theory.layered_attempts([3], 0.5) == theory.attempts_per_request(3, 0.5)


def test_r3_the_fixed_point() -> None:
    attempts, failure = theory.retries_into_a_full_queue(16, 16, 18.0, 1.0, attempts=3)
    blocked = failure ** (1.0 / 3.0)
    assert (round(blocked, 5), round(failure, 4)) == (0.48075, 0.1111)
    assert attempts == pytest.approx(1.0 + blocked + blocked**2)


def test_r4_and_r5_the_load_under_a_budget() -> None:
    assert theory.load_with_budget_per_call(0.1, 0.9) == 1.1
    assert theory.load_with_budget_per_call(0.1, 0.05) == 1.0 / 0.95
    assert round(theory.load_with_budget_per_success(0.1, 0.9), 4) == 1.0101


def test_b1_and_b2_when_a_circuit_trips() -> None:
    assert theory.calls_to_trip(5, 0.5) == 62.0
    assert round(theory.binomial_tail(10, 5, 0.2), 5) == 0.03279


def test_b4_brookers_breaker() -> None:
    """His figures are those of one run, of 10,000 calls: the success has a standard error of 0.004."""
    load, success = theory.retries_until_the_trip(100, 4, 0.1, 0.2)
    assert load == pytest.approx(1.001, abs=0.001)
    assert success == pytest.approx(0.804, abs=0.004)


def test_b6_what_a_throttle_lets_through() -> None:
    assert theory.throttled_rate(2.0, 300.0, 10, 10, 0.1) / 100.0 == pytest.approx(1.999, abs=0.002)
    assert theory.throttled_rate(2.0, 150.0, 10, 10, 0.1) == 150.0


# ---- where two of them meet


@pytest.mark.parametrize(("slots", "rate"), [(1, 0.5), (3, 2.5), (16, 14.0), (16, 18.0)])
def test_a_queue_of_no_places_is_erlang_b_and_of_very_many_erlang_c(slots: int, rate: float) -> None:
    assert theory.bounded_queue(slots, 0, rate).blocked == pytest.approx(theory.erlang_b(slots, rate))
    if rate < slots:
        assert theory.bounded_queue(slots, 2000, rate) == pytest.approx(theory.erlang_c(slots, rate))


def test_one_slot_is_the_textbook_s_first_queue() -> None:
    waits, wait, _ = theory.erlang_c(1, 0.8)
    assert (waits, wait) == pytest.approx((0.8, 0.8 / 0.2))
    assert theory.bounded_queue(1, 3, 2.0).blocked == pytest.approx(2.0**4 / 31.0)


def test_one_caller_never_waits_and_very_many_keep_all_slots_busy() -> None:
    assert theory.closed_loop(1, 4, 2.0, 0.5) == pytest.approx(1.0 / 2.5)
    assert theory.closed_loop(4, 4, 2.0, 0.5) == pytest.approx(4.0 / 2.5)
    assert theory.closed_loop(400, 4, 2.0, 0.5) == pytest.approx(8.0)


@pytest.mark.parametrize("rate", [0.3, 0.6, 0.8])
def test_the_patient_are_all_answered_in_any_order(rate: float) -> None:
    for in_time in (theory.fifo_in_time, theory.lifo_in_time, theory.deadline_in_time):
        assert in_time(rate, 60.0 / (1.0 - rate)) == pytest.approx(rate, rel=0.01)


@pytest.mark.parametrize("in_time", [theory.fifo_in_time, theory.lifo_in_time, theory.deadline_in_time])
def test_where_nobody_meets_another_the_order_is_all_the_same(in_time) -> None:
    assert in_time(1e-5, 2.0, 1.5) == pytest.approx(1e-5 * (1.0 - math.exp(-2.0 / 1.5)), rel=1e-4)


def test_no_first_request_in_a_queue_is_dropped_that_would_have_been_in_time() -> None:
    """Dropping only helps; and in a hopeless overload who is served has waited nearly all of his patience."""
    assert theory.deadline_in_time(0.8, 5.0) > theory.fifo_in_time(0.8, 5.0)
    assert theory.deadline_in_time(50.0, 5.0) < 0.03


def test_a_client_who_never_trips_retries_as_if_there_were_no_circuit() -> None:
    load, success = theory.retries_until_the_trip(30, 4, 1.1, 0.3)
    assert load == pytest.approx(theory.attempts_per_request(4, 0.3))
    assert success == pytest.approx(1.0 - 0.3**4)
    assert theory.retries_until_the_trip(30, 4, 1e-9, 0.3) == pytest.approx((1.0, 0.7))
