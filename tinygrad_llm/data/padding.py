"""How rows become one batch: stacked where their shapes agree, padded where they do not."""

from __future__ import annotations

import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

_FILLED = {"attention_mask": 0, "token_type_ids": 0}
"""Fields that mean the same to every model, so that nobody needs to name their padding."""


def stack(rows: Sequence[Any]) -> Any:
    """A batch of rows that agree: tuples give a tuple, dicts a dict, of arrays (B, ...).

    A row that is neither is one value, and the batch one array. Raises ValueError for rows of
    different keys, lengths or shapes, naming the first that differs.
    """
    first = rows[0]
    _check_alike(rows)
    if isinstance(first, Mapping):
        return {name: _stacked([row[name] for row in rows], repr(name)) for name in first}
    if isinstance(first, tuple):
        return tuple(_stacked(list(values), str(i)) for i, values in enumerate(zip(*rows)))
    return _stacked(rows, "value")


class Padding:
    """A collate_fn for dict rows with lists of different lengths: pads to the longest of a batch.

    values: name of a field -> the number that fills it; -100 is the label that cross-entropy
        leaves out. "attention_mask" and "token_type_ids" are filled with 0 unless named here.
    multiple_of: lengths are rounded up to a multiple of it. side: where the padding goes, "right"
        or "left". All other fields, and numbers, are stacked.
    Called with rows it gives a dict of arrays (B, T, ...), each field with a T of its own; where
    rows have "input_ids" and no "attention_mask", it adds one: (B, T) int64, 1 at what is no
    padding. Raises ValueError for rows of different keys, a field of different lengths that has no
    value here, and a value that the field's dtype cannot hold; TypeError for rows that are no dict.
    """

    def __init__(
        self,
        values: Mapping[str, float] | None = None,
        multiple_of: int = 1,
        side: str = "right",
    ):
        if operator.index(multiple_of) < 1:
            raise ValueError(f"Padding: multiple_of is at least 1, not {multiple_of}")
        if side not in ("right", "left"):
            raise ValueError(f'Padding: side is "right" or "left", not {side!r}')
        self.values = {"input_ids": 0, "labels": -100} if values is None else dict(values)
        self.multiple_of = multiple_of
        self.side = side

    def __call__(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
        _check_dicts(rows)
        _check_alike(rows)
        batch = {name: self._field(name, [row[name] for row in rows]) for name in rows[0]}
        if "input_ids" in batch and "attention_mask" not in batch:
            ones = [np.ones(len(row["input_ids"]), dtype=np.int64) for row in rows]
            batch["attention_mask"] = self._padded("attention_mask", ones, 0)
        return batch

    def _field(self, name: str, entries: list) -> np.ndarray:
        """One field of the batch."""
        value = {**_FILLED, **self.values}.get(name)
        arrays = [np.asarray(entry) for entry in entries]
        if value is None or all(array.ndim == 0 for array in arrays):
            return _stacked(entries, repr(name))
        return self._padded(name, arrays, value)

    def _padded(self, name: str, arrays: list[np.ndarray], value: float) -> np.ndarray:
        """Arrays (T, ...) of different T in one array (B, longest T, ...) filled with `value`."""
        full = [array for array in arrays if array.size]  # an empty list has no dtype to look at
        rest = _common_rest(name, full or arrays)
        longest = -(-max(map(len, arrays)) // self.multiple_of) * self.multiple_of
        shape = (len(arrays), longest, *rest)
        batch = np.full(shape, _fill(name, value, {array.dtype for array in full}))
        for row, array in zip(batch, arrays):
            start = longest - len(array) if self.side == "left" else 0
            row[start : start + len(array)] = array if array.size else value
        return batch


def _stacked(entries: Sequence[Any], name: str) -> np.ndarray:
    """Entries of one shape as one array."""
    arrays = [np.asarray(entry) for entry in entries]
    for number, array in enumerate(arrays):
        if array.shape != arrays[0].shape:
            raise ValueError(
                f"a batch: field {name} has shape {arrays[0].shape} in its first row and "
                f"{array.shape} in row {number}; give rows of one shape, or "
                "collate_fn=Padding(values=...) with a value for it"
            )
    return np.stack(arrays)


def _check_alike(rows: Sequence[Any]) -> None:
    """Refuse rows of different kinds, keys or numbers of values."""
    first = _form(rows[0])
    for number, row in enumerate(rows):
        if _form(row) != first:
            raise ValueError(
                f"a batch: its first row is {first} and row {number} is {_form(row)}; give rows "
                "of one form, or a collate_fn of your own"
            )


def _form(row: Any) -> str:
    """What a row consists of, in words; the order of a dict's keys does not matter."""
    if isinstance(row, Mapping):
        return f"a dict of {sorted(row)}"
    return f"a tuple of {len(row)}" if isinstance(row, tuple) else "one value"


def _check_dicts(rows: Sequence[Any]) -> None:
    """Refuse rows without names."""
    for row in rows:
        if not isinstance(row, Mapping):
            kind = type(row).__name__
            raise TypeError(f"Padding: rows are dicts with names of fields, not {kind}")


def _common_rest(name: str, arrays: list[np.ndarray]) -> tuple[int, ...]:
    """The shape of all the arrays without their first axis."""
    first = arrays[0]
    for array in arrays:
        if array.ndim != first.ndim or array.shape[1:] != first.shape[1:]:
            raise ValueError(
                f"Padding: field {name!r} has shapes {first.shape} and {array.shape}; "
                "rows may differ in their length alone"
            )
    return first.shape[1:]


def _fill(name: str, value: float, dtypes: set[np.dtype]) -> np.ndarray:
    """`value` in the common dtype of a field; its own where there is none."""
    dtype = np.result_type(*dtypes) if dtypes else np.asarray(value).dtype
    with np.errstate(invalid="ignore"):  # NaN as an integer is found out below
        cast = np.asarray(value).astype(dtype)
    if dtype.kind not in "fc" and cast != value:
        raise ValueError(
            f"Padding: {value} does not fit field {name!r} of dtype {dtype}; give another value "
            "or dtype"
        )
    return cast
