"""The loss of an epoch is divided by the length of its data set, and the data set is a pair.

Inputs and labels stand together in a tuple, whose length is 2 with any number of rows. So the sum
of the batches' losses is halved, and the more batches there are, the larger is the "mean" (F68).
Divided by the number of batches it is almost right, but a last batch of few rows counts like a full
one. The listing stopped earlier: it called a loss and a mode that this kind of model does not have,
and a gradient that this way of running forbids; and what it did to its data set it threw away. The
mend weighs each batch's mean by its rows.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Data = tuple[np.ndarray, np.ndarray]
"""Inputs (N, ...) and labels (N,)."""

TITLE = "A mean over a pair (除以二元组的长度)"
SOURCE = "C10 of the documents, a TensorFlow training loop; F68"
SEEN = "An error at once. Without it: a loss of 2.4 where 0.7 is meant, and less in larger batches."
CHINESE = (
    "数据集写成了（输入，标签）二元组，len 总是 2。一轮的损失本该求平均，却除以了 2："
    "100 行、每批 16 行、损失都是 0.69，算出来是 2.42，换个批大小又是另一个数。"
    "除以批数也不完全对：最后一批行数少，却和满批一样重。应当按每批的行数加权，再除以总行数。"
)


def broken(loss: Callable[[Data], float], data: Data, size: int) -> float:
    """The mean loss of an epoch. loss: the mean over the rows of a batch; size: of a batch."""
    batches = [tuple(part[i : i + size] for part in data) for i in range(0, len(data[1]), size)]
    return sum(loss(batch) for batch in batches) / len(data)


def mended(loss: Callable[[Data], float], data: Data, size: int) -> float:
    """The mean loss of an epoch. loss: the mean over the rows of a batch; size: of a batch."""
    batches = [tuple(part[i : i + size] for part in data) for i in range(0, len(data[1]), size)]
    return sum(loss(batch) * len(batch[1]) for batch in batches) / len(data[1])


def squared(batch: Data) -> float:
    """The mean squared error of a model that hands on its input."""
    return float(np.mean((batch[0] - batch[1]) ** 2))


def check(epoch) -> None:
    """Whatever the size of a batch, the mean is that of all rows at once."""
    error = np.full(100, np.sqrt(0.69))
    for size in (16, 32, 100):
        found = epoch(squared, (error, np.zeros(100)), size)
        assert abs(found - 0.69) < 1e-9, (
            f"100 rows with a loss of 0.69 each have {found:.2f} in batches of {size}"
        )
    error[96:] = 4.0
    found, whole = epoch(squared, (error, np.zeros(100)), 16), squared((error, np.zeros(100)))
    assert abs(found / whole - 1.0) < 1e-9, (
        f"the last 4 rows are worse, and the mean is {found:.2f}, not {whole:.2f}"
    )
