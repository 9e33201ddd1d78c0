"""Normalisation of columns: scalers that learn from the training rows and serve all others.

Rows are arrays (N, D), or (N,) for a single column, of floats or integers. A scaler counts in
float64 and answers in the dtype of the floats, for integers in float32. It raises ValueError for
another shape or number of columns, and for NaN or infinity, by column and row from 0; TypeError
for what is no such array; RuntimeError where `fit` has not been called.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from tinygrad_llm.backend import is_array, to_host


class _Scaler(ABC):
    """x′ = (x − shift)/scale, column by column; a column of one value only has scale 0, x′ = 0."""

    _names: tuple[str, str]  # of shift and scale in the state

    def __init__(self, state: dict[str, np.ndarray] | None = None):
        self._shift: np.ndarray | None = None
        self._scale: np.ndarray | None = None
        if state is not None:
            self.state = state

    @property
    def state(self) -> dict[str, np.ndarray]:
        """What was learned: two arrays (D,) float64; another scaler made with it scales alike."""
        shift, scale = self._fitted()
        return dict(zip(self._names, (shift.copy(), scale.copy())))

    @state.setter
    def state(self, state: dict[str, np.ndarray]) -> None:
        name = type(self).__name__
        if set(state) != set(self._names):
            raise ValueError(
                f"{name}: the state has {sorted(state)}, not {sorted(self._names)}; "
                f"give that of a {name}"
            )
        shift, scale = (np.array(state[key], np.float64) for key in self._names)
        if shift.shape != scale.shape or shift.ndim > 1:
            raise ValueError(
                f"{name}: the state has shapes {shift.shape} and {scale.shape}; save it again"
            )
        if not (np.isfinite(shift).all() and np.isfinite(scale).all() and (scale >= 0).all()):
            raise ValueError(
                f"{name}: the state holds NaN, infinity or a scale below 0; save it again"
            )
        self._shift, self._scale = shift, scale

    def fit(self, train: np.ndarray) -> _Scaler:
        """Learn from the training rows, and from them alone; answers itself."""
        rows = self._checked(train).astype(np.float64)
        if not len(rows):
            raise ValueError(f"{type(self).__name__}: there are no rows; fit with at least one")
        low, high = rows.min(axis=0), rows.max(axis=0)
        with np.errstate(over="ignore"):
            spread = high - low
        if not np.isfinite(spread).all():
            raise ValueError(
                f"{type(self).__name__}: values from {low.min()} to {high.max()} are too far "
                "apart for a float64; give smaller ones"
            )
        self._shift, self._scale = self._statistics(rows, low, spread)
        return self

    def transform(self, x: np.ndarray) -> np.ndarray:
        """The scaled rows, of the shape of `x`, as a new array."""
        shift, scale = self._fitted()
        rows = self._checked(x, shift)
        constant = scale == 0.0
        scaled = (rows.astype(np.float64) - shift) / np.where(constant, 1.0, scale)
        return np.where(constant, 0.0, scaled).astype(_answer_dtype(rows))

    def inverse_transform(self, x: np.ndarray) -> np.ndarray:
        """The rows whose transform is `x`; in a constant column that constant."""
        shift, scale = self._fitted()
        rows = self._checked(x, shift)
        return (rows.astype(np.float64) * scale + shift).astype(_answer_dtype(rows))

    @abstractmethod
    def _statistics(
        self, rows: np.ndarray, low: np.ndarray, spread: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Shift and scale of columns with the minimum `low` and the maximum `low + spread`."""

    def _fitted(self) -> tuple[np.ndarray, np.ndarray]:
        """Shift and scale."""
        if self._shift is None or self._scale is None:
            name = type(self).__name__
            raise RuntimeError(f"{name} has learned nothing yet; call fit(train) first")
        return self._shift, self._scale

    def _checked(self, x: Any, like: np.ndarray | None = None) -> np.ndarray:
        """`x` as finite rows on the host, with as many columns as `like`."""
        name = type(self).__name__
        if not is_array(x):
            raise TypeError(f"{name}: takes arrays, not {type(x).__name__}; give a NumPy array")
        rows = to_host(x)
        if rows.dtype.kind not in "iuf":
            raise TypeError(f"{name}: takes numbers, not {rows.dtype}; convert them first")
        if rows.ndim not in (1, 2):
            raise ValueError(f"{name}: shape {rows.shape}; give rows (N, D) or one column (N,)")
        if like is not None and rows.shape[1:] != like.shape:
            raise ValueError(
                f"{name}: rows of shape {rows.shape[1:]}, but it has learned from rows of shape "
                f"{like.shape}; give the same columns"
            )
        _check_finite(rows, name)
        return rows


class MinMaxScaler(_Scaler):
    """x′ = (x − min)/(max − min): the training rows lie in 0 … 1  (F53).

    Minimum and maximum are those of the training rows, so that other rows may lie outside. A
    column that is constant there becomes 0 in every row. state: {"minimum", "range"}, to be given
    to another one. Shapes, dtypes and errors as the module says.
    """

    _names = ("minimum", "range")

    def _statistics(
        self, rows: np.ndarray, low: np.ndarray, spread: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        return low, spread


class StandardScaler(_Scaler):
    """x′ = (x − mean)/deviation: the training rows have mean 0 and variance 1.

    The variance is the mean square of N training rows less their mean, divided by N. A column that
    is constant there becomes 0 in every row. state: {"mean", "deviation"}, to be given to another
    one. Shapes, dtypes and errors as the module says.
    """

    _names = ("mean", "deviation")

    def _statistics(
        self, rows: np.ndarray, low: np.ndarray, spread: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        # From 0 … 1, where no square is too large or too small; a constant column is exactly 0.
        unit = (rows - low) / np.where(spread == 0.0, 1.0, spread)
        return low + spread * unit.mean(axis=0), spread * unit.std(axis=0)


def _check_finite(rows: np.ndarray, name: str) -> None:
    """Refuse NaN and infinity, by their place."""
    bad = np.argwhere(~np.isfinite(rows))
    if len(bad):
        row, *column = bad[0].tolist()
        place = f"column {column[0]}, row {row}" if column else f"row {row}"
        more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
        raise ValueError(
            f"{name}: {place} is {rows[tuple(bad[0])]}{more}; fill in a number or drop the row"
        )


def _answer_dtype(rows: np.ndarray) -> np.dtype[Any]:
    """The dtype of scaled rows: that of floats, else float32."""
    return rows.dtype if rows.dtype.kind == "f" else np.dtype(np.float32)
