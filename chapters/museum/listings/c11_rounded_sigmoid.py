"""Each of two logits is rounded by itself, and half of the rows have no class, or both.

A head of two logits under a softmax says how much one class is ahead of the other. The listing
puts a sigmoid on each and rounds: above 0 is a yes. Both may be above 0, or neither (F69). A report
that takes such rows for several labels at once scores them without complaint. The listing had more:
a mode that its model lacks, a tape where no gradient is needed, an output object in the place of
its logits, a list of labels that the loop overwrites, parts that were never joined. The mend is the
place of the largest logit.
"""

from __future__ import annotations

import numpy as np

from tinygrad_llm import Tensor
from tinygrad_llm import functional as F

TITLE = "Rounded one by one (逐个取整)"
SOURCE = "C11 of the documents, the evaluation of a BERT classifier; F69"
SEEN = "An error at once. Without it: a report in which half of the rows have no class, or two."
CHINESE = (
    "两个输出配的是 softmax，它们只说明“哪一个更大”。原程序却对每个输出单独取 sigmoid 再四舍五入："
    "两个都大于 0 就同时属于两类，都小于 0 就哪一类也不是，随机的输出里有一半是这样。"
    "报告会把它当成多标签任务，照样打分，不会报错。应当取得分最大的那一类。"
)


def broken(logits: Tensor) -> np.ndarray:
    """The class of each row, as a 1 in a row of zeros. logits (N, K) -> (N, K)."""
    return np.round(F.sigmoid(logits).numpy())


def mended(logits: Tensor) -> np.ndarray:
    """The class of each row, as a 1 in a row of zeros. logits (N, K) -> (N, K)."""
    return np.eye(logits.shape[1])[logits.numpy().argmax(axis=1)]


def check(classes_of) -> None:
    """A row has one class, that of its largest logit; a number added to all changes nothing."""
    rng = np.random.default_rng(0)
    for classes in (2, 3):
        logits = rng.normal(size=(1000, classes))
        for shift in (0.0, 5.0):
            told = classes_of(Tensor(logits + shift))
            none, several = int(np.sum(told.sum(axis=1) == 0)), int(np.sum(told.sum(axis=1) > 1))
            wrong = f"of 1000 rows, {none} have no class and {several} more than one"
            assert none + several == 0, f"{classes} logits near {shift:g}: {wrong}"
            other = int(np.sum(told.argmax(axis=1) != logits.argmax(axis=1)))
            assert other == 0, (
                f"{classes} logits near {shift:g}: {other} rows are not of the largest"
            )
