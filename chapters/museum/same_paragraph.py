"""Negatives from the same paragraph: some of them are the next sentence after all.

For next-sentence prediction half of the pairs are real, and half have a random second sentence. A
random sentence of the same paragraph of n follows by chance in one of n − 1 cases, and the label
says that it does not. It also takes the task's clue away: sentences of one paragraph share their
words, whether they follow or not. F72 goes further: it calls every pair of a paragraph a positive,
and in a paragraph of five that is wrong for 80 %. The mend is to draw from another text.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

TITLE = "Negatives from the same paragraph (负例取自同一段落)"
SOURCE = "F72, from a published article; the mend is that of Devlin et al. 2019"
SEEN = "The accuracy of next-sentence prediction stops well below 1, with any model."
CHINESE = (
    "下一句预测要一半正例、一半负例。负例若从同一段里随机取，n 句的段落里每 n − 1 次就有一次"
    "恰好取到真正的下一句，标签却说“不是”；而且同段的句子用词相近，线索也没有了。"
    "F72 更进一步，把同段的任意两句都算正例：五句的段落里有 80% 是错的。负例应当取自别的文本。"
)

Place = tuple[int, int]
"""A sentence by the number of its text and its place there."""

Pair = tuple[Place, Place, int]
"""Sentence A, sentence B, and the label: 1 where B follows A."""


def broken(lengths: Sequence[int], rng: np.random.Generator) -> Pair:
    """A drawn pair; lengths: how many sentences each text has, two or more."""
    text = int(rng.integers(len(lengths)))
    first = int(rng.integers(lengths[text] - 1))
    if rng.random() < 0.5:
        return (text, first), (text, first + 1), 1
    others = [place for place in range(lengths[text]) if place != first]
    return (text, first), (text, int(rng.choice(others))), 0


def mended(lengths: Sequence[int], rng: np.random.Generator) -> Pair:
    """A drawn pair; lengths: how many sentences each text has, two or more."""
    text = int(rng.integers(len(lengths)))
    first = int(rng.integers(lengths[text] - 1))
    if rng.random() < 0.5:
        return (text, first), (text, first + 1), 1
    other = (text + int(rng.integers(1, len(lengths)))) % len(lengths)
    return (text, first), (other, int(rng.integers(lengths[other]))), 0


def follows(first: Place, second: Place) -> bool:
    """Whether the second is the sentence after the first."""
    return second == (first[0], first[1] + 1)


def check(draw) -> None:
    """Half of the pairs follow, and no other one is of the same text."""
    rng = np.random.default_rng(0)
    pairs = [draw([5, 3, 4, 6], rng) for _ in range(400)]
    wrong = sum(label != follows(first, second) for first, second, label in pairs)
    negatives = [(first, second) for first, second, label in pairs if label == 0]
    assert wrong == 0, f"{wrong} of {len(negatives)} negatives are the next sentence"
    near = sum(first[0] == second[0] for first, second in negatives)
    assert near == 0, f"{near} of {len(negatives)} negatives are from the text of the first"
    assert 0.4 < len(negatives) / 400 < 0.6, f"{len(negatives)} of 400 pairs are negatives"
