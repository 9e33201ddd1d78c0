"""Layer norm and RMS norm as modules."""

from __future__ import annotations

from typing import Any

from tinygrad_llm import functional as F
from tinygrad_llm.nn import init
from tinygrad_llm.nn.module import Module, Parameter
from tinygrad_llm.nn.sizes import size
from tinygrad_llm.nn.storage import room


class LayerNorm(Module):
    """γ·(x − mean)/√(variance + ε) + β over the last axis  (G07, F76; Ba et al. 2016).

    x (..., width) -> the same shape. Called with a residual too it gives (norm of the sum, sum).
    weight γ begins as 1, bias β as 0. Raises ValueError for inputs of another width.
    """

    def __init__(self, width: int, eps: float = 1e-5, bias: bool = True):
        self.width = size("LayerNorm: width", width, least=1)
        self.eps = eps
        self.weight = Parameter(room(width))
        init.ones_(self.weight)
        self.bias = None
        if bias:
            self.bias = Parameter(room(width))
            init.zeros_(self.bias)

    def forward(self, x: Any, residual: Any = None) -> Any:
        if residual is None:
            return F.layer_norm(x, self.weight, self.bias, self.eps)
        return F.add_layer_norm(x, residual, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.width}, eps={self.eps}{', bias=False' if self.bias is None else ''}"


class RMSNorm(Module):
    """γ·x/√(mean x² + ε) over the last axis  (Zhang & Sennrich 2019).

    x (..., width) -> the same shape. Called with a residual too it gives (norm of the sum, sum).
    weight γ begins as 1. Raises ValueError for inputs of another width.
    """

    def __init__(self, width: int, eps: float = 1e-6):
        self.width = size("RMSNorm: width", width, least=1)
        self.eps = eps
        self.weight = Parameter(room(width))
        init.ones_(self.weight)

    def forward(self, x: Any, residual: Any = None) -> Any:
        if residual is None:
            return F.rms_norm(x, self.weight, self.eps)
        return F.add_rms_norm(x, residual, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.width}, eps={self.eps}"
