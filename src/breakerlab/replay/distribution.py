"""How long things take, and how large they are: the distributions that a scenario may name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from breakerlab.policy import parameter
from breakerlab.replay.printed import Printed

# codes that the engine knows
CONSTANT, EXPONENTIAL, LOGNORMAL, EMPIRICAL, LLM = 0, 1, 2, 3, 4
NO_VALUES = np.empty(0)


class Distribution(Printed):
    """What the engine draws from: a code, two numbers, and the values of an `Empirical`."""

    code: int

    def numbers(self) -> tuple[float, float]:
        """The two numbers that the engine's `drawn` takes, whose meaning depends on the code."""
        raise NotImplementedError

    def table(self) -> NDArray[np.float64]:
        """The values to draw from; empty for all but `Empirical`."""
        return NO_VALUES

    def sample(self, draw: np.random.Generator, n: int) -> NDArray[np.float64]:
        """`n` values drawn from `draw`, shape (n,)."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, repr=False)
class Constant(Distribution):
    """Always `value`, at least 0."""

    value: float
    code = CONSTANT

    def __post_init__(self) -> None:
        parameter.real("Constant.value", self.value, or_equal=True)

    def numbers(self) -> tuple[float, float]:
        return float(self.value), 0.0

    def sample(self, draw: np.random.Generator, n: int) -> NDArray[np.float64]:
        return np.full(n, float(self.value)) if self.value else np.zeros(n)


@dataclass(frozen=True, slots=True, repr=False)
class Exponential(Distribution):
    """Exponential with this mean, above 0."""

    mean: float
    code = EXPONENTIAL

    def __post_init__(self) -> None:
        parameter.real("Exponential.mean", self.mean)

    def numbers(self) -> tuple[float, float]:
        return float(self.mean), 0.0

    def sample(self, draw: np.random.Generator, n: int) -> NDArray[np.float64]:
        return draw.exponential(self.mean, n)


@dataclass(frozen=True, slots=True, repr=False)
class Lognormal(Distribution):
    """Lognormal. mean: of the values themselves, above 0. sigma: of their logarithm, at least 0."""

    mean: float
    sigma: float
    code = LOGNORMAL

    def __post_init__(self) -> None:
        parameter.real("Lognormal.mean", self.mean)
        parameter.real("Lognormal.sigma", self.sigma, or_equal=True)

    def numbers(self) -> tuple[float, float]:
        return math.log(self.mean) - 0.5 * self.sigma**2, float(self.sigma)

    def sample(self, draw: np.random.Generator, n: int) -> NDArray[np.float64]:
        return draw.lognormal(*self.numbers(), n)


@dataclass(frozen=True, slots=True, repr=False)
class Empirical(Distribution):
    """One of these measured `values`, each as likely: numbers of at least 0, shape (n,) with n at least 1."""

    values: tuple[float, ...]
    code = EMPIRICAL

    def __init__(self, values: Any) -> None:
        try:
            numbers = np.asarray(values, np.float64)
        except (TypeError, ValueError):
            raise ValueError(f"Empirical.values must be numbers, not {str(values)[:60]}") from None
        if numbers.ndim != 1 or not len(numbers) or not np.isfinite(numbers).all() or (numbers < 0).any():
            raise ValueError("Empirical.values must be one or more finite numbers of at least 0")
        object.__setattr__(self, "values", tuple(numbers.tolist()))

    def numbers(self) -> tuple[float, float]:
        return 0.0, 0.0

    def table(self) -> NDArray[np.float64]:
        return np.asarray(self.values)

    def sample(self, draw: np.random.Generator, n: int) -> NDArray[np.float64]:
        return draw.choice(self.table(), n)


@dataclass(frozen=True, slots=True, repr=False)
class Llm(Distribution):
    """The service time of an LLM that works on many answers at once, each the slower the more it has in hand.

    An answer takes (first_token + tokens * per_token) * (1 + slowdown * (m - 1) / (batch - 1)) seconds, where m is the
    number in service when it starts, itself included, and at most `batch`.
    first_token: seconds, above 0. per_token: seconds, at least 0. slowdown: at least 0; 0.5 means half as long again
    for a full batch. batch: at least 1; None for the service's slots.
    """

    first_token: float = 0.15
    per_token: float = 0.005
    slowdown: float = 0.5
    batch: int | None = None
    code = LLM

    def __post_init__(self) -> None:
        parameter.real("Llm.first_token", self.first_token)
        parameter.real("Llm.per_token", self.per_token, or_equal=True)
        parameter.real("Llm.slowdown", self.slowdown, or_equal=True)
        if self.batch is not None:
            parameter.count("Llm.batch", self.batch)

    def numbers(self) -> tuple[float, float]:
        return float(self.first_token), float(self.per_token)


KINDS: Mapping[str, type[Distribution]] = {
    "constant": Constant,
    "exponential": Exponential,
    "lognormal": Lognormal,
    "empirical": Empirical,
    "llm": Llm,
}
