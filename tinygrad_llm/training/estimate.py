"""Before the first step: how many parameters, how much memory, how long."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tinygrad_llm import graph
from tinygrad_llm.backend import random
from tinygrad_llm.nn import Module
from tinygrad_llm.nn.summary import saved_bytes, shown_bytes
from tinygrad_llm.optim import Optimizer
from tinygrad_llm.tensor import Tensor


class Estimate(NamedTuple):
    """Bytes and seconds of one batch, and of the run."""

    parameters: int
    learning: int
    weights: int
    gradients: int
    moments: int
    activations: int
    seconds: float
    """One batch, forward and backward."""

    @property
    def memory(self) -> int:
        """Bytes altogether, beside what the program itself takes."""
        return self.weights + self.gradients + self.moments + self.activations

    def text(self, batches: int) -> str:
        """Four lines for the reader, about a run of so many batches."""
        frozen = self.parameters - self.learning
        learn = f"{frozen:,} of them frozen" if frozen else "all of them learn"
        batch = f"{self.seconds * 1e3:.3g} ms" if self.seconds < 1.0 else f"{self.seconds:.2g} s"
        return (
            f"{self.parameters:,} parameters, {learn}; memory about {shown_bytes(self.memory)}:\n"
            f"  weights {shown_bytes(self.weights)}, gradients {shown_bytes(self.gradients)}, "
            f"optimizer {shown_bytes(self.moments)},\n"
            f"  activations {shown_bytes(self.activations)} a batch\n"
            f"{batches:,} batch{'' if batches == 1 else 'es'} of about "
            f"{batch}: about "
            f"{shown_seconds(self.seconds * batches)}, updates and evaluations besides"
        )


def estimate(model: Module, optimizer: Optimizer, loss: Callable[[], Tensor]) -> Estimate:
    """Run one batch twice, forward and backward, and measure the second time.

    Random streams, and gradients, are afterwards as before.
    """
    parameters = list(model.parameters())
    learning = [p for p in parameters if p.requires_grad]
    before = [p.grad for p in parameters]
    try:
        with random.replay(random.state()):
            activations, seconds = 0, 0.0
            for _ in range(2):
                for p in parameters:
                    p.grad = None
                start = time.perf_counter()
                value = loss()
                value.item()  # waits for a GPU
                forward = time.perf_counter() - start
                activations = saved_bytes(graph.behind([value._edge]), model)
                start = time.perf_counter()
                value.backward()
                _wait(learning)
                seconds = forward + time.perf_counter() - start
    finally:
        for p, grad in zip(parameters, before):
            p.grad = grad
    size = sum(p.data.nbytes for p in learning)
    return Estimate(
        parameters=sum(p.size for p in parameters),
        learning=sum(p.size for p in learning),
        weights=sum(p.data.nbytes for p in parameters),
        gradients=2 * size,  # those of backward, and those that the optimizer gathers
        moments=sum(_moments(optimizer, group) for group in optimizer.param_groups),
        activations=activations,
        seconds=seconds,
    )


def _wait(learning: Sequence[Tensor]) -> None:
    """Until a GPU has computed a gradient of the first layer, the last one to come."""
    first = next((p.grad for p in learning if p.grad is not None), None)
    if first is not None and first.size:
        first.data.reshape(-1)[:1].sum().item()


def _moments(optimizer: Optimizer, group: dict[str, Any]) -> int:
    return len(optimizer.needed(group)) * sum(p.data.nbytes for p in group["params"])


def shown_seconds(seconds: float) -> str:
    """Seconds for a reader: "40 s", "12 min", "3.5 h"."""
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.2g} {unit}"
    return f"{seconds:.2g} s"
