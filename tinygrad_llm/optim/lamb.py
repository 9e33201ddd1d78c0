"""LAMB: AdamW whose step is as long as the weights of its layer say, for large batches."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_llm.backend.devices import Array
from tinygrad_llm.optim.adam import AdamW
from tinygrad_llm.optim.flat import Flat


class LAMB(AdamW):
    """LAMB (You et al. 2020, algorithm 2), G14, for each parameter tensor by itself:

        r = m̂/(√v̂ + ε) + λw                  m̂ and v̂ are those of `Adam`, λ is the weight_decay
        w ← w − lr·(‖w‖/‖r‖)·r                so that the step is lr·‖w‖ long

    Where ‖w‖ or ‖r‖ is 0, the trust ratio ‖w‖/‖r‖ is 1: a tensor of zeros would never move, and 0/0
    is no number.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.01,
    ):
        super().__init__(params, lr, betas, eps, weight_decay)

    def update(self, group: dict[str, Any], flat: Flat, tile: slice, step: int) -> None:
        """Leave r in the place of the gradient, for `finish`."""
        change = self.direction(group, flat, tile, step, 1.0)
        r = flat.gradient[tile]
        flat.xp.multiply(flat.values[tile], group["weight_decay"], out=r)
        r += change

    def finish(self, group: dict[str, Any], flat: Flat) -> None:
        """w ← w − lr·(‖w‖/‖r‖)·r: the norms are known when all tiles of a tensor are done."""
        for place in flat.moved():
            w, r = flat.values[place], flat.gradient[place]
            r *= group["lr"] * self.trust_ratio(flat, w, r)
            w -= r

    def trust_ratio(self, flat: Flat, w: Array, r: Array) -> Array:
        """‖w‖/‖r‖, or 1 where one of them is 0; on the arrays' device, which nobody waits for."""
        xp = flat.xp
        long, short = xp.sqrt(w @ w), xp.sqrt(r @ r)
        both = (long > 0.0) & (short > 0.0)
        return xp.where(both, long, 1.0) / xp.where(both, short, 1.0)
