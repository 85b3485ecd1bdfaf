"""What an export is, and whom it is asked of."""

import pytest

from breakerlab.lab.export import TARGETS, Export, export
from breakerlab.policy import Breaker, Fallback, Policy, Retry


@pytest.mark.parametrize("target", TARGETS)
def test_an_export_shows_its_text(target: str) -> None:
    made = export(Policy.recommended(), target)
    assert isinstance(made, Export)
    assert repr(made) == made.text
    assert (made.target, made.title) == (target, TARGETS[target])
    assert made.text.endswith("\n")
    assert max(map(len, made.text.splitlines())) < 200


@pytest.mark.parametrize("target", sorted(set(TARGETS) - {"json"}))
def test_the_name_is_in_the_text(target: str) -> None:
    assert "search_api" in export(Policy.recommended(), target, name="search_api").text


STRANGE = ["", "two words", 'a"b', "a: b", "a\nb", "1st", "class", "é", "x" * 64, "a-b", "{x}", None, 5]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_name_is_refused(target: str, name: object) -> None:
    with pytest.raises(ValueError, match="the name of what is called must be"):
        export(Policy.none(), target, name)  # type: ignore[arg-type]


def test_a_strange_target_or_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="must be one of python, json, resilience4j, polly, envoy, tenacity, stamina"):
        export(Policy.none(), "hystrix")
    with pytest.raises(ValueError, match="must be a Policy, not Retry"):
        export(Retry(), "python")  # type: ignore[arg-type]


@pytest.mark.parametrize("target", TARGETS)
def test_what_a_stranger_wrote_stays_text(target: str) -> None:
    """A fallback's message and names come from imported JSON; nothing of them becomes code, key or comment."""
    evil = "x\"); import os\n# '''\r\u2028*/ }} ${{bad}} <script>"
    policy = Policy(fallback=Fallback(**{evil: lambda error: evil, "message": evil}), breaker=Breaker())
    made = export(policy, target)
    for line in made.text.splitlines():
        assert not line.lstrip().startswith(("import os", "# '''", "*/"))
