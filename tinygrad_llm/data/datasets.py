"""What a dataset is, and those made of arrays, of a list of rows, or of a part of another one."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any, Protocol, runtime_checkable

import numpy as np

from tinygrad_llm.backend import is_array


@runtime_checkable
class Dataset(Protocol):
    """Anything with `len(dataset)` rows, of which `dataset[i]` is row i.

    A row is a tuple such as (image, label), or a dict of name -> array, number or list. Beside
    these two a dataset may have `take(indices)`, which gives a batch at once: the rows stacked,
    each array (B, ...), in a tuple or a dict like a row.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Any: ...


class ArrayDataset:
    """Rows of arrays in memory: `ArrayDataset(x, y)` has tuples, `ArrayDataset(x=x, y=y)` dicts.

    arrays, named: (N, ...) each, with the same N; they are not copied.
    Raises TypeError for what is no raw array (a Tensor gives `.numpy()`); ValueError for no arrays,
    for both kinds at once, for one without axes and for different N.
    """

    def __init__(self, *arrays: np.ndarray, **named: np.ndarray):
        if bool(arrays) == bool(named):
            raise ValueError("ArrayDataset: give arrays, all of them by place or all by name")
        self.arrays: tuple[np.ndarray, ...] = arrays or tuple(named.values())
        self._names = tuple(named)
        self._rows = _common_rows(self.arrays)

    def __len__(self) -> int:
        return self._rows

    def __getitem__(self, index: int) -> Any:
        """Row `index`: each array without its first axis. Raises IndexError beyond the end."""
        return self._row([array[operator.index(index)] for array in self.arrays])

    def take(self, indices: np.ndarray) -> Any:
        """A batch: the rows at `indices` (B,) of each array, copied, (B, ...)."""
        return self._row([array[indices] for array in self.arrays])

    def _row(self, values: list) -> Any:
        """Values as a tuple or, where the arrays have names, as a dict."""
        return dict(zip(self._names, values)) if self._names else tuple(values)


class ListDataset:
    """Rows that are in a list already, such as dicts of token ids that differ in length.

    rows: any iterable; it is read once and kept as a list.
    """

    def __init__(self, rows: Iterable[Any]):
        self._rows = list(rows)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, index: int) -> Any:
        """Row `index`, as it was given. Raises IndexError beyond the end."""
        return self._rows[operator.index(index)]


class Subset:
    """The rows of a dataset at these indices, in this order: one part of a split, for instance.

    indices: (M,) integers from 0 to len(dataset) - 1; they may repeat.
    Raises TypeError for indices that are no integers; ValueError for one outside the dataset and
    for more than one axis.
    """

    def __init__(self, dataset: Dataset, indices: Any):
        self.dataset = dataset
        self.indices = _checked_indices(np.asarray(indices), len(dataset))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        """Row `indices[index]` of the dataset. Raises IndexError beyond the end."""
        return self.dataset[int(self.indices[operator.index(index)])]

    @property
    def take(self) -> Callable[[np.ndarray], Any]:
        """`take(indices (B,)) -> batch`, there only where the dataset has it (AttributeError)."""
        whole: Callable[[np.ndarray], Any] = self.dataset.take  # type: ignore[attr-defined]
        return lambda indices: whole(self.indices[indices])


def _common_rows(arrays: tuple[np.ndarray, ...]) -> int:
    """The length of all the arrays."""
    for array in arrays:
        if not is_array(array):
            kind = type(array).__name__
            raise TypeError(f"ArrayDataset: takes arrays, not {kind}; give a NumPy array")
    lengths = {array.shape[:1] for array in arrays}
    if len(lengths) > 1 or () in lengths:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ValueError(f"ArrayDataset: shapes {shapes}; give arrays with the same number of rows")
    return len(arrays[0])


def _checked_indices(indices: np.ndarray, rows: int) -> np.ndarray:
    """`indices` as an int64 vector with entries from 0 to rows - 1."""
    if indices.ndim != 1:
        raise ValueError(f"Subset: indices have shape {indices.shape}; give a vector")
    if not indices.size:
        return indices.astype(np.int64)  # an empty list makes an array of floats
    if indices.dtype.kind not in "iu":
        raise TypeError(
            f"Subset: indices are {indices.dtype}; give integers (np.flatnonzero of a mask)"
        )
    if indices.min() < 0 or indices.max() >= rows:
        wrong = indices[(indices < 0) | (indices >= rows)][0]
        raise ValueError(f"Subset: index {wrong} is outside the dataset's rows 0 to {rows - 1}")
    return indices.astype(np.int64)
