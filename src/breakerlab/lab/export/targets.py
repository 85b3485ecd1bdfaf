"""The targets, by key, and the way in."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

from breakerlab.lab.export import envoy, json_text, polly, python_code, resilience4j, stamina, tenacity
from breakerlab.lab.export.notes import Notes
from breakerlab.lab.export.result import Export, checked_name
from breakerlab.policy import Policy

_Writer = Callable[[Policy, str, Notes], str]
_WRITERS: dict[str, tuple[str, str, _Writer]] = {
    "python": ("Python", "python", python_code.write),
    "json": ("JSON", "json", json_text.write),
    "resilience4j": ("resilience4j (Spring Boot)", "yaml", resilience4j.write),
    "polly": ("Polly 8 (C#)", "csharp", polly.write),
    "envoy": ("Envoy", "yaml", envoy.write),
    "tenacity": ("tenacity", "python", tenacity.write),
    "stamina": ("stamina", "python", stamina.write),
}

TARGETS = MappingProxyType({target: title for target, (title, _, _) in _WRITERS.items()})
"""Each target's key and its name for people."""


def export(policy: Policy, target: str, name: str = "llm") -> Export:
    """`policy` as text for `target`, a key of `TARGETS`, and a list of what the target cannot express of it.

    name: of what is called; it names the guard, the instance, the cluster, the function.
    Raises ValueError for a target that is none, and for a name that is no identifier.
    """
    if not isinstance(policy, Policy):
        raise ValueError(f"what is exported must be a Policy, not {type(policy).__name__}")
    if target not in _WRITERS:
        raise ValueError(f"the target must be one of {', '.join(TARGETS)}, not {target!r}")
    title, language, write = _WRITERS[target]
    notes = Notes(title.partition(" ")[0])
    text = write(policy, checked_name(name), notes)
    return Export(target, title, language, text, tuple(notes.sentences))
