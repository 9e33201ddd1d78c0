"""Schedules: learning rates that change from step to step, as shares of where they began."""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from tinygrad_llm.functional.arguments import integer
from tinygrad_llm.optim.base import Optimizer, require


class Schedule:
    """Sets the learning rate of each group to its own base lr times factor(step).

    factor(0) applies at once. Call `step()` after each step of the optimizer (but not after one
    that a `GradScaler` skipped): `steps` counts them. An lr that somebody sets in between lasts
    until then.

    The base lr of a group is its lr when the schedule is made, unless an earlier schedule left it
    there: then it is that schedule's base, which the group keeps as "initial_lr", in saved states
    too. So a second schedule begins as high as the first, as in PyTorch, and not at the 0 where
    that ended. Unlike there, an lr that somebody has set since is not passed over: it is another
    than the group's "scheduled_lr", which the last schedule set.
    Raises TypeError for a factor that cannot be called. Warns (UserWarning) of a base lr of 0, with
    which nothing moves.
    """

    def __init__(self, optimizer: Optimizer, factor: Callable[[int], float]):
        if not callable(factor):
            raise TypeError(f"Schedule: factor is a function of the step, not {factor!r:.60}")
        self.optimizer, self.factor = optimizer, factor
        self.base_lrs = [_base_of(group) for group in optimizer.param_groups]
        _warn_of_zero(self.base_lrs)
        self.steps = 0
        self._apply()

    def step(self) -> None:
        """The optimizer has made a step: set the learning rates for the next one."""
        self.steps += 1
        self._apply()

    def get_last_lr(self) -> list[float]:
        """The learning rate that each group has now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """{"step": steps so far, "base_lrs": one for each group}: numbers only, fit for JSON."""
        return {"step": self.steps, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the schedule stood that gave `state`, before or after the optimizer's own
        state is loaded; the factor is not part of it.

        Raises ValueError or TypeError, before anything changes, for a state that does not fit.
        """
        if set(state) != {"step", "base_lrs"}:
            found = ", ".join(map(str, state)) or "nothing"
            raise ValueError(f"Schedule: a state has step and base_lrs, this one has {found}")
        steps, base_lrs = _whole("Schedule: step", state["step"], 0), list(state["base_lrs"])
        if len(base_lrs) != len(self.base_lrs):
            counts = f"{len(base_lrs)} groups, the optimizer {len(self.base_lrs)}"
            raise ValueError(f"Schedule: the state has base_lrs for {counts}: give equal groups")
        for lr in base_lrs:
            require("base_lrs", lr, 0.0)
        self.steps, self.base_lrs = steps, base_lrs
        self._apply()

    def _apply(self) -> None:
        groups = self.optimizer.param_groups
        if len(groups) != len(self.base_lrs):
            raise RuntimeError(
                f"Schedule: the optimizer had {len(self.base_lrs)} groups and has {len(groups)} "
                "now: make the schedule anew"
            )
        factor = self.factor(self.steps)
        for group, base in zip(groups, self.base_lrs):
            group["lr"] = base * factor
            group["initial_lr"], group["scheduled_lr"] = base, group["lr"]


def _base_of(group: Mapping[str, Any]) -> float:
    """The lr that a group begins with: its own, unless the last schedule left it there."""
    if group["lr"] == group.get("scheduled_lr"):
        return group["initial_lr"]
    return group["lr"]


def _warn_of_zero(base_lrs: list[float]) -> None:
    zeros = ", ".join(str(number) for number, lr in enumerate(base_lrs) if lr == 0.0)
    if zeros:
        warnings.warn(
            f"Schedule: the base lr is 0 in group {zeros}, where nothing will move: set "
            'group["lr"] before the schedule is made',
            UserWarning,
            stacklevel=_level(),
        )


def _level() -> int:
    """The stacklevel of a warning, for the one who calls this, that names who made a schedule."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and frame.f_globals is globals():
        frame, level = frame.f_back, level + 1
    return level


# The factors, as pure functions of the step


def constant_factor(step: int, warmup_steps: int = 0) -> float:
    """step/warmup_steps during warm-up, 1 from then on."""
    return step / warmup_steps if step < warmup_steps else 1.0


def linear_factor(step: int, total_steps: int, warmup_steps: int = 0) -> float:
    """G15, with T = total_steps and T_w = warmup_steps: t/T_w if t < T_w, then a straight line
    down to 0 at T, (T − t)/(T − T_w), and 0 beyond."""
    if step < warmup_steps:
        return step / warmup_steps
    return max(0.0, (total_steps - step) / max(1, total_steps - warmup_steps))


def cosine_factor(step: int, total_steps: int, warmup_steps: int = 0, cycles: float = 0.5) -> float:
    """t/T_w during warm-up, then ½(1 + cos(2π·cycles·p)) with p = (t − T_w)/(T − T_w): half a
    wave goes from 1 down to 0 at T (Loshchilov and Hutter 2017).

    Beyond T the wave goes on, so that the factor rises again, as Hugging Face's does.
    """
    if step < warmup_steps:
        return step / warmup_steps
    progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
    return 0.5 * (1.0 + math.cos(2.0 * math.pi * cycles * progress))


# The usual schedules


def constant(
    optimizer: Optimizer,
    *,
    total_steps: int | None = None,
    warmup_steps: int = 0,
    warmup_ratio: float = 0.0,
) -> Schedule:
    """The base lr after a linear warm-up; Hugging Face's `get_constant_schedule_with_warmup`.

    total_steps: is needed for a warmup_ratio, and for the warning; nothing else depends on it.
    warmup_steps, warmup_ratio, errors and the warning: as of `linear`; ValueError for a ratio of
    an unknown total too. All by name: a number alone could be either count of steps.
    """
    if total_steps is None:
        if warmup_ratio:
            raise ValueError("constant: warmup_ratio is a share of total_steps: give total_steps")
        warmup = _whole("constant: warmup_steps", warmup_steps, 0)
    else:
        _, warmup = _run("constant", total_steps, warmup_steps, warmup_ratio)
    return Schedule(optimizer, partial(constant_factor, warmup_steps=warmup))


def linear(
    optimizer: Optimizer, total_steps: int, warmup_steps: int = 0, warmup_ratio: float = 0.0
) -> Schedule:
    """Up to the base lr, then along a straight line to 0 at total_steps (G15); Hugging Face's
    `get_linear_schedule_with_warmup`.

    total_steps: optimizer steps of the whole run: batches of an epoch × epochs, divided by the
        batches that are accumulated for one step.
    warmup_ratio: the warm-up as a share of total_steps, rounded up; in place of warmup_steps.
    Raises ValueError for total_steps < 1, warmup_steps < 0, a ratio outside [0, 1], and both at
    once; TypeError for numbers of steps that are no integers. Warns (UserWarning) of a warm-up
    that does not end within the run (F74).
    """
    total, warmup = _run("linear", total_steps, warmup_steps, warmup_ratio)
    return Schedule(optimizer, partial(linear_factor, total_steps=total, warmup_steps=warmup))


def cosine(
    optimizer: Optimizer,
    total_steps: int,
    warmup_steps: int = 0,
    warmup_ratio: float = 0.0,
    cycles: float = 0.5,
) -> Schedule:
    """Up to the base lr, then along a cosine to 0 at total_steps; Hugging Face's
    `get_cosine_schedule_with_warmup`.

    cycles: waves after the warm-up: ½ goes down once, 1½ down, up and down again.
    total_steps, warmup_steps, warmup_ratio, errors and the warning: as of `linear`; ValueError for
    cycles < 0 too.
    """
    require("cycles", cycles, 0.0)
    total, warmup = _run("cosine", total_steps, warmup_steps, warmup_ratio)
    factor = partial(cosine_factor, total_steps=total, warmup_steps=warmup, cycles=cycles)
    return Schedule(optimizer, factor)


def _run(name: str, total_steps: Any, warmup_steps: Any, warmup_ratio: float) -> tuple[int, int]:
    """Steps of the run and of its warm-up, checked."""
    total = _whole(f"{name}: total_steps", total_steps, 1)
    warmup = _whole(f"{name}: warmup_steps", warmup_steps, 0)
    if not 0.0 <= warmup_ratio <= 1.0:
        raise ValueError(f"{name}: warmup_ratio is a share from 0 to 1, not {warmup_ratio}")
    if warmup and warmup_ratio:
        raise ValueError(f"{name}: give warmup_steps or warmup_ratio, not both")
    if warmup_ratio:
        warmup = math.ceil(total * warmup_ratio)
    if warmup >= total:
        _warn(name, total, warmup)
    return total, warmup


def _warn(name: str, total: int, warmup: int) -> None:
    """F74: the last step of the run, total − 1, is the one with the largest factor."""
    share = f"{100.0 * (total - 1) / warmup:.3g} % of it ({total - 1}/{warmup})"
    mend = "warmup_ratio=0.1" if total > 1 else "no warm-up for a single step"
    warnings.warn(
        f"{name}: a warm-up of {warmup} steps does not end within a run of {total}: the learning "
        f"rate gets no higher than {share}: give {mend}",
        UserWarning,
        stacklevel=_level(),
    )


def _whole(what: str, value: Any, low: int) -> int:
    """An integer that is at least `low`."""
    value = integer(what, value)
    if value < low:
        raise ValueError(f"{what} must be at least {low}, not {value}")
    return value
