"""Labels as numbers: from names to class ids and back, and as one-hot rows."""

from __future__ import annotations

import operator
import reprlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np


class LabelEncoder:
    """Class ids 0 … C−1 for the C names of the classes; `names[i]` is that of class i.

    names: at least two texts, each once; their order is that of the ids, so that a list of them in
    a file is all that there is to keep.
    Raises ValueError for fewer than two names, or one there twice; TypeError for what is no text.
    """

    def __init__(self, names: Iterable[str]):
        self.names = _texts(names, "name")
        if len(self.names) < 2:
            raise ValueError(
                f"LabelEncoder: the classes are {self.names}, so there is nothing to tell apart; "
                "give rows of at least two"
            )
        self._ids = {name: i for i, name in enumerate(self.names)}
        if len(self._ids) < len(self.names):
            twice = next(name for i, name in enumerate(self.names) if self._ids[name] != i)
            raise ValueError(f"LabelEncoder: the name {twice!r} is there twice; give each once")

    @classmethod
    def fit(cls, labels: Iterable[str]) -> LabelEncoder:
        """The encoder of the labels of some rows, in alphabetical order; errors as for names."""
        return cls(sorted(set(_texts(labels, "label"))))

    def encode(self, labels: Iterable[str]) -> np.ndarray:
        """The class ids (N,) int64 of N labels.

        Raises ValueError for a label that is none of the names, by its row from 0; TypeError for
        what is no text.
        """
        labels = _texts(labels, "label")
        for row, label in enumerate(labels):
            if label not in self._ids:
                known = ", ".join(map(repr, self.names[:10])) + ", …" * (len(self.names) > 10)
                raise ValueError(
                    f"LabelEncoder: label {label!r} in row {row} is unknown; "
                    f"correct it, or fit with its rows (known are {known})"
                )
        return np.array([self._ids[label] for label in labels], np.int64)

    def decode(self, ids: Sequence[int] | np.ndarray) -> list[str]:
        """The names of N class ids (N,), integers.

        Raises ValueError for an id outside 0 … C−1, by its row from 0, and for another shape;
        TypeError for another dtype.
        """
        return [self.names[i] for i in _checked_ids(ids, len(self.names), "LabelEncoder")]

    def __len__(self) -> int:
        return len(self.names)

    def __repr__(self) -> str:
        return f"LabelEncoder({reprlib.repr(self.names)})"


def one_hot(ids: Sequence[int] | np.ndarray, classes: int) -> np.ndarray:
    """Rows (N, C) float32 that are 1 in the column of their class and 0 elsewhere; C = `classes`.

    ids: (N,), integers from 0 to C−1. The mean cross-entropy with these rows as targets is that
    with the ids  (F82). Raises ValueError for an id outside, by its row, for another shape and for
    classes < 1; TypeError for another dtype.
    """
    if operator.index(classes) < 1:
        raise ValueError(f"one_hot: classes is at least 1, not {classes}")
    ids = _checked_ids(ids, classes, "one_hot")
    rows = np.zeros((len(ids), classes), np.float32)
    rows[np.arange(len(ids)), ids] = 1.0
    return rows


def _texts(values: Iterable[str], what: str) -> list[str]:
    """A list of the values, each of which must be a text."""
    if isinstance(values, str):
        raise TypeError(f"LabelEncoder: takes a list of {what}s, not one text; give [{values!r}]")
    values = list(values)
    for row, value in enumerate(values):
        if not isinstance(value, str):
            kind = type(value).__name__
            raise TypeError(
                f"LabelEncoder: {what} {value!r} in row {row} is of type {kind}; give a text"
            )
    return [str(value) for value in values]  # NumPy has texts of its own, which JSON shows alike


def _checked_ids(ids: Any, classes: int, owner: str) -> np.ndarray:
    """`ids` as a vector of integers from 0 to classes − 1."""
    ids = np.asarray(ids)
    if ids.ndim != 1:
        raise ValueError(f"{owner}: ids have shape {ids.shape}; give one for each row")
    if not len(ids):
        return ids.astype(np.int64)
    if ids.dtype.kind not in "iu":
        raise TypeError(f"{owner}: ids are {ids.dtype}; give integers")
    outside = np.flatnonzero((ids < 0) | (ids >= classes))
    if len(outside):
        row = outside[0]
        raise ValueError(
            f"{owner}: id {ids[row]} in row {row} is no class; give ids from 0 to {classes - 1}"
        )
    return ids
