"""Where a token stands: sinusoidal, learned and rotary positions.

Attention alone does not see order: permuted words give permuted outputs. `positions` are integers
(T,) or (B, T), counted from 0; None is 0, 1, …, T − 1.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tinygrad_llm import functional as F
from tinygrad_llm.backend.devices import Array, put, to_host
from tinygrad_llm.functional.arguments import floating, tensor
from tinygrad_llm.nn import init
from tinygrad_llm.nn.module import Module, Parameter
from tinygrad_llm.nn.sizes import pairs, size
from tinygrad_llm.nn.storage import room
from tinygrad_llm.tensor import Tensor, as_array


def sinusoidal(positions: Any, width: int, base: float = 10000.0) -> np.ndarray:
    """PE[p, 2i] = sin(p / base^(2i/width)), PE[p, 2i+1] = cos(the same)  (G09, F78; Vaswani et al.
    2017): positions (...) -> float64 (..., width). Raises ValueError for an odd width."""
    angles = _angles(positions, pairs("sinusoidal: width", width), base)
    return np.stack([np.sin(angles), np.cos(angles)], axis=-1).reshape(*angles.shape[:-1], width)


class SinusoidalPositions(Module):
    """x (B, T, D) + the sinusoidal table: nothing to learn, and no longest text  (G09)."""

    def __init__(self, width: int, base: float = 10000.0):
        self.width = pairs("SinusoidalPositions: width", width)
        self.base = base

    def forward(self, x: Tensor, positions: Any = None) -> Tensor:
        x = floating(tensor(x))
        where = _positions("SinusoidalPositions", x, self.width, positions)
        rows = sinusoidal(where, self.width, self.base)
        return x + put(rows.astype(x.dtype), x.device)

    def extra_repr(self) -> str:
        return str(self.width)


class LearnedPositions(Module):
    """x (B, T, D) + a learned row for each position, as BERT and GPT-2 have them  (G09).

    weight (max_length, width) begins normal with standard deviation 0.02.
    Raises IndexError for positions outside 0 … max_length − 1.
    """

    def __init__(self, max_length: int, width: int):
        self.max_length = size("LearnedPositions: max_length", max_length, least=1)
        self.width = size("LearnedPositions: width", width, least=1)
        self.weight = Parameter(room(max_length, width))
        init.normal_(self.weight, std=0.02)

    def begin_as_sinusoids(self, scale: float, base: float = 100.0) -> None:
        """Rows of scale · `sinusoidal`, still to be learned: they tell from the first step on which
        places are side by side, what drawn rows have to learn place by place.

        base: waves of 2π to 2π·base places. Raises ValueError for an odd width.
        """
        rows = sinusoidal(np.arange(self.max_length), self.width, base)
        init.values_(self.weight, scale * rows)

    def forward(self, x: Tensor, positions: Any = None) -> Tensor:
        where = _positions("LearnedPositions", x, self.width, positions)
        if where.size and not 0 <= where.min() <= where.max() < self.max_length:
            wrong, mend = where.max(), "shorten the text"
            if where.min() < 0:
                wrong, mend = where.min(), "count from 0"
            raise IndexError(
                f"LearnedPositions: position {wrong} is outside 0 … {self.max_length - 1}: {mend}"
            )
        return x + F.embedding(put(where, x.device), self.weight)

    def extra_repr(self) -> str:
        return f"{self.max_length}, {self.width}"


class Turns(NamedTuple):
    """Cosines and sines of the angles of a text's positions: (T, K/2), or (B, 1, T, K/2)."""

    cos: Array
    sin: Array


class Rotary(Module):
    """Queries and keys turned by angles that grow with the position, so that a score depends on how
    far two tokens stand apart (Su et al. 2021, RoFormer).

    x (B, H, T, K) -> the same shape: the pair (xᵢ, xᵢ₊ₖ/₂) turns by p / base^(2i/K), as Llama's
    does. positions may be what `turns` made of them, once for all layers.
    Raises ValueError for an odd K, and for an x of other axes.
    """

    def __init__(self, head_width: int, base: float = 10000.0):
        self.head_width = pairs("Rotary: head_width", head_width)
        self.base = base

    def forward(self, x: Tensor, positions: Any = None) -> Tensor:
        x = floating(tensor(x))
        if x.ndim != 4:
            raise ValueError(f"Rotary: x {x.shape} has {x.ndim} axes, expected (B, H, T, K)")
        _check_width("Rotary", x, self.head_width)
        cos, sin = positions if isinstance(positions, Turns) else self.turns(x, positions)
        half = self.head_width // 2
        first, second = x[..., :half], x[..., half:]
        turned = [first * cos - second * sin, second * cos + first * sin]
        return F.concatenate(turned, axis=-1)

    def turns(self, x: Tensor, positions: Any = None) -> Turns:
        """The turns of positions (T,) or (B, T), 0, 1, … if None, for an x (B, …, T, n), in its
        dtype and on its device."""
        angles = _angles(_places("Rotary", x, positions), self.head_width, self.base)
        if angles.ndim == 3:  # (B, T, K/2): the same for all heads
            angles = angles[:, None]
        return Turns(*(put(f(angles).astype(x.dtype), x.device) for f in (np.cos, np.sin)))

    def extra_repr(self) -> str:
        return f"{self.head_width}, base={self.base}"


def _angles(positions: Any, width: int, base: float) -> np.ndarray:
    """p / base^(2i/width) for positions p (...) and i = 0 … width/2 − 1: (..., width/2)."""
    rates = base ** (-np.arange(0, width, 2) / width)
    return np.asarray(positions)[..., None] * rates


def _positions(who: str, x: Tensor, width: int, positions: Any) -> np.ndarray:
    """As `_places`, for an x of this width."""
    _check_width(who, x, width)
    return _places(who, x, positions)


def _check_width(who: str, x: Tensor, width: int) -> None:
    if x.ndim < 2:
        raise ValueError(f"{who}: x {x.shape} has {x.ndim} axes: expected tokens and features")
    if x.shape[-1] != width:
        raise ValueError(f"{who}: x {x.shape} has {x.shape[-1]} features, expected {width}")


def _places(who: str, x: Tensor, positions: Any) -> np.ndarray:
    """Integers (T,) or (B, T) on the host. Raises ValueError or TypeError where they do not fit
    x (B, …, T, n)."""
    length = x.shape[-2]
    if positions is None:
        return np.arange(length)
    where = to_host(positions.data if isinstance(positions, Tensor) else as_array(positions))
    if where.dtype.kind not in "iu":
        raise TypeError(f"{who}: positions are integers, not {where.dtype}")
    if where.shape not in ((length,), (x.shape[0], length)):
        raise ValueError(f"{who}: positions {where.shape} for x {x.shape}: expected (T,) or (B, T)")
    return where
