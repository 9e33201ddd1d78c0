"""Layers with parameters of their own, or with a state: Linear, Embedding, Dropout, Flatten."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_llm import functional as F
from tinygrad_llm.functional.arguments import axis_of, integer, probability, tensor
from tinygrad_llm.nn import init
from tinygrad_llm.nn.module import Module, Parameter
from tinygrad_llm.nn.sizes import size
from tinygrad_llm.nn.storage import room
from tinygrad_llm.tensor import Tensor


class Linear(Module):
    """Y = XW + b: x (..., in_features) -> (..., out_features)  (F03, F05, G03).

    weight (in, out) and bias (out,) begin uniform in ±1/√in, as PyTorch's do: a weight of variance
    1/(3·in), which is modest. For deep stacks fill `weight` anew by `nn.init`, which says why.
    Called with an activation, "relu", "gelu" or "gelu_tanh", it gives that of Y, in the same node.
    Raises ValueError for sizes below 0 and inputs of another width.
    """

    transposed = ("weight",)

    def __init__(self, in_features: int, out_features: int, bias: bool = True):
        self.in_features = size("Linear: in_features", in_features)
        self.out_features = size("Linear: out_features", out_features)
        bound = 1.0 / math.sqrt(max(in_features, 1))
        self.weight = Parameter(room(in_features, out_features))
        init.uniform_(self.weight, -bound, bound)
        self.bias = None
        if bias:
            self.bias = Parameter(room(out_features))
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Any, activation: str | None = None) -> Tensor:
        return F.linear(x, self.weight, self.bias, activation)

    def extra_repr(self) -> str:
        return (
            f"{self.in_features}, {self.out_features}{', bias=False' if self.bias is None else ''}"
        )


class Embedding(Module):
    """A row for each id: ids (...) of integers -> (..., embedding_dim)  (G04).

    weight (num_embeddings, embedding_dim) begins normal with standard deviation 1, as PyTorch's.
    padding_idx: an id whose row begins as 0 and gets no gradient.
    Raises IndexError for ids, and a padding_idx, outside 0 … num_embeddings − 1.
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None):
        self.num_embeddings = size("Embedding: num_embeddings", num_embeddings)
        self.embedding_dim = size("Embedding: embedding_dim", embedding_dim)
        self.padding_idx = padding_idx
        if padding_idx is not None:
            padding_idx = integer("Embedding: padding_idx", padding_idx)
            if not 0 <= padding_idx < num_embeddings:
                last = num_embeddings - 1
                raise IndexError(f"Embedding: padding_idx {padding_idx} is outside 0 … {last}")
        self.weight = Parameter(room(num_embeddings, embedding_dim))
        init.normal_(self.weight)
        if padding_idx is not None:
            init.zero_row_(self.weight, padding_idx)

    def forward(self, ids: Any) -> Tensor:
        return F.embedding(ids, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        pad = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{pad}"


class Dropout(Module):
    """In training each element is 0 with probability p, else x / (1 − p); the identity after
    `eval()`  (F50, F61; Srivastava et al. 2014). Raises ValueError for p outside [0, 1]."""

    def __init__(self, p: float = 0.5):
        self.p = probability("Dropout: p", p)

    def forward(self, x: Any) -> Tensor:
        return F.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Flatten(Module):
    """Axes start_dim … end_dim as one; by default all but the first, the batch."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, x: Any) -> Tensor:
        x = tensor(x)
        try:
            start, end = axis_of(x.ndim, self.start_dim), axis_of(x.ndim, self.end_dim)
        except ValueError as error:
            raise ValueError(f"Flatten: {error}") from None
        if start > end:
            raise ValueError(f"Flatten: axis {start} comes after axis {end} in {x.shape}")
        flat = math.prod(x.shape[start : end + 1])
        return x.reshape(*x.shape[:start], flat, *x.shape[end + 1 :])

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"
