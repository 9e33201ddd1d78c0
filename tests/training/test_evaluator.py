"""Tests of evaluation: modes, predictions, metrics of all kinds, and the test set."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.training.common import blobs, network, trainer
from tinygrad_llm import functional as F


def test_evaluation_is_without_dropout_and_training_with():
    modes = []
    model = network(dropout=0.5)
    model.register_forward_hook(lambda module, x, y: modes.append((module.training, len(x[0]))))
    run = trainer(model, max_steps=4, eval_steps=2)
    run.train()
    sizes = {10: True, 60: False}
    # what is run first tries the evaluation, and a batch of training
    assert [training == sizes[rows] for training, rows in modes] == [True] * len(modes)
    assert [training for training, _ in modes[2:]] == [True, True, False, True, True, False]
    assert model.training


def test_evaluation_leaves_gradients_modes_and_random_streams():
    from tinygrad_llm.backend import random

    model = network(dropout=0.5)
    model.layers[0].eval()
    run = trainer(model)
    before = random.state()
    run.evaluate()
    assert random.state() == before
    assert not model.layers[0].training and model.training
    assert all(p.grad is None for p in model.parameters())


def test_predictions_come_in_order_with_labels_and_metrics():
    run = trainer(per_device_eval_batch_size=7)
    x, labels = blobs(20)
    found = run.predict((x, labels))
    np.testing.assert_allclose(found.predictions, run.model(x).numpy(), rtol=1e-5, atol=1e-6)
    assert np.array_equal(found.labels, labels)
    loss = F.cross_entropy(run.model(x), labels).item()
    assert found.metrics["loss"] == pytest.approx(loss, rel=1e-6)
    right = (found.predictions.argmax(axis=1) == labels).mean()
    assert found.metrics["accuracy"] == pytest.approx(right)


def test_own_metrics_get_all_rows_at_once():
    seen = []

    def metrics(predictions, labels):
        seen.append((predictions.shape, labels.shape))
        return {"seven": 7}

    run = trainer(compute_metrics=metrics, per_device_eval_batch_size=16)
    assert run.evaluate()["eval_seven"] == 7.0
    assert seen == [((60, 3), (60,))]


def test_metrics_by_batch_are_means_over_all_of_them():
    def metrics(batch, answer):
        labels, first = batch[-1], answer.numpy().argmax(axis=1) == 0
        return {"firsts": (first.sum(), len(labels)), "sevens": (0.0, 0)}

    run = trainer(batch_metrics=metrics, per_device_eval_batch_size=16)
    found = run.evaluate()
    said = run.predict(blobs(60, seed=1)).predictions.argmax(axis=1)
    assert found["eval_firsts"] == pytest.approx((said == 0).mean())
    assert 0 < found["eval_firsts"] < 1 and "eval_sevens" not in found
    best = {"load_best_model_at_end": True, "metric_for_best_model": "firsts"}
    run = trainer(batch_metrics=metrics, greater_is_better=True, num_train_epochs=1, **best)
    assert run.train().metrics["best_eval_firsts"] == run.history[-1]["eval_firsts"]


def test_metrics_by_batch_that_are_no_sums_are_refused_before_the_first_step():
    run = trainer(batch_metrics=lambda batch, answer: {"accuracy": 0.5})
    with pytest.raises(TypeError, match=r"batch_metrics gives a dict of pairs \(sum, count\)"):
        run.train()
    assert run.state.step == 0


def test_ignored_labels_count_nowhere():
    x, labels = blobs(60)
    labels[::3] = -100
    run = trainer(held=(x, labels), per_device_eval_batch_size=9)
    kept = labels != -100
    found = run.evaluate()
    loss = F.cross_entropy(run.model(x[kept]), labels[kept]).item()
    assert found["eval_loss"] == pytest.approx(loss, rel=1e-6)
    right = run.model(x[kept]).numpy().argmax(axis=1) == labels[kept]
    assert found["eval_accuracy"] == pytest.approx(right.mean())


def test_the_test_set_is_read_once_and_the_log_says_when(tmp_path):
    held = blobs(30, seed=2)
    run = trainer(test_dataset=held, max_steps=3, output_dir=str(tmp_path))
    run.train()
    found = run.test()
    assert found.keys() == {"test_loss", "test_accuracy"}
    row = json.loads((tmp_path / "log.jsonl").read_text(encoding="utf-8").splitlines()[-1])
    assert row["kind"] == "test" and row["step"] == 3 and row["time"].startswith("20")
    with pytest.raises(RuntimeError, match=r"test set was read at 20.*, after step 3"):
        run.test()
    later = trainer(test_dataset=held, max_steps=3, output_dir=str(tmp_path))
    with pytest.raises(RuntimeError, match="test set was read at 20"):
        later.test()


def test_the_test_set_is_read_once_without_a_folder_too():
    run = trainer(test_dataset=blobs(30))
    run.test()
    with pytest.raises(RuntimeError, match="test set was read"):
        run.test()
