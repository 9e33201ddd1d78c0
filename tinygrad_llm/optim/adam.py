"""Adam: steps of about the same length for every weight."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tinygrad_llm.optim.base import Optimizer, require
from tinygrad_llm.optim.flat import Flat


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015), F14–F18 with g the gradient in the weights:

        m ← β₁m + (1 − β₁)g         a running mean of g
        v ← β₂v + (1 − β₂)g²        a running mean of g²
        m̂ = m/(1 − β₁ᵗ),  v̂ = v/(1 − β₂ᵗ)    both begin at 0; this takes that out again
        w ← w − lr·m̂/(√v̂ + ε)

    The first step is lr·sign(g), whatever the size of g.
    Raises ValueError for lr or eps < 0 and for betas outside [0, 1).
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ):
        super().__init__(params, lr=lr, betas=betas, eps=eps)

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        require("eps", group["eps"], 0.0)
        if not isinstance(group["betas"], (tuple, list)) or len(group["betas"]) != 2:
            raise ValueError(f"optimizer: betas are two numbers, not {group['betas']!r}")
        for name, beta in zip(("betas[0]", "betas[1]"), group["betas"]):
            require(name, beta, 0.0, 1.0)

    def update(self, group: dict[str, Any], flat: Flat, tile: slice, step: int) -> None:
        xp, lr, eps, (beta1, beta2) = flat.xp, group["lr"], group["eps"], group["betas"]
        w, g = flat.values[tile], flat.gradient[tile]
        m, v = flat.moment("m")[tile], flat.moment("v")[tile]
        change = flat.scratch[: len(g)]
        # All in place: a fresh array for each term would take four times as long.
        xp.subtract(g, m, out=change)
        change *= 1.0 - beta1
        m += change  # m = β₁m + (1 − β₁)g
        v *= beta2
        g *= g
        g *= 1.0 - beta2
        v += g
        # √v̂ + ε = (√v + ε√c)/√c with c = 1 − β₂ᵗ, which moves two divisions out of the arrays
        root = math.sqrt(1.0 - beta2**step)
        xp.sqrt(v, out=change)
        change += eps * root
        xp.divide(m, change, out=change)
        change *= lr * root / (1.0 - beta1**step)
        w -= change
