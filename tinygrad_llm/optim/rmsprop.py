"""RMSprop: each weight's step divided by the size that its gradients have had of late."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_llm.backend.devices import Array
from tinygrad_llm.optim.base import Optimizer, require, require_flag
from tinygrad_llm.optim.flat import Flat


class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton 2012), G13, with PyTorch's names and its ε outside the root:

        v ← α·v + (1 − α)g²          a running mean of g²
        w ← w − lr·g/(√v + ε)

    centered:  √(v − ḡ²) in the place of √v, with ḡ ← α·ḡ + (1 − α)g: the deviation from the mean
    momentum μ:  b ← μ·b + g/(√v + ε),  w ← w − lr·b
    weight_decay λ:  g ← g + λw first, the gradient of λ/2·‖w‖² (F20, F49)

    v begins at 0, and nothing takes that out again as in Adam: the first step is lr/√(1 − α) long.
    Raises ValueError for lr, eps or weight_decay < 0, and for alpha or momentum outside [0, 1);
    TypeError for a centered that is no bool.
    """

    moments = ("v", "mean", "velocity")
    squares = ("v",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.01,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ):
        settings = {"weight_decay": weight_decay, "momentum": momentum, "centered": centered}
        super().__init__(params, lr=lr, alpha=alpha, eps=eps, **settings)

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        require("alpha", group["alpha"], 0.0, 1.0)
        require("eps", group["eps"], 0.0)
        require("weight_decay", group["weight_decay"], 0.0)
        require("momentum", group["momentum"], 0.0, 1.0)
        require_flag("centered", group["centered"])

    def needed(self, group: dict[str, Any]) -> tuple[str, ...]:
        wanted = (True, group["centered"], group["momentum"])
        return tuple(name for name, each in zip(self.moments, wanted) if each)

    def update(self, group: dict[str, Any], flat: Flat, tile: slice, step: int) -> None:
        xp, lr, alpha, momentum = flat.xp, group["lr"], group["alpha"], group["momentum"]
        w, g, v = flat.values[tile], flat.gradient[tile], flat.moment("v")[tile]
        if group["weight_decay"]:
            self.decay_weights(group, flat, tile)
        size = xp.multiply(g, g, out=flat.scratch[: len(g)])
        size *= 1.0 - alpha
        v *= alpha
        v += size  # v = αv + (1 − α)g²
        if group["centered"]:
            self._variance(alpha, flat, tile, size)
            xp.sqrt(size, out=size)
        else:
            xp.sqrt(v, out=size)
        size += group["eps"]
        g /= size
        if momentum:
            b = flat.moment("velocity")[tile]
            b *= momentum
            b += g
            xp.multiply(b, lr, out=g)
        else:
            g *= lr
        w -= g

    def _variance(self, alpha: float, flat: Flat, tile: slice, out: Array) -> None:
        """out ← v − ḡ² after ḡ took in the gradient; where rounding leaves less than 0 it is 0."""
        xp, mean = flat.xp, flat.moment("mean")[tile]
        xp.subtract(flat.gradient[tile], mean, out=out)
        out *= 1.0 - alpha
        mean += out  # ḡ = αḡ + (1 − α)g
        xp.multiply(mean, mean, out=out)
        xp.subtract(flat.moment("v")[tile], out, out=out)
        xp.maximum(out, 0.0, out=out)
