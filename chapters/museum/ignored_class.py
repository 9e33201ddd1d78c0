"""One loss for two targets: the 0 that words ignore is a class of the sentences.

The labels of hidden words have 0 at all places that do not count, so the loss is told to ignore 0.
The same loss object then scores pairs of sentences, whose labels are 0 and 1. Every pair of class 0
is ignored: no gradient ever comes from it, and to say 1 is always right. The mend is a label for
"does not count" that no class can have, −100, or a loss of its own for each target.
"""

from __future__ import annotations

import numpy as np

from tinygrad_llm import Tensor, grad
from tinygrad_llm import functional as F

TITLE = "A class that is never trained (有一个类从未被训练)"
SOURCE = "codertimo/BERT-pytorch, reported as #49 (2018) and #98 (2022), later mended; G12"
SEEN = "The loss of next-sentence prediction falls to almost 0, and its accuracy stays at one half."
CHINESE = (
    "掩码语言模型把“不计分”的位置标成 0，于是损失函数忽略 0；同一个损失对象又拿去算“下一句”，"
    "那里的 0 却是一个真正的类别。结果这一类从来没有梯度，模型永远回答 1：损失接近 0，"
    "准确率停在一半。不计分的标签应当用 −100 这种任何类别都不会用的数。"
)


def broken(logits: Tensor, follows: Tensor) -> Tensor:
    """The mean loss of pairs. logits (N, 2), follows (N,) 0 or 1 -> ()."""
    return F.cross_entropy(logits, follows, ignore_index=0)


def mended(logits: Tensor, follows: Tensor) -> Tensor:
    """The mean loss of pairs. logits (N, 2), follows (N,) 0 or 1 -> ()."""
    return F.cross_entropy(logits, follows)


def check(loss) -> None:
    """Every pair must send a gradient back, whichever class it is of."""
    rng = np.random.default_rng(0)
    logits = Tensor(rng.normal(size=(8, 2)), requires_grad=True)
    follows = np.arange(8) % 2
    slopes = np.abs(grad(loss(logits, Tensor(follows)), logits).numpy()).max(axis=1)
    for label in (0, 1):
        silent = int(np.sum(slopes[follows == label] == 0.0))
        assert silent == 0, f"of 4 pairs of class {label}, {silent} have no gradient"
