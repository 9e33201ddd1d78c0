"""Mini-batches of arrays in memory."""

from __future__ import annotations

import operator
from collections.abc import Iterator

import numpy as np

from tinygrad_llm.backend import random
from tinygrad_llm.data import order
from tinygrad_llm.data.datasets import ArrayDataset


def minibatches(
    *arrays: np.ndarray,
    batch_size: int = 64,
    shuffle: bool = True,
    stream: str = "batches",
    drop_last: bool = False,
) -> Iterator[tuple[np.ndarray, ...]]:
    """One epoch: tuples with the same `batch_size` rows of each array, every row once.

    The batches of a DataLoader, without its state: for a loop that is not interrupted.
    shuffle: in an order from the named random stream, drawn at the call; else from first to last.
    drop_last: leave out the last batch where it is smaller. A batch is a copy.
    arrays: (N, ...) each, with the same N. Raises TypeError and ValueError as `ArrayDataset` does,
    TypeError for a batch_size that is no integer, ValueError for one below 1.
    """
    dataset = ArrayDataset(*arrays)
    if operator.index(batch_size) < 1:
        raise ValueError(f"minibatches: batch_size is at least 1, not {batch_size}")
    generator = random.stream(stream).next().generator() if shuffle else None
    batches = order.plain(len(dataset), batch_size, drop_last, generator)
    return map(dataset.take, batches)
