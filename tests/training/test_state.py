"""Tests of what counts as the best evaluation."""

from __future__ import annotations

from tests.training.common import trainer
from tinygrad_llm.training.state import TrainerState


def test_better_is_better_by_more_than_the_threshold():
    run = trainer(num_train_epochs=30, early_stopping_patience=2, early_stopping_threshold=0.05)
    run.train()
    losses = [row["eval_loss"] for row in run.history if row["kind"] == "eval"]
    best, worse, stops = losses[0], 0, []
    for i, value in enumerate(losses[1:], 1):
        best, worse = (value, 0) if best - value > 0.05 else (best, worse + 1)
        stops += [i] if worse == 2 else []
    assert stops == [len(losses) - 1] and run.state.best_value == best > min(losses)


def test_equal_is_not_better():
    state = TrainerState(step=1)
    assert state.judge(1.0, False, 0.0) and not state.judge(1.0, False, 0.0)
    assert state.judge(0.5, False, 0.0) and not state.judge(float("nan"), False, 0.0)
    assert state.worse == 1 and state.best_value == 0.5
