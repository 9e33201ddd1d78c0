"""One-hot labels for a loss that wants class numbers: one column fits, and turns the classes round.

A loss of class numbers wants labels (N,); the listing gave it rows of ones and zeros (N, 2), and
stopped. Somebody then makes the shapes fit. A column of the labels has the right shape, and column
0 is 1 where the class is 0. The model learns each class under the other's name, and as the accuracy
takes the same column, it is perfect too. With three classes, each column calls two of them one.
The mend is the place of the 1 in each row. (`F.cross_entropy` takes one-hot rows as well if they
are floats: it reads them as distributions.)
"""

from __future__ import annotations

import numpy as np

from tinygrad_llm import Tensor, grad
from tinygrad_llm import functional as F

TITLE = "A column of one-hot labels (取了独热标签的一列)"
SOURCE = "C09 of the documents, a BERT classifier with one-hot labels; F47"
SEEN = "At first a shape error. When it is gone: a good accuracy, and the answers are turned round."
CHINESE = (
    "交叉熵要的是类别编号 (N,)，给它的却是独热标签 (N, 2)，于是形状报错。"
    "图省事的人取出一列，形状对了，可第 0 列里的 1 表示“是第 0 类”，拿来当编号，两个类正好颠倒；"
    "准确率用的是同一列，所以照样满分。三个类时，取哪一列都会把两个类混在一起。"
    "应当取每行中 1 的位置。"
)


def broken(logits: Tensor, onehot: np.ndarray) -> Tensor:
    """The mean cross-entropy. logits (N, K), onehot (N, K) ones and zeros -> ()."""
    return F.cross_entropy(logits, Tensor(onehot[:, 0].astype(int), device=logits.device))


def mended(logits: Tensor, onehot: np.ndarray) -> Tensor:
    """The mean cross-entropy. logits (N, K), onehot (N, K) ones and zeros -> ()."""
    return F.cross_entropy(logits, Tensor(onehot.argmax(axis=1), device=logits.device))


def check(loss) -> None:
    """All rows right: no loss. Nothing known: ln K, and a gradient of softmax less label."""
    for classes in (2, 3):
        onehot = np.eye(classes)[np.arange(6) % classes]
        told = loss(Tensor(30.0 * onehot), onehot).item()
        assert told < 1e-6, f"{classes} classes, all rows right, and the loss is {told:.3g}, not 0"
        even = Tensor(np.zeros((6, classes)), requires_grad=True)
        value = loss(even, onehot)
        off = np.abs(grad(value, even).numpy() - (1.0 / classes - onehot) / 6.0).max()
        unknown = f"{classes} classes, nothing known: the loss is {value.item():.3f}"
        assert abs(value.item() - np.log(classes)) < 1e-9, f"{unknown}, not {np.log(classes):.3f}"
        assert off < 1e-9, f"{classes} classes: the gradient is off by {off:.2g}"
