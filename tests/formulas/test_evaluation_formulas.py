"""Tests of the formulas of evaluation: F57-F60, F67, F69, F80; the library has them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinygrad_llm import Tensor, metrics, nn, training
from tinygrad_llm import functional as F
from tinygrad_llm.finetune.ensembles import mean_probabilities, negative_log_likelihood
from tinygrad_llm.formulas import FORMS
from tinygrad_llm.formulas.evaluation import (
    Counts,
    accuracy,
    f1,
    macro_f1,
    micro_f1,
    named_classes,
    precision,
    recall,
)

SEEDS = range(10)
EXAMPLE = Counts(tp=2, fp=1, fn=3, tn=4)


def example():
    """Labels and predictions of the article's example."""
    return EXAMPLE.rows(np.random.default_rng(0))


def rare():
    """Five positives of a hundred, and none of them found."""
    return Counts(0, 0, 5, 95).rows(np.random.default_rng(0))


@pytest.mark.formula("F57")
def test_f57_of_rare_positives_accuracy_says_nothing(hold):
    hold("F57")
    assert FORMS["F57"].corrected(*rare()) == 0.95
    assert [form(*rare()) for form in (precision, recall, f1)] == [0.0, 0.0, 0.0]


@pytest.mark.formula("F58", "F59")
def test_f58_f59_precision_and_recall(hold):
    hold("F58")
    hold("F59")
    assert round(FORMS["F58"].corrected(*example()), 4) == 0.6667
    assert FORMS["F59"].corrected(*example()) == 0.4
    with np.errstate(invalid="ignore"):
        assert np.isnan(FORMS["F58"].printed(*rare()))
    assert FORMS["F58"].corrected(*rare()) == 0.0


@pytest.mark.formula("F60")
def test_f60_the_harmonic_mean_not_the_arithmetic(hold):
    hold("F60")
    assert math.isclose(FORMS["F60"].corrected(*example()), 0.5)
    assert round(FORMS["F60"].mistake(*example()), 3) == 0.533
    always = Counts(1, 99, 0, 0).rows(np.random.default_rng(0))
    assert FORMS["F60"].mistake(*always) > 0.5
    assert FORMS["F60"].corrected(*always) < 0.02


@pytest.mark.formula("F60")
def test_f60_macro_and_micro_are_two_numbers():
    y, predicted = np.array([0, 0, 0, 0, 1, 2]), np.array([0, 0, 0, 0, 2, 1])
    assert math.isclose(macro_f1(y, predicted, 3), 1 / 3)
    assert math.isclose(micro_f1(y, predicted, 3), 4 / 6)


@pytest.mark.formula("F67")
def test_f67_the_mean_is_of_probabilities(hold):
    """One model is sure of the first class, three are fairly sure of the second."""
    hold("F67")
    Z = np.array([[[20.0, 0.0]], [[0.0, 2.0]], [[0.0, 2.0]], [[0.0, 2.0]]])
    assert FORMS["F67"].corrected(Z)[0].round(3).tolist() == [0.339, 0.661]
    assert FORMS["F67"].mistake(Z)[0].round(3).tolist() == [0.971, 0.029]


@pytest.mark.formula("F67")
@pytest.mark.parametrize("seed", SEEDS)
def test_f67_the_library_has_it_and_jensens_inequality(seed):
    rng = np.random.default_rng(seed)
    Z, y = rng.normal(0.0, 2.0, size=(5, 30, 4)), rng.integers(0, 4, size=30)
    found, expected = mean_probabilities(Z), FORMS["F67"].corrected(Z)
    np.testing.assert_allclose(found, expected, rtol=1e-14)
    alone = [negative_log_likelihood(mean_probabilities([z]), y) for z in Z]
    assert negative_log_likelihood(found, y) < np.mean(alone) - 0.1


@pytest.mark.formula("F69")
def test_f69_half_of_the_rows_name_no_class_or_two(hold):
    hold("F69")
    Z = np.random.default_rng(0).normal(size=(100_000, 2))
    printed, corrected = (
        np.mean(form(Z).sum(axis=1) != 1.0) for form in (FORMS["F69"].printed, named_classes)
    )
    assert math.isclose(printed, 0.497, abs_tol=0.006)
    assert corrected == 0.0


@pytest.mark.formula("F80")
def test_f80_88_percent_of_five_rows_is_not_possible(hold):
    """One line of loss an epoch is one batch, of 16 rows at most, which leaves 5 to validate on."""
    hold("F80")
    y = np.zeros(5)
    found = {FORMS["F80"].corrected(y, (np.arange(5) >= right) * 1.0) for right in range(6)}
    assert found == {0.0, 20.0, 40.0, 60.0, 80.0, 100.0}
    fits = [
        n
        for n in range(1, 31)
        if any(round(100.0 * right / n, 1) == 88.0 for right in range(n + 1))
    ]
    assert fits[0] == 25


@pytest.mark.formula("F57", "F58", "F59", "F60", "F80")
@pytest.mark.parametrize("seed", SEEDS)
def test_f57_f60_the_library_has_the_corrected_metrics(seed):
    rng = np.random.default_rng(seed)
    y, predicted = rng.integers(0, 2, size=(2, rng.integers(1, 20)))
    for ours, form in (
        (metrics.accuracy_score, "F57"),
        (metrics.precision_score, "F58"),
        (metrics.recall_score, "F59"),
        (metrics.f1_score, "F60"),
    ):
        assert math.isclose(ours(y, predicted), FORMS[form].corrected(y, predicted), rel_tol=1e-15)
    percent = FORMS["F80"].corrected(y, predicted)
    assert math.isclose(100.0 * metrics.accuracy_score(y, predicted), percent, rel_tol=1e-15)


@pytest.mark.formula("F60")
@pytest.mark.parametrize("seed", SEEDS)
def test_f60_averages_of_the_library(seed):
    y, predicted = np.random.default_rng(seed).integers(0, 4, size=(2, 40))
    macro = metrics.f1_score(y, predicted, average="macro")
    micro = metrics.f1_score(y, predicted, average="micro")
    assert math.isclose(macro, macro_f1(y, predicted, 4), rel_tol=1e-14)
    assert math.isclose(micro, micro_f1(y, predicted, 4), rel_tol=1e-14)
    assert math.isclose(micro, accuracy(y, predicted), rel_tol=1e-14)


@pytest.mark.formula("F69")
@pytest.mark.parametrize("seed", SEEDS)
def test_f69_the_trainer_reads_a_class_from_the_largest_logit(seed):
    rng = np.random.default_rng(seed)
    Z, y = rng.normal(size=(50, 2)), rng.integers(0, 2, size=50)
    expected = np.argmax(named_classes(Z), axis=1)
    assert np.array_equal(F.argmax(Tensor(Z), axis=1).numpy(), expected)
    same = nn.Linear(2, 2, bias=False).astype("float64")
    same.weight.data[...] = np.eye(2)
    arguments = training.TrainingArguments(disable_tqdm=True)
    found = training.Trainer(same, arguments, eval_dataset=(Z, y)).evaluate()
    assert math.isclose(found["eval_accuracy"], accuracy(y, expected), rel_tol=1e-15)
    with pytest.raises(ValueError):
        metrics.accuracy_score(y, Z)
