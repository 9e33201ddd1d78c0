"""What the engine's tests share: float64 leaves, and ways to watch what the engine does."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_llm import Tensor
from tinygrad_llm.graph import Node


def leaf(values: Any, dtype: Any = np.float64) -> Tensor:
    """A tensor with memory of its own that asks for its gradient."""
    return Tensor(np.array(values, dtype=dtype), requires_grad=True)


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    """Standard normal numbers, the same in every run."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def same_bits(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors agree in shape, dtype and every bit."""
    same = a.shape == b.shape and a.dtype == b.dtype
    return same and a.numpy().tobytes() == b.numpy().tobytes()


def alive(kind: type) -> int:
    """How many objects of a type exist."""
    return sum(type(each) is kind for each in gc.get_objects())


@contextmanager
def nothing_left_behind(tensors: int = 0) -> Iterator[None]:
    """Within the block the collector sleeps; afterwards no node is left that was not there before,
    and no more than so many new tensors: whatever is a cycle would still be there."""
    gc.collect()
    gc.disable()
    try:
        before = alive(Node), alive(Tensor)
        yield
        after = alive(Node), alive(Tensor)
    finally:
        gc.enable()
    assert after == (before[0], before[1] + tensors)
