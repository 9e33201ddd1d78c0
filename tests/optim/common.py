"""What the tests of optimizers share: PyTorch's recorded walks, and ours along the same way."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from tests.fixtures import make_torch_training as recorded
from tinygrad_llm import Tensor, models, nn, optim
from tinygrad_llm import functional as F

FIGURES = json.loads(recorded.FILE.read_text(encoding="utf8"))


def parameter(values: Any, dtype: Any = np.float64) -> nn.Parameter:
    """A parameter with memory of its own."""
    return nn.Parameter(np.array(values, dtype=dtype))


def give(p: Tensor, gradient: Any) -> None:
    """Put a gradient on a parameter, as backward would; None for none."""
    if gradient is not None:
        gradient = Tensor(np.array(gradient, dtype=p.dtype).reshape(p.shape), device=p.device)
    p.grad = gradient


def give_all(ps: dict[str, Tensor], case: dict, step: int) -> None:
    """The gradients of one step of a recorded walk."""
    for name, p in ps.items():
        g = recorded.gradient(name, p.numpy().reshape(-1).tolist(), step)
        give(p, g if recorded.has_gradient(case, name, step) else None)


def made(case: dict, ps: dict[str, Tensor]) -> optim.Optimizer:
    """Our optimizer of a recorded case."""
    groups = [{**g, "params": [ps[n] for n in g["params"]]} for g in case.get("groups", [])]
    kind = getattr(optim, case["optimizer"])
    return kind(groups or ps.values(), **recorded.settings_of(case))


def start(device: str = "cpu", dtype: Any = np.float64) -> dict[str, nn.Parameter]:
    """The parameters at the beginning of every recorded walk."""
    ps = {n: parameter(v, dtype) for n, v in recorded.START.items()}
    return {n: nn.Parameter(Tensor(p.detach(), device=device)) for n, p in ps.items()}


def walk(name: str, device: str = "cpu", steps: int = max(recorded.STEPS)) -> dict[int, dict]:
    """step → parameters as arrays, along the way that PyTorch went."""
    case, ps, found = recorded.CASES[name], start(device), {}
    optimizer = made(case, ps)
    for step in range(1, steps + 1):
        if case.get("schedule"):
            optimizer.param_groups[0]["lr"] = 0.05 / step
        give_all(ps, case, step)
        optimizer.step()
        found[step] = {n: p.numpy().copy() for n, p in ps.items()}
    return found


def check_walk(name: str) -> None:
    """All of the recorded steps of a case within 1e-10."""
    found = walk(name)
    assert [step for step, _ in FIGURES["cases"][name]] == list(recorded.STEPS)
    for step, expected in FIGURES["cases"][name]:
        for parameter_name, values in expected.items():
            ours = found[step][parameter_name]
            np.testing.assert_allclose(ours, values, rtol=1e-10, atol=1e-12, err_msg=str(step))


def check_network(name: str) -> None:
    """A whole training, through the tape, within 1e-10 of PyTorch's."""
    case, given = recorded.NETWORKS[name], recorded.NETWORK
    net = models.MLP([3, 5, 2], "tanh").astype("float64")
    first, last = net.layers[0], net.layers[2]
    weights = {"w1": first.weight, "b1": first.bias, "w2": last.weight, "b2": last.bias}
    for key, p in weights.items():
        p.data[...] = given[key]
    optimizer = made(case, weights)
    losses = []
    for _ in range(max(recorded.STEPS)):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(Tensor(np.array(given["x"]))), given["labels"])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    theirs = FIGURES["training"][name]
    np.testing.assert_allclose(losses, theirs["losses"], rtol=1e-10)
    for key, p in weights.items():
        np.testing.assert_allclose(p.data, theirs["weights"][key], rtol=1e-10, atol=1e-12)


CASES_OF_ALL = [
    *("sgd momentum", "sgd groups", "adam", "adam missing", "sgd missing"),
    *("sgd nesterov missing", "rmsprop all", "rmsprop missing", "adam decay", "adamw missing"),
]
"""Walks with what makes optimizers differ: memory, groups, and parameters that pause."""

KINDS = {
    "SGD": lambda ps: optim.SGD(ps, lr=0.1),
    "momentum": lambda ps: optim.SGD(ps, lr=0.1, momentum=0.9),
    "nesterov": lambda ps: optim.SGD(ps, 0.1, momentum=0.9, weight_decay=0.1, nesterov=True),
    "l1": lambda ps: optim.SGD(ps, lr=0.1, momentum=0.5, l1=0.3),
    "RMSprop": lambda ps: optim.RMSprop(ps, lr=0.1, momentum=0.5, centered=True),
    "Adam": lambda ps: optim.Adam(ps, lr=0.1),
    "AdamW": lambda ps: optim.AdamW(ps, lr=0.1, weight_decay=0.2),
    "LAMB": lambda ps: optim.LAMB(ps, lr=0.1, weight_decay=0.2),
}
"""Every optimizer, with settings that use all of its memory."""


class Alone:
    """Each parameter with an optimizer of its own: what a common one must equal."""

    def __init__(self, kind: str, ps: list[nn.Parameter]):
        self.optimizers = [KINDS[kind]([p]) for p in ps]

    def step(self) -> None:
        for optimizer in self.optimizers:
            optimizer.step()
