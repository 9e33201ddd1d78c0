"""Stochastic gradient descent, with momentum, Nesterov's too, and penalties on the weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_llm.optim.base import Optimizer, require, require_flag
from tinygrad_llm.optim.flat import Flat


class SGD(Optimizer):
    """w ← w − lr·g  (F51, F70; F13 with the gradient in the weights, not in the input).

    With lr too large the walk diverges, with lr too small it hardly gets on (F84).

    momentum μ:  v ← μ·v + g,  w ← w − lr·v: where gradients agree from step to step, the way grows
        up to 1/(1 − μ) times as long; where they change sign it cancels (Polyak 1964)
    nesterov:  w ← w − lr·(g + μ·v) with that v: one step ahead (Sutskever et al. 2013)
    weight_decay λ:  g ← g + λw first, the gradient of λ/2·‖w‖² (F20, F49)
    l1 λ:  w ← sign(w)·max(0, |w| − lr·λ) at the end, for λ·Σ|w| (F64): a proximal step, which
        gives exact zeros. With momentum v then becomes the way really gone, (w before − w after)/lr
        (iPiano, Ochs et al. 2014), or the walk would end beside the minimum.

    What stands after momentum is given by name: PyTorch's next argument, dampening, is not here.
    Raises ValueError for lr, weight_decay or l1 < 0, for momentum outside [0, 1), and for nesterov
    without momentum or with l1; TypeError for a nesterov that is no bool.
    """

    moments = ("v",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.01,
        momentum: float = 0.0,
        *,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        l1: float = 0.0,
    ):
        settings = {"weight_decay": weight_decay, "nesterov": nesterov, "l1": l1}
        super().__init__(params, lr=lr, momentum=momentum, **settings)

    def check(self, group: dict[str, Any]) -> None:
        super().check(group)
        require("momentum", group["momentum"], 0.0, 1.0)
        require("weight_decay", group["weight_decay"], 0.0)
        require("l1", group["l1"], 0.0)
        require_flag("nesterov", group["nesterov"])
        if group["nesterov"] and not group["momentum"]:
            raise ValueError("optimizer: nesterov looks along the momentum: give momentum > 0")
        if group["nesterov"] and group["l1"]:
            raise ValueError(
                "optimizer: nesterov takes the gradient ahead of the walk, and l1 there misses the "
                "minimum: use momentum without nesterov"
            )

    def needed(self, group: dict[str, Any]) -> tuple[str, ...]:
        return self.moments if group["momentum"] else ()

    def update(self, group: dict[str, Any], flat: Flat, tile: slice, step: int) -> None:
        lr, momentum = group["lr"], group["momentum"]
        w, g = flat.values[tile], flat.gradient[tile]
        if group["weight_decay"]:
            self.decay_weights(group, flat, tile)
        if momentum:
            v = flat.moment("v")[tile]
            v *= momentum
            v += g
            if group["nesterov"]:
                g += flat.xp.multiply(v, momentum, out=flat.scratch[: len(g)])
                g *= lr
            else:
                flat.xp.multiply(v, lr, out=g)
        else:
            g *= lr
        w -= g
        if group["l1"]:
            self.shrink(group, flat, tile)

    def shrink(self, group: dict[str, Any], flat: Flat, tile: slice) -> None:
        """w ← sign(w)·max(0, |w| − lr·λ), as w − c with c = w held within ±lr·λ: where w is smaller
        it takes itself away, which leaves 0 exactly. v takes c/lr, its share of the way."""
        lr, most = group["lr"], group["lr"] * group["l1"]
        w, c = flat.values[tile], flat.scratch[: tile.stop - tile.start]
        flat.xp.clip(w, -most, most, out=c)
        w -= c
        if group["momentum"] and lr:
            v = flat.moment("v")[tile]
            c /= lr
            v += c
