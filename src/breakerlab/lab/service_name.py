"""What the service that was called is named in all that is shown: the LLM where it is one, and else the service."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from breakerlab.replay import Llm, Run, Scenario
from breakerlab.trace import Trace, timeline
from breakerlab.trace.facts import recorded_parameter

IN_TRACES: Final = timeline.LLM  # whatever it is, in those that are ours; and in many a log of an LLM
TOKENS: Final = ("tokens_in", "tokens_out")


class ServiceName(NamedTuple):
    """noun: "LLM" or "service". in_full: "LLM service" or "service"."""

    noun: str
    in_full: str

    def put_into(self, text: str) -> str:
        """`text` with the noun for `{service}`, with a capital for `{Service}`, and in full for `{service in full}`."""
        capital = self.noun[0].upper() + self.noun[1:]
        words = {"{service}": self.noun, "{Service}": capital, "{service in full}": self.in_full}
        for place, word in words.items():
            text = text.replace(place, word)
        return text


LLM: Final = ServiceName("LLM", "LLM service")
SERVICE: Final = ServiceName("service", "service")


def service_name(*subjects: Trace | Run | Scenario | None) -> ServiceName:
    """The name for what is shown of `subjects` together: `LLM` only if each of them calls one.

    A run or scenario does if the time of its service is `Llm(...)`, and so does a log whose header says so; any other
    log if it names the service `llm` or counts tokens. None: a subject of which nothing is known.
    """
    return LLM if subjects and all(map(_calls_an_llm, subjects)) else SERVICE


def _calls_an_llm(subject: Trace | Run | Scenario | None) -> bool:
    if isinstance(subject, Trace):
        return _logs_an_llm(subject)
    scenario = subject.scenario if isinstance(subject, Run) else subject
    return scenario is not None and isinstance(scenario.service.time, Llm)


def _logs_an_llm(log: Trace) -> bool:
    """Simulated services are all named `llm` in their traces: what the header says of one goes first."""
    time = recorded_parameter(log.source.facts, "service", "time")
    if isinstance(time, Mapping):
        return "llm" in time
    attempts = log.attempts
    counted = [name for name in TOKENS if name in attempts and attempts[name].notna().any()]
    return bool(counted) or bool((attempts["service"] == IN_TRACES).any())
