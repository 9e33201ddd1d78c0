"""New tensors: constants, ranges, random numbers.

A shape is given as `zeros(2, 3)` or as `zeros((2, 3))`. All take `dtype`, `device` (the CPU when
None) and `requires_grad` as keywords.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_llm.backend import random
from tinygrad_llm.backend.devices import namespace
from tinygrad_llm.functional.arguments import integer, tensor
from tinygrad_llm.tensor import DEFAULT_DTYPE, Tensor

Shape = Any
"""An int or a sequence of ints."""


def zeros(
    *shape: Shape,
    dtype: Any = DEFAULT_DTYPE,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """All 0."""
    return Tensor(np.zeros(_shape(*shape), dtype), requires_grad, device=device)


def ones(
    *shape: Shape,
    dtype: Any = DEFAULT_DTYPE,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """All 1."""
    return Tensor(np.ones(_shape(*shape), dtype), requires_grad, device=device)


def full(
    shape: Shape,
    value: float,
    *,
    dtype: Any = DEFAULT_DTYPE,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """All `value`."""
    return Tensor(np.full(_shape(shape), value, dtype), requires_grad, device=device)


def zeros_like(
    x: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """All 0, in the shape of x, and in its dtype and on its device unless others are given."""
    data = tensor(x).data
    values = namespace(data).zeros_like(data, dtype=dtype)
    return Tensor(values, requires_grad, device=device)


def ones_like(
    x: Any, *, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """All 1, in the shape of x, and in its dtype and on its device unless others are given."""
    data = tensor(x).data
    values = namespace(data).ones_like(data, dtype=dtype)
    return Tensor(values, requires_grad, device=device)


def arange(
    *bounds: float, dtype: Any = None, device: str | None = None, requires_grad: bool = False
) -> Tensor:
    """start, start + step, … before stop: `arange(stop)`, `arange(start, stop, step)`.

    int64 for integers, float32 when a bound is a float.
    """
    values = np.arange(*bounds, dtype=dtype)
    if dtype is None and values.dtype.kind == "f":
        values = values.astype(DEFAULT_DTYPE)
    return Tensor(values, requires_grad, device=device)


def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = DEFAULT_DTYPE,
    device: str | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """(n, m): 1 on the diagonal, else 0; square when m is None."""
    return Tensor(np.eye(n, m, dtype=dtype), requires_grad, device=device)


def randn(
    *shape: Shape,
    dtype: Any = DEFAULT_DTYPE,
    device: str | None = None,
    requires_grad: bool = False,
    stream: str = "data",
) -> Tensor:
    """Standard normal numbers from the named random stream; see `manual_seed`."""
    values = random.stream(stream).next().generator().standard_normal(_shape(*shape))
    return Tensor(values.astype(dtype), requires_grad, device=device)


def rand(
    *shape: Shape,
    dtype: Any = DEFAULT_DTYPE,
    device: str | None = None,
    requires_grad: bool = False,
    stream: str = "data",
) -> Tensor:
    """Numbers uniform in [0, 1) from the named random stream; see `manual_seed`."""
    values = random.stream(stream).next().generator().random(_shape(*shape))
    below_one = np.nextafter(np.dtype(dtype).type(1), 0)  # what is near 1 would be rounded to 1
    return Tensor(np.minimum(values.astype(dtype), below_one), requires_grad, device=device)


def _shape(*sizes: Any) -> tuple[int, ...]:
    """(2, 3) from `2, 3` and from `(2, 3)`."""
    given = sizes[0] if len(sizes) == 1 and np.iterable(sizes[0]) else sizes
    return tuple(integer("each size of a shape", n) for n in given)
