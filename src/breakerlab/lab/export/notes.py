"""The sentences on what a target cannot express, gathered while its text is written, and its limits on numbers."""

from __future__ import annotations

from decimal import Decimal

LARGEST_INT32 = 2**31 - 1
LARGEST_UINT32 = 2**32 - 1
_SAME = Decimal("1e-9")  # a share; what 0.75 * 0.1 is off by is no rounding worth a sentence


class Notes:
    """What `target` cannot express, in the order in which it was found."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.sentences: list[str] = []

    def say(self, sentence: str) -> None:
        """One more thing that the target cannot express."""
        if sentence not in self.sentences:
            self.sentences.append(sentence)

    def milliseconds(self, what: str, seconds: float, least: int = 1, most: int = 10**15) -> int:
        """`seconds` in whole milliseconds within the target's limits; says so where that is another number."""
        return self._within(what, seconds, "ms", Decimal(1000), least, most)

    def whole_seconds(self, what: str, seconds: float, least: int = 1, most: int = 10**9) -> int:
        """`seconds` without a fraction, within the target's limits; says so where that is another number."""
        return self._within(what, seconds, "s", Decimal(1), least, most)

    def count(self, what: str, number: int, least: int = 0, most: int = LARGEST_INT32) -> int:
        """`number` within the target's limits; says so where that is another number."""
        allowed = min(max(number, least), most)
        if allowed != number:
            self.say(f"{what} of {number} is written as {allowed}: {self.target} allows {least} to {most}.")
        return allowed

    def seconds(self, what: str, seconds: float, least: float, most: float) -> float:
        """`seconds` within the target's limits; says so where that is another number."""
        allowed = min(max(seconds, least), most)
        if allowed != seconds:
            self.say(
                f"{what} of {seconds!r} s is written as {allowed:g} s: {self.target} allows {least:g} to {most:g} s."
            )
        return allowed

    def _within(self, what: str, seconds: float, unit: str, factor: Decimal, least: int, most: int) -> int:
        exact = Decimal(repr(seconds)) * factor
        written = int(min(max(exact, Decimal(least)), Decimal(most)).to_integral_value())
        if abs(exact - written) > _SAME * exact:
            self.say(
                f"{what} of {seconds!r} s is written as {written} {unit}: {self.target} takes whole numbers from "
                f"{least} to {most} {unit}."
            )
        return written


def plain(number: float | Decimal) -> str:
    """`number` in full, without an exponent: "0.25", "30"."""
    text = format(number if isinstance(number, Decimal) else Decimal(repr(number)), "f")
    return (text.rstrip("0").rstrip(".") or "0") if "." in text else text


def percent(share: float) -> Decimal:
    """A share as a percentage, without the noise of a product of floats."""
    return Decimal(repr(share)) * 100
