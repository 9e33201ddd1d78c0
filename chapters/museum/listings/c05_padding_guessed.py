"""Accuracy over all places: a model that says "padding" everywhere is right in 84 % of them.

The listing fills texts up to 128 places and asks for the accuracy. Most places are padding, and
padding is soon foretold. So the score begins high and rises, while not one word is right. The
listing stopped before that, since its labels were texts and not ids, one row short, and each a
whole text, turned round by one; its validation set was the test set. The mend is to count hits and
places where the label is a word, and to hold the loss against that of single words' frequencies.
"""

from __future__ import annotations

import numpy as np

TITLE = "Padding that is guessed right (填充也算答对了)"
SOURCE = "C05 of the documents, the training of a language model"
SEEN = "An error at once, from the labels. With ids in their place: a high accuracy at once."
CHINESE = (
    "句子一律补齐到 128 个位置，真正的词往往只有二十来个。如果准确率对所有位置求平均，"
    "一个只会回答“填充”的模型就有 84 分，而词一个也没有猜对。分子和分母都只能数标签是词的位置。"
    "另外，损失要和只数词频的一元模型比一比，比不过它，就等于什么都没学到。"
)


def broken(predicted: np.ndarray, labels: np.ndarray, pad: int) -> float:
    """The share of words that are right. predicted and labels (B, T) ids, `pad` the padding's."""
    return float(np.mean(predicted == labels))


def mended(predicted: np.ndarray, labels: np.ndarray, pad: int) -> float:
    """The share of words that are right. predicted and labels (B, T) ids, `pad` the padding's."""
    words = labels != pad
    return float(np.mean(predicted[words] == labels[words]))


def check(accuracy) -> None:
    """Who only says "padding" has 0; of words, each counts the same, and padding nothing."""
    rng = np.random.default_rng(0)
    lengths = np.array([30, 6, 25, 20])[:, None]
    labels = np.where(np.arange(128) < lengths, rng.integers(1, 50, size=(4, 128)), 0)
    lazy = accuracy(np.zeros_like(labels), labels, 0)
    assert lazy == 0.0, f"a model that says padding everywhere is right in {lazy:.0%}"
    half = np.where(np.arange(128) < lengths // 2, labels, 0)
    right = np.sum(lengths // 2) / np.sum(lengths)
    found = accuracy(half, labels, 0)
    assert abs(found - right) < 1e-12, f"of 81 words {right:.1%} are right, and it says {found:.1%}"
    talkative = accuracy(np.where(labels == 0, 7, labels), labels, 0)
    assert talkative == 1.0, f"all words are right, and it says {talkative:.1%}"
