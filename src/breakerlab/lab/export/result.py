"""What an export is: a text for one target, and what that text cannot say."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")


@dataclass(frozen=True, slots=True)
class Export:
    """A policy as text for one target.

    target: its key in `TARGETS`; title: its name for people; language: of the text, "python", "yaml", ...
    cannot: a sentence for each thing of this policy that the target cannot express or does in another way, and what
    follows from it; empty where the text says all.
    """

    target: str
    title: str
    language: str
    text: str
    cannot: tuple[str, ...]

    def __repr__(self) -> str:
        return self.text


def checked_name(name: object) -> str:
    """`name`, if it can stand as it is in every target's text. Raises ValueError otherwise."""
    if not isinstance(name, str) or not _NAME.fullmatch(name) or keyword.iskeyword(name):
        shown = repr(name) if len(repr(name)) <= 80 else f"{repr(name)[:77]}..."
        raise ValueError(
            f"the name of what is called must be at most 63 letters, digits and underscores, begin with no digit and "
            f"be no word of Python, not {shown}"
        )
    return name
