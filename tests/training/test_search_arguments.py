"""A test that a search goes over TrainingArguments, and goes on where it was stopped."""

from __future__ import annotations

from tests.training.common import network, trainer
from tinygrad_llm.training import Choice, LogUniform, search

SPACE = {
    "learning_rate": LogUniform(1e-4, 0.3),
    "optim": Choice(["adamw", "sgd"]),
    "weight_decay": Choice([0.0, 0.1]),
}


def test_a_search_over_training_arguments_is_resumed(tmp_path):
    asked = []

    def loss(settings):
        asked.append(settings)
        run = trainer(network(), max_steps=20, eval_strategy="no", **settings)
        run.train()
        return run.evaluate()["eval_loss"]

    file = tmp_path / "trials.jsonl"
    search(loss, SPACE, "bayes", trials=4, seed=1, file=file)
    found = search(loss, SPACE, "bayes", trials=8, seed=1, file=file)
    assert len(asked) == 8
    whole = search(loss, SPACE, "bayes", trials=8, seed=1)
    values = [trial.value for trial in whole.trials]
    assert [trial.value for trial in found.trials] == values
    assert found.best.value == min(values) < max(values)
    assert "learning_rate" in found.table()
