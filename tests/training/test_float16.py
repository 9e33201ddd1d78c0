"""Tests of training in float16 with a scaled loss."""

from __future__ import annotations

import numpy as np
import pytest

from tests.training.common import blobs, trainer
from tinygrad_llm import functional as F
from tinygrad_llm import models, optim


def test_in_float16_it_learns_and_weights_stay_float32():
    model = models.MLP([4, 16, 3])
    run = trainer(model, fp16=True, num_train_epochs=20, learning_rate=0.03)
    run.train()
    assert {p.dtype for p in model.parameters()} == {np.dtype("float32")}
    assert run.evaluate()["eval_accuracy"] > 0.9
    assert run.stepper.scaler.get_scale() >= 1.0


def test_a_step_that_is_skipped_in_float16_moves_no_schedule():
    """A loss that is so large that its scaled gradient overflows, for the first steps."""
    run = trainer(
        fp16=True,
        max_steps=16,
        logging_steps=1,
        compute_loss=lambda model, batch: (
            F.cross_entropy(model(batch[0]).astype("float32"), batch[1]) * 1000.0
        ),
    )
    run.train()
    rows = [row for row in run.history if row["kind"] == "train"]
    moved = np.cumsum([0] + [np.isfinite(row["grad_norm"]) for row in rows])
    assert 0 < run.state.skipped < 16 == len(rows)
    rates = [0.01 * optim.linear_factor(step, 16) for step in moved[:-1]]
    assert [row["learning_rate"] for row in rows] == pytest.approx(rates)


def test_labels_stay_in_their_dtype_in_float16():
    seen = []

    def loss(model, batch):
        seen.append((batch[0].dtype, batch[1].dtype))
        return ((model(batch[0]).astype("float32")[:, 0] - batch[1]) ** 2).mean()

    x, labels = blobs()
    run = trainer(fp16=True, train=(x, labels.astype(np.float32)), held=False, compute_loss=loss)
    run.train()
    assert set(seen) == {(np.dtype("float16"), np.dtype("float32"))}
