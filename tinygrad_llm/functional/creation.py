"""New tensors: constants, ranges, random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm.backend import random
from tinygrad_llm.backend.devices import namespace
from tinygrad_llm.functional.arguments import tensor
from tinygrad_llm.tensor import DEFAULT_DTYPE, Tensor

Shape = Any
"""An int or a sequence of ints."""


def zeros(shape: Shape, dtype: Any = DEFAULT_DTYPE, requires_grad: bool = False) -> Tensor:
    """All 0."""
    return Tensor(np.zeros(shape, dtype), requires_grad)


def ones(shape: Shape, dtype: Any = DEFAULT_DTYPE, requires_grad: bool = False) -> Tensor:
    """All 1."""
    return Tensor(np.ones(shape, dtype), requires_grad)


def full(shape: Shape, value: float, dtype: Any = DEFAULT_DTYPE) -> Tensor:
    """All `value`."""
    return Tensor(np.full(shape, value, dtype))


def zeros_like(x: Any) -> Tensor:
    """All 0, in the shape, dtype and device of x."""
    data = tensor(x).data
    return Tensor(namespace(data).zeros_like(data))


def ones_like(x: Any) -> Tensor:
    """All 1, in the shape, dtype and device of x."""
    data = tensor(x).data
    return Tensor(namespace(data).ones_like(data))


def arange(*bounds: float, dtype: Any = None) -> Tensor:
    """start, start + step, … before stop: `arange(stop)`, `arange(start, stop, step)`."""
    return Tensor(np.arange(*bounds).tolist(), dtype=dtype)


def eye(n: int, m: int | None = None, dtype: Any = DEFAULT_DTYPE) -> Tensor:
    """(n, m): 1 on the diagonal, else 0; square when m is None."""
    return Tensor(np.eye(n, m, dtype=dtype))


def randn(
    *shape: int, dtype: Any = DEFAULT_DTYPE, requires_grad: bool = False, stream: str = "data"
) -> Tensor:
    """Standard normal numbers from the named random stream; see `manual_seed`."""
    draw = random.stream(stream).next().generator()
    return Tensor(draw.standard_normal(shape).astype(dtype), requires_grad)


def rand(
    *shape: int, dtype: Any = DEFAULT_DTYPE, requires_grad: bool = False, stream: str = "data"
) -> Tensor:
    """Numbers uniform in [0, 1) from the named random stream; see `manual_seed`."""
    draw = random.stream(stream).next().generator()
    values = draw.random(shape)
    return Tensor(
        np.minimum(values.astype(dtype), np.nextafter(dtype_one(dtype), 0)), requires_grad
    )


def dtype_one(dtype: Any) -> Any:
    """1 in that dtype."""
    return np.dtype(dtype).type(1)
