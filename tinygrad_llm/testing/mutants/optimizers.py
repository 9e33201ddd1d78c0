"""Checks of the optimizers: walks of a few steps beside the formulas in plain NumPy."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple
from unittest import mock

import numpy as np

from tinygrad_llm import optim
from tinygrad_llm.backend.devices import Array
from tinygrad_llm.optim import flat
from tinygrad_llm.tensor import Tensor
from tinygrad_llm.testing.checks import check_op
from tinygrad_llm.testing.numeric import GradientError
from tinygrad_llm.testing.one_call import wrong_at
from tinygrad_llm.testing.overrides import PREFIX, check_override

Settings = dict[str, Any]


class Weight:
    """One tensor, and what the formulas remember of it: 0 until it is set."""

    def __init__(self, w: Array):
        self.w, self.steps, self._kept = w, 0, dict[str, Any]()

    def __getitem__(self, name: str) -> Any:
        return self._kept.get(name, 0.0)

    def __setitem__(self, name: str, value: Any) -> None:
        self._kept[name] = value


def sgd(x: Weight, g: Array, s: Settings) -> Array:
    """The new w, by the formulas of `SGD`."""
    g = g + s["weight_decay"] * x.w
    if s["momentum"]:
        x["v"] = s["momentum"] * x["v"] + g
        g = g + s["momentum"] * x["v"] if s["nesterov"] else x["v"]
    w = x.w - s["lr"] * g
    if s["l1"]:
        w = np.sign(w) * np.maximum(0.0, np.abs(w) - s["lr"] * s["l1"])
        if s["momentum"] and s["lr"]:
            x["v"] = (x.w - w) / s["lr"]
    return w


def rmsprop(x: Weight, g: Array, s: Settings) -> Array:
    """The new w, by the formulas of `RMSprop`."""
    alpha = s["alpha"]
    g = g + s["weight_decay"] * x.w
    x["v"] = alpha * x["v"] + (1 - alpha) * g**2
    x["mean"] = alpha * x["mean"] + (1 - alpha) * g
    variance = np.maximum(0.0, x["v"] - x["mean"] ** 2) if s["centered"] else x["v"]
    change = s["momentum"] * x["b"] + g / (np.sqrt(variance) + s["eps"])
    if s["momentum"]:
        x["b"] = change
    return x.w - s["lr"] * change


def adam_direction(x: Weight, g: Array, s: Settings) -> Array:
    """m̂/(√v̂ + ε)."""
    beta1, beta2 = s["betas"]
    x["m"] = beta1 * x["m"] + (1 - beta1) * g
    x["v"] = beta2 * x["v"] + (1 - beta2) * g**2
    m, v = x["m"] / (1 - beta1**x.steps), x["v"] / (1 - beta2**x.steps)
    return m / (np.sqrt(v) + s["eps"])


def adam(x: Weight, g: Array, s: Settings) -> Array:
    """The new w, by the formulas of `Adam`."""
    return x.w - s["lr"] * adam_direction(x, g + s["weight_decay"] * x.w, s)


def adamw(x: Weight, g: Array, s: Settings) -> Array:
    """The new w, by the formulas of `AdamW`."""
    return x.w - s["lr"] * adam_direction(x, g, s) - s["lr"] * s["weight_decay"] * x.w


def lamb(x: Weight, g: Array, s: Settings) -> Array:
    """The new w, by the formulas of `LAMB`."""
    r = adam_direction(x, g, s) + s["weight_decay"] * x.w
    long, short = (math.sqrt(math.fsum(each.ravel() ** 2)) for each in (x.w, r))
    return x.w - s["lr"] * (long / short if long and short else 1.0) * r


class Case(NamedTuple):
    """An optimizer's formulas, values of its settings, all of which are combined, and one more."""

    formula: Any
    settings: dict[str, tuple[Any, ...]]
    further: tuple[Settings, ...] = ()


_ADAM = {"betas": ((0.5, 0.75), (0.0, 0.5)), "eps": (0.3,), "weight_decay": (0.0, 0.4)}

CASES = {
    "SGD": Case(
        sgd,
        {
            **{"momentum": (0.0, 0.6), "weight_decay": (0.0, 0.4)},
            **{"nesterov": (False, True), "l1": (0.0, 0.7)},
        },
    ),
    "RMSprop": Case(
        rmsprop,
        {
            **{"alpha": (0.6,), "eps": (0.3,), "weight_decay": (0.0, 0.4)},
            **{"momentum": (0.0, 0.5), "centered": (False, True)},
        },
        # v − ḡ² is rounding here, above 0 and below, and ε so large that it does not matter
        ({"alpha": 0.0, "eps": 1e3, "centered": True},),
    ),
    "Adam": Case(adam, _ADAM),
    "AdamW": Case(adamw, _ADAM),
    "LAMB": Case(lamb, _ADAM),
}
"""By the name of the class. ε is large, that what is wrong with it shows."""


def check(name: str) -> float:
    """Check an optimizer by the name of its class, or else the op of that name (`check_op`), after
    PREFIX its faster form (`check_override`)."""
    if name.startswith(PREFIX):
        return check_override(name.removeprefix(PREFIX))
    return check_optimizer(name) if name in CASES else check_op(name)


def check_optimizer(name: str) -> float:
    """Walk a few steps with every combination of settings; 0.0 when all weights are right.

    Raises GradientError at the first weight that is not where the formulas lead.
    """
    crash = None
    for settings in (*_combined(CASES[name].settings), *CASES[name].further):
        try:
            with mock.patch.object(flat, "TILE", 4):
                _Walk(name, settings).run()
        except GradientError:
            raise
        except Exception as error:  # a crash has to wait: another walk may show a wrong value
            crash = crash or error
    if crash is not None:
        raise crash
    return 0.0


def _combined(settings: dict[str, tuple[Any, ...]]) -> Iterator[Settings]:
    """Every combination that the optimizer takes."""
    for values in itertools.product(*settings.values()):
        one = dict(zip(settings, values))
        if not one.get("nesterov") or (one["momentum"] and not one["l1"]):
            yield one


class Start(NamedTuple):
    """A tensor at the beginning of a walk."""

    shape: tuple[int, ...]
    present: str
    """"1" for each step in which it has a gradient: some begin late, and some pause."""
    zero: str = ""
    """What is 0: "w" at the beginning, "g" always."""


STARTS = (
    Start((3, 2), "111111"),
    Start((), "110111"),
    Start((5,), "111101"),
    Start((0,), "111111"),
    Start((2, 3), "011111", "w"),
    Start((4,), "111111", "g"),
    Start((3,), "111011", "wg"),
    Start((6,), "111111"),
    Start((2,), "000000"),
)
SECOND_GROUP = 5
"""Where the second group begins, which has three times the lr."""

RATES = (0.1, 0.0, 0.05, 0.2, 0.1, 0.1)
"""lr of each step."""

SET, RESUMED, FASTER = 2, 4, 3
"""Before which step a tensor is set from outside, the optimizer is replaced by one that loads its
state, and momentum is turned on."""


class _Walk:
    """The same tensors twice: with an optimizer of ours, and with the formulas."""

    def __init__(self, name: str, settings: Settings):
        self.name = name
        self.drawn = np.random.default_rng(0).standard_normal
        starts = [self.drawn(s.shape) * ("w" not in s.zero) for s in STARTS]
        self.weights = [Weight(np.array(w)) for w in starts]
        self.parameters = [Tensor(np.array(w), requires_grad=True) for w in starts]
        self.optimizer = self._made(settings)
        self.groups = [dict(group) for group in self.optimizer.param_groups]

    def _made(self, settings: Settings) -> optim.Optimizer:
        ps = self.parameters
        groups = [{"params": ps[:SECOND_GROUP]}, {"params": ps[SECOND_GROUP:]}]
        return getattr(optim, self.name)(groups, **settings)

    def run(self) -> None:
        for step, lr in enumerate(RATES):
            self._change(step, lr)
            gradients = self._gradients(step)
            versions = [list(p._version) for p in self.parameters]
            counters = [p._version for p in self.parameters]
            self.optimizer.step()
            for i, g in enumerate(gradients):
                self._compare(i, g)
                if self.parameters[i]._version is counters[i]:
                    moved = [versions[i][0] + (g is not None)]
                    self._equal(f"version of tensor {i}", np.array(moved), np.array(counters[i]))

    def _change(self, step: int, lr: float) -> None:
        """What happens to an optimizer from outside before this step."""
        if step == SET:
            self.weights[2].w = self.drawn(STARTS[2].shape)
            self.parameters[2].data = self.weights[2].w.copy()
        if step == RESUMED:
            self._refused()
            state, self.optimizer = self.optimizer.state_dict(), self._made({})
            self.optimizer.load_state_dict(state)
        for groups in (self.optimizer.param_groups, self.groups):
            for group, factor in zip(groups, (1.0, 3.0)):
                group["lr"] = lr * factor
                if step == FASTER and "momentum" in group:
                    group["momentum"] = 0.6

    def _refused(self) -> None:
        """A step that ends with an error: what it was about has no state."""
        self.optimizer.zero_grad()
        self.parameters[-1].grad = Tensor(np.zeros(7))
        with suppress(ValueError):
            self.optimizer.step()

    def _gradients(self, step: int) -> list[Array | None]:
        found: list[Array | None] = []
        for start, p in zip(STARTS, self.parameters):
            g = self.drawn(start.shape) * ("g" not in start.zero)
            present = start.present[step] == "1"
            found.append(np.array(g) if present else None)
            p.grad = Tensor(np.array(g)) if present else None
        return found

    def _compare(self, i: int, g: Array | None) -> None:
        weight, parameter = self.weights[i], self.parameters[i]
        if g is not None:
            weight.steps += 1
            group = self.groups[int(i >= SECOND_GROUP)]
            weight.w = np.asarray(CASES[self.name].formula(weight, g, group))
            kept: Any = parameter.grad
            self._equal(f"gradient of tensor {i}", g, kept.data)
        self._equal(f"tensor {i}", weight.w, parameter.data)

    def _equal(self, what: str, expected: Array, found: Array) -> None:
        if expected.shape != found.shape:
            raise GradientError(f"{self.name}: shape {found.shape}, not {expected.shape}", what, 0)
        wrong = ~np.isclose(found, expected, rtol=1e-9, atol=1e-12)
        wrong |= (found == 0.0) != (expected == 0.0)  # l1 gives zeros exactly
        if wrong.any():
            raise wrong_at(wrong, f"{self.name}: wrong value", what, 0, expected, found)
