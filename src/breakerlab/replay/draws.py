"""Keyed random numbers: a draw is a hash of (seed, request, attempt, stream), never the next of a sequence.

So two policies meet the same draws for the same attempt, however differently they go, and their difference is not
drowned in noise. The mixer is the finalizer of SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014). All arithmetic is on uint64 and wraps around; the interpreted engine runs inside
`np.errstate(over="ignore")` for that reason.
"""

import numpy as np

BACKOFF, RECOVERY = np.uint64(1), np.uint64(2)

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)
_30, _27, _31, _11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_UNIT = 2.0**-53


def mix(z: np.uint64) -> np.uint64:
    """A bijection of the 64-bit integers whose output bits look independent of its input bits."""
    z = (z ^ (z >> _30)) * _FIRST
    z = (z ^ (z >> _27)) * _SECOND
    return z ^ (z >> _31)


def uniform(seed: int, request: int, attempt: int, stream: np.uint64) -> float:
    """A uniform draw in [0, 1) that belongs to this attempt of this request and this stream."""
    h = mix(np.uint64(seed) + _GOLDEN)
    h = mix((h ^ np.uint64(request)) + _GOLDEN)
    h = mix((h ^ np.uint64(attempt)) + _GOLDEN)
    h = mix((h ^ stream) + _GOLDEN)
    return float(h >> _11) * _UNIT
