"""Loss scaling: small gradients kept out of float16's zero, large ones noticed and left out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_llm.backend.devices import Array
from tinygrad_llm.functional.arguments import integer
from tinygrad_llm.optim.base import Optimizer
from tinygrad_llm.optim.gradients import numbers, present, writable
from tinygrad_llm.tensor import Tensor

LARGEST, SMALLEST = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)
"""Bounds of a scale: it multiplies and divides float32 numbers."""


class GradScaler:
    """Multiplies the loss by S, so that gradients that float16 would round to 0 stay numbers, and
    divides the gradients of the float32 parameters by S again before they are used  (G23).

        with nn.in_dtype(model, "float16"):
            loss = F.cross_entropy(model(x.astype("float16")).astype("float32"), y)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)        # only if something in between looks at the gradients,
        clip_grad_norm_(parameters, 1.0)  # as clipping does
        if scaler.step(optimizer):        # False: a gradient was inf or NaN, nothing has moved
            schedule.step()
        scaler.update()

    S finds its size by itself, as in PyTorch's `torch.amp.GradScaler`: an inf or NaN multiplies it
    by backoff_factor, growth_interval updates without one in a row by growth_factor. The first
    steps may be skipped until it fits (Micikevicius et al. 2018). On the CPU NumPy warns where
    float16 overflows: a backward under `np.errstate(over="ignore", invalid="ignore")` is silent.

    init_scale, growth_factor, backoff_factor, growth_interval: powers of 2 keep S one, and then
    multiplying and dividing by it round nothing.
    Raises ValueError for an init_scale that is not above 0 and finite in float32, a growth_factor
    that is not above 1 and finite, a backoff_factor outside (0, 1), and a growth_interval below 1.
    """

    def __init__(
        self,
        init_scale: float = 65536.0,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
    ):
        self._scale: float
        self.growth_factor: float
        self.backoff_factor: float
        self.growth_interval: int
        self._growth_tracker: int
        self._set(init_scale, growth_factor, backoff_factor, growth_interval, 0)
        self._found: dict[Optimizer, bool] = {}  # unscaled since the last update: inf or NaN?
        self._stepped: set[Optimizer] = set()

    def scale(self, loss: Tensor) -> Tensor:
        """loss · S, on the tape; a float16 loss in float32, which has room for the product."""
        if not isinstance(loss, Tensor):
            raise TypeError(f"GradScaler: scale takes the loss, a Tensor, not {loss!r:.60}")
        loss = loss.astype(np.float32) if loss.dtype.itemsize < 4 else loss
        with np.errstate(over="ignore"):  # S reaches the gradients even if the product is inf
            return loss * self._scale

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients of the optimizer's parameters by S, in place and in float32, and
        note whether one of them is inf or NaN.

        Raises RuntimeError when that was done since the last `update`, and without any gradient;
        TypeError for gradients in float16, which would lose what the scale has saved.
        """
        name = type(optimizer).__name__
        if optimizer in self._found:
            raise RuntimeError(
                f"GradScaler: the gradients of this {name} are unscaled already: call unscale_ "
                "once, before step, and update() after it"
            )
        given = present(p for group in optimizer.param_groups for p in group["params"])
        if not given:
            raise RuntimeError(
                f"GradScaler: no parameter of this {name} has a gradient: "
                "call scaler.scale(loss).backward() first"
            )
        for _, grad in given:
            _refuse_half(grad)
        self._found[optimizer] = not all(numbers(self._divided(given), _finite))

    def step(self, optimizer: Optimizer) -> bool:
        """`optimizer.step()`, after `unscale_` if that is still to be done; returns whether it
        took place: not if a gradient is inf or NaN. Raises RuntimeError for a second step before
        `update`."""
        if optimizer in self._stepped:
            raise RuntimeError(
                f"GradScaler: step of this {type(optimizer).__name__} a second time: "
                "call update() after each step"
            )
        if optimizer not in self._found:
            self.unscale_(optimizer)
        if not self._found[optimizer]:
            optimizer.step()
        self._stepped.add(optimizer)
        return not self._found[optimizer]

    def update(self) -> None:
        """Choose S for the next step, once all optimizers have made this one. Raises RuntimeError
        when neither `step` nor `unscale_` has looked at any gradient since the last update."""
        if not self._found:
            raise RuntimeError("GradScaler: update without a step: call step(optimizer) first")
        if any(self._found.values()):
            self._scale = max(self._scale * self.backoff_factor, SMALLEST)
            self._growth_tracker = 0
        else:
            self._growth_tracker += 1
        if self._growth_tracker == self.growth_interval:
            grown = self._scale * self.growth_factor
            self._scale = grown if grown <= LARGEST else self._scale
            self._growth_tracker = 0
        self._found, self._stepped = {}, set()

    def get_scale(self) -> float:
        """S."""
        return self._scale

    def state_dict(self) -> dict[str, float | int]:
        """S, the settings, and how many updates in a row were good: PyTorch's names. Ask for it
        after `update`."""
        return {
            "scale": self._scale,
            "growth_factor": self.growth_factor,
            "backoff_factor": self.backoff_factor,
            "growth_interval": self.growth_interval,
            "_growth_tracker": self._growth_tracker,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave, here or in PyTorch. Raises ValueError, before anything
        changes, that names what is missing, unexpected or out of range."""
        known = list(self.state_dict())
        wrong = set(state).symmetric_difference(known)
        if wrong:
            names = ", ".join(sorted(map(str, wrong)))
            raise ValueError(
                f"GradScaler: a state has {', '.join(known)}; missing or unexpected: {names}"
            )
        self._set(*(state[name] for name in known))

    def _set(self, scale: Any, growth: Any, backoff: Any, interval: Any, tracker: Any) -> None:
        interval = integer("GradScaler: growth_interval", interval)
        tracker = integer("GradScaler: _growth_tracker", tracker)
        _check("the scale (init_scale)", scale, SMALLEST <= scale <= LARGEST, "in float32's range")
        _check("growth_factor", growth, 1.0 < growth < math.inf, "above 1 and finite")
        _check("backoff_factor", backoff, 0.0 < backoff < 1.0, "above 0 and below 1")
        _check("growth_interval", interval, interval >= 1, "at least 1")
        _check("_growth_tracker", tracker, 0 <= tracker < interval, "below growth_interval")
        self._scale, self._growth_tracker = float(scale), tracker
        self.growth_factor, self.backoff_factor = float(growth), float(backoff)
        self.growth_interval = interval

    def _divided(self, given: list[tuple[Tensor, Tensor]]) -> Iterator[Array]:
        for parameter, grad in given:
            gradient = writable(parameter, grad)
            with np.errstate(over="ignore"):  # by a scale below 1; it is noted as inf
                gradient /= self._scale
            yield gradient


def _refuse_half(grad: Tensor) -> None:
    if grad.dtype.itemsize < 4:
        raise TypeError(
            f"GradScaler: a gradient in {grad.dtype} would be 0 again without the scale: "
            "keep the parameters in float32, and convert them in forward (nn.in_dtype)"
        )


def _finite(xp: Any, gradient: Array) -> Any:
    return xp.isfinite(gradient).all()


def _check(name: str, value: Any, holds: bool, bound: str) -> None:
    if not holds:
        raise ValueError(f"GradScaler: {name} must be {bound}, not {value}")
