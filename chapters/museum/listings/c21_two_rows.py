"""Two rows, split 80 to 20: one is left to learn from, and so one class is never seen.

A random split keeps each class only on average. With two rows of two classes the training part has
one of them for certain: the model learns to say the same thing always, its training loss is
perfect, and the one other row is always wrong. Thirty rows with a rare class have it too, only now
and then. The mend is to split by class, to refuse what is too little, and to hold out a third part
for the last judgement. The listing also reads Chinese with an English vocabulary, see C17, and
never imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tinygrad_llm import data

TITLE = "Two rows, split into parts (两行数据也要划分)"
SOURCE = "C21 of the documents, the data of a text classifier with seed 42"
SEEN = "The training loss goes to 0 at once, and the accuracy on the held-out row is 0."
CHINESE = (
    "两行数据、两个类别，按 80/20 划分：训练集只剩一行，另一个类别从来没有出现过。"
    "模型学会永远说同一个答案，训练损失几乎是 0，留出的那一行必错。"
    "三十行数据里有一个少见的类时也会这样，只是时有时无，更难发现。"
    "应当按类别分层划分，数据太少就拒绝，并且再留出一份测试集，最后只用一次。"
)


def broken(labels: Sequence[str], seed: int) -> tuple[np.ndarray, ...]:
    """The indices of each part of a split."""
    order = np.random.default_rng(seed).permutation(len(labels))
    held_out = -(-len(labels) // 5)
    return order[held_out:], order[:held_out]


def mended(labels: Sequence[str], seed: int) -> tuple[np.ndarray, ...]:
    """The indices of each part of a split. Raises ValueError for a class with too few rows."""
    return data.three_way_split(labels, (0.6, 0.2, 0.2), seed)


def lacking(parts: Sequence[np.ndarray], labels: Sequence[str]) -> int:
    """How many classes some part has no row of."""
    present = [{labels[i] for i in part} for part in parts]
    return len(set(labels) - set.intersection(*present))


def check(split) -> None:
    """Every part has rows of every class, or there is no split."""
    two = ["体育", "科技"]
    try:
        parts = split(two, 42)
    except ValueError:
        parts = [np.arange(2)]  # refused, as it should be: both rows are still together
    seen = len({two[i] for i in parts[0]})
    assert seen == 2, f"of {len(two)} classes, {seen} is in the rows to learn from"
    many = ["体育"] * 25 + ["科技"] * 5
    splits = [split(many, seed) for seed in range(20)]
    bad = sum(lacking(parts, many) > 0 for parts in splits)
    assert bad == 0, f"in {bad} of 20 splits of 30 rows, a part has no row of some class"
    rows = [sorted(np.concatenate(parts)) for parts in splits]
    assert all(each == list(range(30)) for each in rows), "a row is in two parts, or in none"
    least = min(map(len, splits))
    assert least == 3, f"there are {least} parts, and the third is for the last judgement"
