"""Keyed random numbers: a draw is a hash of (seed, request, attempt, stream), never the next of a sequence.

So two policies meet the same draws for the same attempt, however differently they go, and their difference is not
drowned in noise. The mixer is the finalizer of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014). All arithmetic is on uint64 and wraps around; the interpreted engine runs inside
`np.errstate(over="ignore")` for that reason.
"""

import math
from typing import Any

import numpy as np

from breakerlab.replay.distribution import EMPIRICAL, EXPONENTIAL, LOGNORMAL

BACKOFF, RECOVERY, FAULT, BALANCE, AVAILABLE, SHED, WRITES = map(np.uint64, range(1, 8))
# those that `drawn` is given, which may take the next one too
WORK, NETWORK, THINK, SIZE, BACK, LAG = map(np.uint64, range(16, 28, 2))

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_UNIT = 2.0**-53
_TURN = 2.0 * math.pi


def mix(z: np.uint64) -> np.uint64:
    """A bijection of the 64-bit integers whose output bits look independent of its input bits."""
    z = (z ^ (z >> _30)) * _FIRST
    z = (z ^ (z >> _27)) * _SECOND
    return z ^ (z >> _31)


def seed_key(seed: int) -> np.uint64:
    """What all draws of a run have in common."""
    return mix(np.uint64(seed) + _GOLDEN)


def request_key(key: np.uint64, request: int) -> np.uint64:
    """What all draws for a request have in common; `key` is the run's."""
    return mix((np.uint64(key) ^ np.uint64(request)) + _GOLDEN)


def uniform(key: np.uint64, attempt: int, stream: np.uint64) -> float:
    """A uniform draw in [0, 1) that belongs to this attempt of the request with this key, and to this stream."""
    h = mix((np.uint64(key) ^ np.uint64(attempt)) + _GOLDEN)
    h = mix((h ^ stream) + _GOLDEN)
    return float(h >> _11) * _UNIT


def drawn(
    code: int, first: float, second: float, values: Any, n: int, key: np.uint64, attempt: int, stream: np.uint64
) -> float:
    """A value from a distribution of `distribution.py`, given as its code, numbers and `n` values.

    Takes a stream and, for the lognormal, the one after it.
    """
    if code == EXPONENTIAL:
        return -first * math.log(1.0 - uniform(key, attempt, stream))
    if code == LOGNORMAL:  # Box and Muller, "A note on the generation of random normal deviates", 1958
        radius = math.sqrt(-2.0 * math.log(1.0 - uniform(key, attempt, stream)))
        angle = _TURN * uniform(key, attempt, stream + np.uint64(1))
        return math.exp(first + second * radius * math.cos(angle))
    if code == EMPIRICAL:
        return float(values[int(uniform(key, attempt, stream) * n)])
    return first
