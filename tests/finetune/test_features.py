"""Tests of training a head on features: the same answers as the whole model gives, row by row."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tqdm

from tests.models.common import bert, ids
from tests.training.common import arguments, same, trainer, weights
from tinygrad_llm import Tensor, data, models
from tinygrad_llm.backend import random
from tinygrad_llm.finetune.features import Features, Head, features
from tinygrad_llm.finetune.freezing import head_only, weights_hash
from tinygrad_llm.training import Trainer

CLASSES = 3
PAD = data.Padding()


def classifier(**options: Any) -> Any:
    return bert("BertForSequenceClassification", **{"num_labels": CLASSES, **options})


def texts(rows: int = 23) -> data.ListDataset:
    """Rows of 2 to 9 tokens, in no order of length."""
    lengths = [2 + (5 * i) % 8 for i in range(rows)]
    return data.ListDataset(
        {"input_ids": ids(length, seed=i).tolist(), "labels": i % CLASSES}
        for i, length in enumerate(lengths)
    )


def labels(rows: int = 23) -> np.ndarray:
    return np.arange(rows) % CLASSES


def on_features(model: Any, **changes: Any) -> Trainer:
    """A Trainer of the head alone."""
    train = data.ArrayDataset(features=features(model, texts(), PAD), labels=labels())
    return trainer(Head(model), train, held=train, **changes)


def test_each_row_has_the_feature_that_it_has_alone():
    model, rows = classifier().astype("float32"), texts()
    found = features(model, rows, PAD, batch_size=4)
    alone = [model.bert([row["input_ids"]]).pooler_output.numpy()[0] for row in rows]
    assert found.dtype == np.float32 and found.shape == (23, 8)
    np.testing.assert_allclose(found, alone, rtol=0, atol=1e-6)


def test_batches_are_of_like_length_longest_first():
    shapes = []

    def collate(rows: list) -> Any:
        shapes.append((len(rows), max(len(row["input_ids"]) for row in rows)))
        return PAD(rows)

    features(classifier(), texts(), collate, batch_size=4)
    assert [count for count, _ in shapes[-6:]] == [4, 4, 4, 4, 4, 3]
    lengths = sorted((len(row["input_ids"]) for row in texts()), reverse=True)
    assert [longest for _, longest in shapes[-6:]] == lengths[::4]


def test_neither_the_model_nor_chance_is_touched():
    model = classifier(hidden_dropout_prob=0.5).train()
    model.dropout.eval()
    before, state = weights_hash(model), random.state()
    found = features(model, texts(), PAD)
    assert np.array_equal(found, features(model, texts(), PAD))
    assert weights_hash(model) == before and random.state() == state
    assert model.bert.training and not model.dropout.training


def test_what_it_computes_is_not_on_a_tape(monkeypatch):
    model, learning = classifier(), []
    forward = type(model.bert.pooler).forward

    def watched(self: Any, states: Tensor) -> Tensor:
        learning.append(forward(self, states).requires_grad)
        return forward(self, states)

    monkeypatch.setattr(type(model.bert.pooler), "forward", watched)
    features(model, texts(), PAD)
    assert learning == [False]


def test_the_whole_model_has_the_trained_head():
    model = classifier(classifier_dropout=0.2).astype("float32")
    body, head = weights_hash(model.bert), weights_hash(model.classifier)
    run = on_features(model, max_steps=8)
    run.train()
    assert weights_hash(model.bert) == body
    assert weights_hash(model.classifier) != head
    whole = Trainer(model, arguments(), eval_dataset=texts(), data_collator=PAD)
    mine, theirs = run.predict(run.eval_dataset), whole.predict(texts())
    np.testing.assert_allclose(mine.predictions, theirs.predictions, rtol=0, atol=1e-6)
    assert mine.metrics == pytest.approx(theirs.metrics, abs=1e-6)
    assert mine.metrics.keys() == {"loss", "accuracy"}
    assert run.evaluate()["eval_loss"] == mine.metrics["loss"]


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_without_dropout_it_trains_as_the_whole_model_does(pooling):
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    still |= {"classifier_pooling": pooling}
    how = {"num_train_epochs": 2, "per_device_train_batch_size": 5, "weight_decay": 0.1}
    model, other = classifier(**still), head_only(classifier(**still))
    before = weights(model.classifier)
    on_features(model, **how).train()
    trainer(other, texts(), held=(), data_collator=PAD, **how).train()
    assert not same(model.classifier, before)
    for name, value in weights(other).items():
        np.testing.assert_allclose(weights(model)[name], value, rtol=0, atol=1e-10)


def test_the_classifiers_own_dropout_is_at_work_in_training_alone():
    head = Head(classifier(classifier_dropout=0.5)).train()
    x = np.ones((4, 8))
    noisy = [head(x).logits.numpy() for _ in range(2)]
    assert not np.array_equal(*noisy)
    assert np.array_equal(*(head.eval()(x).logits.numpy() for _ in range(2)))


def test_the_head_is_the_models_and_nothing_else():
    model = classifier()
    head = Head(model)
    own = dict(head.named_parameters())
    assert own.keys() == {"classifier.weight", "classifier.bias"}
    assert all(p is q for p, q in zip(own.values(), model.classifier.parameters()))


@pytest.mark.parametrize(
    ("options", "truth"),
    [
        ({}, np.array([0, 2, -100, 1])),
        ({"num_labels": 1}, np.array([0.5, 1.0, -2.0, 0.0])),
        ({"problem_type": "multi_label_classification"}, np.eye(4, 3)),
        ({"problem_type": "regression"}, np.eye(4, 3)),
    ],
    ids=["classes", "number", "several labels", "numbers"],
)
def test_losses_are_those_of_the_model(options, truth):
    model, inputs = classifier(**options), ids(4, 6)
    rows = data.ArrayDataset(input_ids=inputs)
    found = Head(model)(features(model, rows, None), labels=truth)
    expected = model(inputs, labels=truth)
    assert found.loss.item() == pytest.approx(expected.loss.item(), rel=1e-12)
    assert Head(model)(features(model, rows, None)).loss is None


def test_a_run_of_the_head_goes_on_after_a_kill(tmp_path):
    """Its checkpoints hold the head alone."""
    how = {"max_steps": 6, "save_steps": 2, "save_total_limit": 9}
    through, killed = classifier(), classifier()
    on_features(through, output_dir=str(tmp_path / "a"), **how).train()
    on_features(killed, output_dir=str(tmp_path / "b"), **{**how, "save_steps": 4}).train()
    (tmp_path / "b" / "checkpoint-6.safetensors").unlink()
    again = on_features(classifier(), output_dir=str(tmp_path / "b"), **{**how, "save_steps": 4})
    again.train(resume_from_checkpoint=True)
    assert same(again.model.classifier, through.classifier)
    assert (tmp_path / "a" / "checkpoint-4.safetensors").stat().st_size < 10_000


class Bar:
    """In the place of tqdm's."""

    def __init__(self, **how: Any):
        self.how, self.rows = how, 0
        BARS.append(self)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, rows: int) -> None:
        self.rows += rows


BARS: list[Bar] = []


@pytest.mark.parametrize(("quiet", "disable"), [(False, None), (True, True)], ids=["bar", "quiet"])
def test_a_bar_counts_the_rows(quiet, disable, monkeypatch):
    monkeypatch.setattr(tqdm, "tqdm", Bar)
    features(classifier(), texts(), PAD, batch_size=4, quiet=quiet)
    assert BARS[-1].rows == BARS[-1].how["total"] == 23
    assert BARS[-1].how["disable"] is disable


@pytest.mark.parametrize(
    ("make", "rows", "error", "what"),
    [
        (lambda: bert("BertForMaskedLM"), texts(), ValueError, "BertForMaskedLM has no pooler"),
        (lambda: models.MLP([2, 2]), texts(), ValueError, "a MLP has no body under a head"),
        (classifier, data.ListDataset([]), ValueError, "the dataset is empty"),
        (classifier, data.ListDataset([{"text": "a"}]), TypeError, "encode the texts first"),
        (classifier, data.ListDataset([(1, 2)]), TypeError, "encode the texts first"),
        (
            classifier,
            data.ListDataset([{"input_ids": [3, 4], "weight": 1.0}]),
            ValueError,
            "the data has the columns weight, which BertForSequenceClassification.forward",
        ),
    ],
    ids=["no pooler", "no body", "no rows", "texts", "tuples", "columns"],
)
def test_what_has_no_features_is_refused(make, rows, error, what):
    with pytest.raises(error, match=what):
        features(make(), rows, PAD)


def test_a_head_is_taken_from_a_classifier_of_texts():
    with pytest.raises(TypeError, match=r"not a BertForTokenClassification.*head_only\(model\)"):
        Head(bert("BertForTokenClassification"))


def test_a_classifier_of_the_mean_has_the_mean_as_its_feature():
    model, rows = classifier(classifier_pooling="mean"), texts()
    found = features(model, rows, PAD, batch_size=4)
    states = [model.bert([row["input_ids"]]).last_hidden_state.numpy()[0] for row in rows]
    alone = [each.mean(axis=0) for each in states]
    np.testing.assert_allclose(found, alone, rtol=0, atol=1e-10)
    said = Head(model).eval()(found).logits.numpy()
    each = [model([row["input_ids"]]).logits.numpy()[0] for row in rows]
    np.testing.assert_allclose(said, each, rtol=0, atol=1e-10)


def test_features_are_computed_once_and_not_before_they_are_asked_for():
    calls: list[int] = []

    def make() -> np.ndarray:
        calls.append(len(calls))
        return np.arange(12.0).reshape(6, 2)

    rows = Features(make, np.arange(6) % 3)
    assert len(rows) == 6 and rows.seconds == 0.0 and calls == []
    assert rows[2]["features"].tolist() == [4.0, 5.0] and rows[2]["labels"] == 2
    batch = rows.take(np.array([5, 0]))
    assert batch["features"].tolist() == [[10.0, 11.0], [0.0, 1.0]]
    assert batch["labels"].tolist() == [2, 0]
    assert calls == [0] and rows.seconds > 0.0
