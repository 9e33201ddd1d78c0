"""Adam and AdamW: steps of about the same length for every weight."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from tinygrad_llm.backend.devices import Array
from tinygrad_llm.optim.base import Optimizer, require
from tinygrad_llm.optim.flat import Flat


class Adam(Optimizer):
    """Adam (Kingma & Ba 2015), F14–F18 with g the gradient in the weights:

        m ← β₁m + (1 − β₁)g         a running mean of g
        v ← β₂v + (1 − β₂)g²        a running mean of g²
        m̂ = m/(1 − β₁ᵗ),  v̂ = v/(1 − β₂ᵗ)    both begin at 0; this takes that out again
        w ← w − lr·m̂/(√v̂ + ε)

    The first step is lr·g/(|g| + ε): lr·sign(g) for |g| well above ε, whatever its size.

    weight_decay λ:  g ← g + λw first, the gradient of λ/2·‖w‖² (F20, F49). As √v̂ divides it again,
    a weight with large gradients hardly decays; `AdamW` decays all alike.
    Raises ValueError for lr, eps or weight_decay < 0 and for betas outside [0, 1).
    """

    moments = ("m", "v")
    squares = ("v",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        require("eps", group["eps"], 0.0)
        require("weight_decay", group["weight_decay"], 0.0)
        if not isinstance(group["betas"], (tuple, list)) or len(group["betas"]) != 2:
            raise ValueError(f"optimizer: betas are two numbers, not {group['betas']!r}")
        require("betas[0]", group["betas"][0], 0.0, 1.0)
        require("betas[1]", group["betas"][1], 0.0, 1.0)

    def update(self, group: dict[str, Any], flat: Flat, tile: slice, step: int) -> None:
        if group["weight_decay"]:
            self.decay_weights(group, flat, tile)
        w = flat.values[tile]
        w -= self.direction(group, flat, tile, step, group["lr"])

    def direction(
        self, group: dict[str, Any], flat: Flat, tile: slice, step: int, lr: float
    ) -> Array:
        """lr·m̂/(√v̂ + ε), in `flat.scratch`, after m and v took in the gradient of the tile."""
        xp, (beta1, beta2) = flat.xp, group["betas"]
        g, m, v = flat.gradient[tile], flat.moment("m")[tile], flat.moment("v")[tile]
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
        change += group["eps"] * root
        xp.divide(m, change, out=change)
        change *= lr * root / (1.0 - beta1**step)
        return change


class AdamW(Adam):
    """AdamW (Loshchilov & Hutter 2019), F49 with the decay beside the step, not in the gradient:

        w ← w − lr·m̂/(√v̂ + ε) − lr·λ·w    with λ the weight_decay; m̂ and v̂ are those of `Adam`

    Every weight shrinks by the same share lr·λ, however large its gradients are.
    """

    decay = "decoupled"

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ):
        super().__init__(params, lr, betas, eps, weight_decay)
