"""Activations as modules, for a Sequential; each is the function of the same name."""

from __future__ import annotations

from typing import Any

from tinygrad_llm import functional as F
from tinygrad_llm.nn.module import Module
from tinygrad_llm.tensor import Tensor


class Identity(Module):
    """x as it is."""

    def forward(self, x: Any) -> Any:
        return x


class ReLU(Module):
    """max(0, x)  (G01)."""

    def forward(self, x: Any) -> Tensor:
        return F.relu(x)


class Sigmoid(Module):
    """1 / (1 + e^−x)  (G01)."""

    def forward(self, x: Any) -> Tensor:
        return F.sigmoid(x)


class Tanh(Module):
    """tanh x  (G01)."""

    def forward(self, x: Any) -> Tensor:
        return F.tanh(x)


class SiLU(Module):
    """x·σ(x)."""

    def forward(self, x: Any) -> Tensor:
        return F.silu(x)


class Softplus(Module):
    """ln(1 + e^x)."""

    def forward(self, x: Any) -> Tensor:
        return F.softplus(x)


class GELU(Module):
    """x·Φ(x), exact ("none") or by GPT-2's tanh ("tanh")  (G08)."""

    def __init__(self, approximate: str = "none"):
        if approximate not in ("none", "tanh"):
            raise ValueError(f"GELU: approximate must be 'none' or 'tanh', not {approximate!r}")
        self.approximate = approximate

    def forward(self, x: Any) -> Tensor:
        return F.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return "" if self.approximate == "none" else f"approximate={self.approximate!r}"


class Softmax(Module):
    """e^xᵢ / Σ e^xⱼ along `axis`  (G02). A loss wants logits: `F.cross_entropy` has it inside."""

    def __init__(self, axis: int = -1):
        self.axis = axis

    def forward(self, x: Any) -> Tensor:
        return F.softmax(x, self.axis)

    def extra_repr(self) -> str:
        return f"axis={self.axis}"


class LogSoftmax(Softmax):
    """ln of the softmax along `axis`, without overflow  (G02)."""

    def forward(self, x: Any) -> Tensor:
        return F.log_softmax(x, self.axis)
