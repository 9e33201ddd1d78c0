"""Measures of a fine-tuning: by hand, the intervals, and what is no result."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.finetune.results_common import NAMES, SAID, TRUE, classes, noisy, numbers
from tinygrad_llm import data, manual_seed, metrics, nn
from tinygrad_llm import functional as F
from tinygrad_llm.finetune import measures
from tinygrad_llm.finetune.measures import (
    BAG,
    MODEL,
    Result,
    differences,
    figures,
    paired_interval,
    predictions,
    scores,
)
from tinygrad_llm.training import Trainer, TrainingArguments


def logits(said):
    return np.eye(len(NAMES))[said] - 0.5


def test_scores_of_classes_by_hand():
    found = scores("classification", TRUE, logits(SAID), NAMES)
    assert found == pytest.approx(
        {
            "accuracy": 6 / 8,
            "macro_precision": (1 + 2 / 3 + 1 / 2) / 3,
            "macro_recall": (3 / 4 + 2 / 3 + 1) / 3,
            "macro_f1": (6 / 7 + 2 / 3 + 2 / 3) / 3,
        }
    )


def test_a_class_without_a_row_counts_in_no_mean():
    """Nor does it where the model names it: that is an error of the class that it is."""
    found = scores("classification", [0, 0], logits([0, 3]), NAMES)
    assert found["macro_recall"] == 0.5
    assert found["macro_precision"] == 1.0
    assert found["macro_f1"] == pytest.approx(2 / 3)
    assert scores("classification", [0, 1], logits([0, 0]), NAMES)["macro_precision"] == 0.25


def test_scores_of_numbers_by_hand():
    true, said = [1.0, 2.0, 3.0, 4.0], [[2.0], [2.0], [2.0], [6.0]]
    found = scores("regression", np.array(true, np.float32), np.array(said, np.float32))
    assert found == pytest.approx({"mse": 1.5, "mae": 1.0, "r": 6 / math.sqrt(5 * 12)})
    assert scores("regression", true, np.array(said)[:, 0]) == pytest.approx(found)
    assert math.isnan(scores("regression", true, np.ones((4, 1)))["r"])


def test_squares_of_large_float32_are_numbers():
    large = np.array([1e30, -1e30], np.float32)
    assert scores("regression", large, np.zeros((2, 1), np.float32))["mse"] == pytest.approx(1e60)
    assert figures(Result(large, -large))[MODEL]["mse"].value == pytest.approx(4e60)


def test_scores_are_what_a_trainer_asks_for():
    manual_seed(0)
    x = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
    labels = (x[:, 0] > 0).astype(np.int64)
    trainer = Trainer(
        nn.Linear(3, 2),
        TrainingArguments(max_steps=1, quiet=True),
        data.ArrayDataset(x, labels),
        data.ArrayDataset(x, labels),
        compute_loss=lambda model, batch: (
            F.cross_entropy(model(batch[0]), batch[1]),
            model(batch[0]),
        ),
        compute_metrics=lambda said, true: scores("classification", true, said, ("no", "yes")),
    )
    found = trainer.evaluate()
    said = trainer.predict(data.ArrayDataset(x.copy(), labels)).predictions.argmax(axis=1)
    assert found["eval_macro_f1"] == metrics.f1_score(labels, said, average="macro")


@pytest.mark.parametrize("seed", range(5))
def test_the_fast_f1_is_that_of_metrics(seed):
    """A class that is named alone counts in neither."""
    true, said = noisy(0.5, rows=8, classes=6, seed=seed)
    value = figures(Result(true, said, tuple("abcdef")))[MODEL]["macro F1"].value
    there = np.unique(true)
    assert seed or len(np.union1d(true, said)) > len(there)
    assert value == pytest.approx(metrics.f1_score(true, said, labels=there, average="macro"))


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((36, 12, 2, 0), 0.0569, 0.3404),
        ((14, 5, 0, 22), 0.0115, 0.2265),
        ((1, 1, 7, 12), -0.5069, -0.0256),
    ],
)
def test_intervals_of_pairs_are_the_published_ones(counts, low, high):
    """Both right, the first alone, the second alone, neither: Newcombe's own example of 50 pairs,
    that of "Statistics with Confidence", and one in which they hardly agree."""
    first, second = (np.repeat(answer, counts) for answer in ([1, 1, 0, 0], [1, 0, 1, 0]))
    found = paired_interval(first == 1, second == 1)
    assert found == pytest.approx((low, high), abs=5e-5)
    assert paired_interval(second == 1, first == 1) == pytest.approx((-high, -low), abs=5e-5)


def test_pairs_that_disagree_have_a_wider_interval():
    """Of equal shares, where one is right when the other is wrong, φ is −1."""
    first = np.arange(100) % 2 == 0
    low, high = paired_interval(first, ~first)
    wilson = metrics.wilson_interval(50, 100)
    assert (low, high) == pytest.approx((wilson.low - wilson.high, wilson.high - wilson.low))
    same = paired_interval(first, first)
    assert same.high - same.low < 0.1 * (high - low) + 0.04


def test_the_bootstrap_of_a_mean_is_that_of_theory():
    result = numbers()
    squares = (result.predicted - result.labels) ** 2
    half = 1.96 * squares.std() / math.sqrt(len(squares))
    value, interval = figures(result)[MODEL]["mse"]
    assert value == pytest.approx(squares.mean())
    assert interval == pytest.approx((value - half, value + half), rel=0.02)


def test_samples_have_each_class_as_often_as_the_rows():
    result = classes()
    samples = list(measures._samples(result))
    assert len(samples) == measures.DRAWS
    counts = np.bincount(result.labels)
    assert all((np.bincount(result.labels[rows]) == counts).all() for rows in samples)
    drawn = np.bincount(np.concatenate(samples), minlength=len(result.labels))
    assert drawn.min() > 800 and drawn.max() < 1200  # each row about as often as there are samples


def test_an_interval_of_f1_is_around_it_and_shrinks_with_rows():
    few, many = (figures(classes(rows=rows))[MODEL]["macro F1"] for rows in (200, 3200))
    for value, interval in (few, many):
        assert interval.low < value < interval.high
    ratio = (few.interval.high - few.interval.low) / (many.interval.high - many.interval.low)
    assert 3 < ratio < 5.3  # the root of 16


def test_a_difference_is_of_the_same_rows():
    result = classes()
    each, found = figures(result), differences(result)
    for name in ("accuracy", "macro F1"):
        assert found[name].value == pytest.approx(each[MODEL][name].value - each[BAG][name].value)
        low, high = found[name].interval
        assert low < found[name].value < high
        apart = sum(f.interval.high - f.interval.low for f in (each[MODEL][name], each[BAG][name]))
        assert high - low < 0.75 * apart


def test_where_all_samples_agree_there_is_no_interval():
    right = Result(TRUE, TRUE, NAMES, {BAG: TRUE})
    assert figures(right)[MODEL]["macro F1"] == (1.0, None)
    assert differences(right)["macro F1"] == (0.0, None)
    assert differences(right)["accuracy"].interval.low < 0.0
    constant = Result(np.arange(4.0), np.ones(4))
    assert math.isnan(figures(constant)[MODEL]["r"].value)
    assert figures(constant)[MODEL]["r"].interval is None


@pytest.mark.parametrize(
    ("task", "outputs", "names", "message"),
    [
        ("spam", [[1.0]], (), "task is 'spam'"),
        ("classification", [1.0, 2.0], ("a", "b"), r"logits are \(2,\); a classification has"),
        ("classification", [[1.0, 2.0, 3.0]], ("a", "b"), r"logits are \(1, 3\)"),
        ("regression", [[1.0, 2.0]], (), r"logits are \(1, 2\); a regression has \(N, 1\)"),
    ],
)
def test_wrong_logits_are_refused(task, outputs, names, message):
    with pytest.raises(ValueError, match=message):
        predictions(task, outputs, names)


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (ValueError, (np.zeros(0, int), np.zeros(0, int), ("a",)), r"labels \(0,\)"),
        (ValueError, (TRUE, SAID[1:], NAMES), r"predicted \(7,\) for labels \(8,\)"),
        (ValueError, (TRUE, SAID, NAMES, {BAG: SAID[1:]}), r"bag of words \(7,\)"),
        (ValueError, (TRUE, SAID, NAMES[:2]), "labels: class 2 has no name; there are 2"),
        (ValueError, (TRUE, SAID - 1, NAMES), "predicted: class -1 has no name"),
        (TypeError, (TRUE, SAID * 1.0, NAMES), "predicted are float64; give classes"),
        (ValueError, (TRUE * 1.0, SAID * np.nan), "predicted are not all"),
    ],
    ids=["no rows", "length", "baseline", "names", "negative", "floats", "nan"],
)
def test_what_is_no_result_is_refused(error, arguments, message):
    with pytest.raises(error, match=message):
        Result(*arguments)
