"""Forms about what attention costs, in multiplications and numbers kept, not in seconds: F90.

Letters: T words, D width, H heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tinygrad_llm.formulas.neuron import softmax
from tinygrad_llm.formulas.numeric import Array
from tinygrad_llm.formulas.registry import Outcome, Question, case, formula


@formula("F90", "corrected")
def cost_of_attention(length: int, width: int, heads: int) -> Array:
    """F90: 4TD² + 2T²D multiplications, O(T²D + TD²), and HT² weights to keep.

    Four matrices over T words; scores and sums between T² pairs, whose D features the heads share.
    -> (2,), multiplications and weights.
    """
    products = 4 * length * width**2 + 2 * length**2 * width
    return np.array([products, heads * length**2], dtype=float)


@formula("F90", "mistake")
def cost_of_pairs(length: int, width: int, heads: int) -> Array:
    """F90 mistaken: 2T²D and T², attention as "quadratic" and no more.

    The document says only that it is costly. A text shorter than 2D words pays more for the four
    matrices than for its pairs, and each head keeps a map. -> (2,).
    """
    return np.array([2 * length**2 * width, length**2], dtype=float)


@dataclass
class Tally:
    """How many multiplications there have been, and how many weights."""

    products: int = 0
    weights: int = 0


@dataclass(frozen=True)
class _Number:
    """A number that writes down its multiplications."""

    value: float
    tally: Tally

    def __mul__(self, other: _Number) -> _Number:
        self.tally.products += 1
        return _Number(self.value * other.value, self.tally)

    def __add__(self, other: _Number) -> _Number:
        return _Number(self.value + other.value, self.tally)


def count(X: Array, matrices: Array, heads: int) -> tuple[Array, Tally]:
    """Self-attention of X (T, D) with W^Q, W^K, W^V, W^O (4, D, D), number by number.

    -> the output (T, D), and what it took.
    """
    tally = Tally()
    counted = np.vectorize(lambda value: _Number(value, tally), otypes=[object])
    values = np.vectorize(lambda number: number.value, otypes=[float])
    query, key, value, out = counted(matrices)
    parts = (np.split(counted(X) @ W, heads, axis=1) for W in (query, key, value))
    outputs = []
    for q, k, v in zip(*parts):
        weights = softmax(values(q @ k.T) / np.sqrt(q.shape[1]))
        tally.weights += weights.size
        outputs.append(counted(weights) @ v)
    return values(np.concatenate(outputs, axis=1) @ out), tally


@case("F90", "counted one by one", Outcome.DIFFERS)
def _count_question(rng: np.random.Generator) -> Question:
    heads = int(rng.integers(1, 4))
    length, width = int(rng.integers(2, 6)), 2 * heads
    X, matrices = rng.normal(size=(length, width)), rng.normal(size=(4, width, width))
    _, tally = count(X, matrices, heads)
    return Question(
        np.array([tally.products, tally.weights], dtype=float),
        lambda form: form(length, width, heads),
    )
