"""MLP: linear layers with an activation between (multilayer perceptron, 多层感知机)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from tinygrad_llm import nn
from tinygrad_llm.models.checks import positive
from tinygrad_llm.nn.sizes import one_of
from tinygrad_llm.tensor import Tensor

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "linear": nn.Identity,
}

INITIALIZATIONS = ("auto", "xavier", "he", "pytorch")


class MLP(nn.Module):
    """a_0 = x, a_l = act(a_{l−1} W_l + b_l) below the output, y = a_{L−1} W_L + b_L: logits, or
    values for a regression  (F02, F21, F44). x (..., widths[0]) -> (..., widths[-1]).

    widths: of input, hidden layers and output, so that [64, 128, 10] has two Linear layers.
    activation: "relu", "tanh", "sigmoid", "gelu", "silu" or "linear". dropout: after each one.
    initialization: "xavier" or "he" (see `nn.init`; biases 0), "auto": He for ReLU and its like,
        Xavier for the others; "pytorch": as `nn.Linear` begins.
    Raises ValueError for fewer than two widths, a width below 1 and unknown names, TypeError for
    widths that are no integers.
    """

    def __init__(
        self,
        widths: Sequence[int],
        activation: str = "relu",
        dropout: float = 0.0,
        initialization: str = "auto",
    ):
        if isinstance(widths, str) or not isinstance(widths, Sequence):
            raise TypeError(f"MLP: widths are a list such as [64, 128, 10], not {widths!r}")
        if len(widths) < 2:
            raise ValueError(f"MLP: widths {list(widths)} need an input and an output")
        for width in widths:
            positive("MLP: width", width)
        one_of("MLP: activation", activation, tuple(ACTIVATIONS))
        one_of("MLP: initialization", initialization, INITIALIZATIONS)
        modules: list[nn.Module] = []
        for n_in, n_out in pairwise(widths):
            modules += [nn.Linear(n_in, n_out), ACTIVATIONS[activation]()]
            modules += [nn.Dropout(dropout)] if dropout else []
        last = 2 if dropout else 1
        self.layers = nn.Sequential(*modules[:-last])
        if initialization == "auto":
            initialization = "he" if activation in ("relu", "gelu", "silu") else "xavier"
        if initialization != "pytorch":
            self._initialize(initialization)

    def _initialize(self, how: str) -> None:
        fill = nn.init.kaiming_normal_ if how == "he" else nn.init.xavier_normal_
        for parameter in self.parameters():
            if parameter.ndim == 2:
                fill(parameter)
            else:
                nn.init.zeros_(parameter)

    def forward(self, x: Any) -> Tensor:
        return self.layers(x)
