"""A trace as one Parquet table. Importing this loads polars."""

from __future__ import annotations

from typing import Any, BinaryIO, Final

import numpy as np
import pandas as pd
import polars as pl

from breakerlab.trace.formats.parquet import KEY
from breakerlab.trace.formats.parquet_table import KINDS

GROUP: Final = 2**18
"""Rows of one row group."""

_MAX_DICTIONARY: Final = 2**18
"""Characters of the words of a column beyond which they are written as plain text: a dictionary is in the footer."""


def write_parquet(attempts: pd.DataFrame, events: pd.DataFrame, header: bytes, file: BinaryIO) -> None:
    """The two tables as one, attempts first."""
    instances = [table["instance"].array for table in (attempts, events) if "instance" in table]
    words = dict.fromkeys(word for array in instances for word in array.categories)
    of = {"instance": _dtype([*words]), "kind": pl.Enum(KINDS)}
    kind = {"kind": pl.repeat("attempt", len(attempts), dtype=of["kind"], eager=True)}
    frame = pl.DataFrame(kind | {name: _series(attempts[name].array, of.get(name)) for name in attempts})
    if len(events):
        beside = pl.DataFrame({name: _series(events[name].array, of.get(name)) for name in events})
        frame = pl.concat([frame, beside], how="diagonal")
    frame.write_parquet(file, row_group_size=GROUP, statistics=False, metadata={KEY: header.decode().strip()})


def _series(array: Any, dtype: Any = None) -> pl.Series:
    """What is missing is null; words are of `dtype`, or of their own."""
    if isinstance(array, pd.Categorical):
        words = array.categories.to_list()
        return pl.Series(words, dtype=dtype or _dtype(words)).gather(array.codes.astype(np.uint32))
    if isinstance(array, (pd.arrays.IntegerArray, pd.arrays.BooleanArray)):
        missing = np.asarray(array.isna())
        known = pl.Series(array.to_numpy(dtype=array.dtype.numpy_dtype, na_value=0))
        return known.zip_with(pl.Series(~missing), pl.Series([None], dtype=known.dtype)) if missing.any() else known
    numbers = pl.Series(np.asarray(array))
    return numbers.fill_nan(None) if numbers.dtype.is_float() else numbers


def _dtype(words: list[str]) -> Any:
    return pl.Enum(words) if sum(map(len, words)) <= _MAX_DICTIONARY else pl.String
