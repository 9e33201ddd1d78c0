"""Mini-batches of arrays in memory."""

from __future__ import annotations

import operator
from collections.abc import Iterator

import numpy as np

from tinygrad_llm.backend import is_array, random


def minibatches(
    *arrays: np.ndarray,
    batch_size: int = 64,
    shuffle: bool = True,
    stream: str = "batches",
    drop_last: bool = False,
) -> Iterator[tuple[np.ndarray, ...]]:
    """One epoch: tuples with the same `batch_size` rows of each array, every row once.

    shuffle: in an order from the named random stream, drawn at the call; else from first to last.
    drop_last: leave out the last batch where it is smaller. A batch is a copy.
    arrays: (N, ...) each, with the same N. Raises TypeError for what is not a raw array (a Tensor
    gives `.numpy()`) or a batch_size that is no integer; ValueError for no arrays, for one without
    axes, for different N and for batch_size < 1.
    """
    rows = _common_rows(arrays)
    if operator.index(batch_size) < 1:
        raise ValueError(f"minibatches: batch_size is at least 1, not {batch_size}")
    order = np.arange(rows)
    if shuffle:
        order = random.stream(stream).next().generator().permutation(rows)
    end = rows - rows % batch_size if drop_last else rows
    starts = range(0, end, batch_size)
    return (tuple(a[order[i : i + batch_size]] for a in arrays) for i in starts)


def _common_rows(arrays: tuple[np.ndarray, ...]) -> int:
    """The length of all the arrays."""
    if not arrays:
        raise ValueError("minibatches: there is no array; give at least one")
    for array in arrays:
        if not is_array(array):
            kind = type(array).__name__
            raise TypeError(f"minibatches: takes arrays, not {kind}; give a NumPy array")
    lengths = {array.shape[:1] for array in arrays}
    if len(lengths) > 1 or () in lengths:
        shapes = ", ".join(str(array.shape) for array in arrays)
        raise ValueError(f"minibatches: shapes {shapes}; give arrays with the same number of rows")
    return len(arrays[0])
