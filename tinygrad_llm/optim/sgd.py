"""Stochastic gradient descent, with momentum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_llm.optim.base import Optimizer, require
from tinygrad_llm.optim.flat import Flat


class SGD(Optimizer):
    """w ← w − lr·g  (F51, F70; F13 with the gradient in the weights, not in the input).

    With momentum μ: v ← μ·v + g, w ← w − lr·v: where gradients agree from step to step, the way
    grows up to 1/(1 − μ) times as long; where they change sign it cancels (Polyak 1964).
    Raises ValueError for lr < 0 and for momentum outside [0, 1).
    """

    def __init__(self, params: Iterable[Any], lr: float = 0.01, momentum: float = 0.0):
        super().__init__(params, lr=lr, momentum=momentum)

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        require("momentum", group["momentum"], 0.0, 1.0)

    def update(self, group: dict[str, Any], flat: Flat, tile: slice, step: int) -> None:
        w, g = flat.values[tile], flat.gradient[tile]
        if group["momentum"]:
            v = flat.moment("v")[tile]
            v *= group["momentum"]
            v += g
            flat.xp.multiply(v, group["lr"], out=g)
        else:
            g *= group["lr"]
        w -= g
