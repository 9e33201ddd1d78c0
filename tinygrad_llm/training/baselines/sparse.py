"""Rows of which nearly all entries are 0: only the others are stored, and multiplied."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class SparseRows:
    """A matrix (N, D) by its entries: `values[i]` stands in row `rows[i]` and column `columns[i]`.

    rows, columns: (n,) int64, in any order; values: (n,) float64. What does not
    stand there is 0. The memory is 24 bytes an entry, whatever N and D are.
    """

    rows: np.ndarray
    columns: np.ndarray
    values: np.ndarray
    shape: tuple[int, int]

    @property
    def dtype(self) -> np.dtype:
        return self.values.dtype

    @property
    def T(self) -> SparseRows:
        """The transpose, on the same memory."""
        return SparseRows(self.columns, self.rows, self.values, self.shape[::-1])

    def __matmul__(self, dense: np.ndarray) -> np.ndarray:
        """(N, D) @ (D, C), a dense matrix -> (N, C) float64, a dense one."""
        product = np.empty((self.shape[0], dense.shape[1]))
        for place, column in enumerate(np.ascontiguousarray(dense.T)):  # its numbers lie together
            entries = self.values * column[self.columns]
            product[:, place] = np.bincount(self.rows, entries, self.shape[0])
        return product

    def __getitem__(self, chosen: np.ndarray) -> SparseRows:
        """The chosen rows, (M,) integers, each at most once, in their order: (M, D)."""
        places = np.full(self.shape[0], -1)
        places[chosen] = np.arange(len(chosen))
        kept = places[self.rows] >= 0
        rows, shape = places[self.rows[kept]], (len(chosen), self.shape[1])
        return SparseRows(rows, self.columns[kept], self.values[kept], shape)

    def filled(self) -> np.ndarray:
        """Which rows have an entry, (N,) bool."""
        return np.bincount(self.rows, minlength=self.shape[0]) > 0
