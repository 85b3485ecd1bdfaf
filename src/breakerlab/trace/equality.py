"""When two traces are the same value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd


def same_frame(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether both have the same columns and values; words count, not their codes, and NaN equals NaN."""
    if len(one) != len(other) or set(one) != set(other):
        return False
    return all(_same_column(one[name].array, other[name].array) for name in one)


def same_facts(one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Whether both say the same; a tuple says what a list says, as in JSON."""
    return one == other or _as_json(one) == _as_json(other)


def _as_json(facts: Mapping[str, object]) -> str:
    return json.dumps(facts, sort_keys=True, default=repr)


def _same_column(one: Any, other: Any) -> bool:
    if isinstance(one, pd.Categorical):
        place = {word: code for code, word in enumerate(one.categories)}
        recoded = np.array([place.get(word, -1) for word in other.categories], np.int32)
        return not len(one) or np.array_equal(one.codes, recoded[other.codes])
    if isinstance(one, (pd.arrays.IntegerArray, pd.arrays.BooleanArray)):
        return np.array_equal(one.isna(), other.isna()) and np.array_equal(_known(one), _known(other))
    return np.array_equal(np.asarray(one), np.asarray(other), equal_nan=np.asarray(one).dtype.kind == "f")


def _known(array: Any) -> Any:
    return array.to_numpy(dtype=array.dtype.numpy_dtype, na_value=0)


def digest(frame: pd.DataFrame) -> int:
    """A number that is the same for frames that are the same: of their length and their first times."""
    return hash((len(frame), *frame["time"].iloc[:100].tolist()))
