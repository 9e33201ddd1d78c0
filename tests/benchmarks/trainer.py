"""Benchmark t: what a step of the Trainer costs beside the same step in a bare loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, repeat
from typing import Any

import numpy as np

from tests.benchmarks.mlp import BATCH, WIDTHS
from tests.benchmarks.worker import Step

TITLE = "one step of the Trainer, and of a bare loop: MLP 64–128–10, digits, batch 64, AdamW"
STEPS = 200
EPOCHS = 4
"""Of batches that the bare loop finds ready made; then it begins again with the first."""


def start() -> dict[str, np.ndarray]:
    """Weights (in, out) and biases: the first of seed 0."""
    model = _model()
    return {name: value.numpy() for name, value in model.state_dict().items()}


def _model() -> Any:
    from tinygrad_llm import manual_seed, models

    manual_seed(0)
    return models.MLP(WIDTHS)


def _trainer(arrays: dict[str, np.ndarray]) -> Any:
    from tinygrad_llm import data, training

    model = _model()
    model.load_state_dict(arrays)
    arguments = training.TrainingArguments(
        max_steps=10**9,
        per_device_train_batch_size=BATCH,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        max_grad_norm=None,
        dataloader_drop_last=True,
        quiet=True,
    )
    run = training.Trainer(model, arguments, data.load_digits())
    run._prepare()
    run._begin()
    return run


def _batches(run: Any) -> Iterator[Any]:
    return chain.from_iterable(iter(run.loader) for _ in repeat(None))


def bare(arrays: dict[str, np.ndarray]) -> Step:
    from tinygrad_llm import Tensor, optim
    from tinygrad_llm import functional as F

    run = _trainer(arrays)
    model = run.model
    optimizer = optim.AdamW(optim.decay_groups(model, 0.0), lr=1e-3)
    source = _batches(run)
    ready = [next(source) for _ in range(EPOCHS * len(run.loader))]

    def step(number: int) -> Tensor:
        images, labels = ready[number % len(ready)]
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    return step


def trainer(arrays: dict[str, np.ndarray]) -> Step:
    run = _trainer(arrays)
    source = _batches(run)
    for callback in run.callbacks:
        callback.on_train_begin(run)

    def step(number: int) -> float:
        before = run.state.all_loss_sum
        run._step([next(source)])
        return (run.state.all_loss_sum - before) / BATCH

    return step


SIDES: dict[str, Callable[[dict[str, np.ndarray]], Step]] = {"ours": bare, "ours trainer": trainer}
