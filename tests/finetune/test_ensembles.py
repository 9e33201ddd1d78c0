"""Tests of ensembles: Jensen's inequality, values by hand, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.models.common import bert, ids
from tests.training.common import trainer
from tinygrad_llm import data
from tinygrad_llm.finetune.ensembles import mean_probabilities, negative_log_likelihood

EVEN = np.array([[0.5, 0.5]])


@st.composite
def outputs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Logits (M, N, C) of several models, from all alike to all certain, and labels (N,)."""
    shape = tuple(draw(st.integers(least, 5)) for least in (1, 1, 2))
    size = draw(st.sampled_from([0.0, 1.0, 30.0, 700.0]))
    elements = st.floats(-1.0, 1.0, width=32)
    logits = size * draw(arrays(np.float64, shape, elements=elements))
    return logits, draw(arrays(np.int64, shape[1], elements=st.integers(0, shape[2] - 1)))


@given(outputs())
def test_the_mean_is_no_worse_than_the_models_are_on_average(drawn):
    logits, labels = drawn
    mean = mean_probabilities(logits)
    alone = [mean_probabilities([each]) for each in logits]
    of_each = [negative_log_likelihood(each, labels) for each in alone]
    together = negative_log_likelihood(mean, labels)
    assert together <= np.mean(of_each) * (1 + 1e-12) + 1e-12
    if all(np.array_equal(each, alone[0]) for each in alone):
        assert together == pytest.approx(of_each[0], rel=1e-12, abs=1e-12)
    assert mean.shape == logits.shape[1:] and mean.dtype == np.float64
    np.testing.assert_allclose(mean.sum(axis=1), 1.0, rtol=1e-12)


@given(outputs())
def test_probabilities_give_what_their_logits_give(drawn):
    logits, _ = drawn
    given_as = [mean_probabilities([each]) for each in logits]
    found = mean_probabilities(given_as, from_logits=False)
    np.testing.assert_array_equal(found, mean_probabilities(logits))


def test_by_hand():
    logits = [np.log([[1.0, 3.0]]), np.log([[1.0, 1.0]]) + 7.0]
    mean = mean_probabilities(logits)
    np.testing.assert_allclose(mean, [[0.375, 0.625]], rtol=1e-15)
    assert negative_log_likelihood(mean, [0]) == pytest.approx(math.log(8 / 3), rel=1e-15)
    assert negative_log_likelihood(np.array([[0.25, 0.75], [0.5, 0.5]]), [1, 0]) == pytest.approx(
        (math.log(4 / 3) + math.log(2)) / 2, rel=1e-15
    )


def test_the_inequality_is_strict_where_models_differ():
    sure = [np.array([[0.9, 0.1]]), np.array([[0.1, 0.9]])]
    mean = mean_probabilities(sure, from_logits=False)
    alone = [negative_log_likelihood(each, [0]) for each in sure]
    assert negative_log_likelihood(mean, [0]) == pytest.approx(math.log(2))
    assert np.mean(alone) == pytest.approx(1.204, abs=1e-3)


def test_large_logits_and_float16_do_not_overflow():
    found = mean_probabilities([np.array([[60_000.0, 0.0]], np.float16), np.zeros((1, 2))])
    assert found.tolist() == [[0.75, 0.25]]
    fine = np.array([[0.1, 1.3, -2.0]], np.float16)
    found, expected = (mean_probabilities([each]) for each in (fine, fine.astype(np.float64)))
    assert np.array_equal(found, expected)
    rough = np.full((1, 7), 1 / 7, np.float16)
    np.testing.assert_allclose(mean_probabilities([rough], from_logits=False), 1 / 7, rtol=1e-3)


def test_a_true_class_that_was_said_to_be_impossible_costs_everything():
    never = np.array([[1.0, 0.0]])
    assert negative_log_likelihood(never, [1]) == math.inf
    assert negative_log_likelihood(never, [0]) == 0.0
    both = mean_probabilities([never, EVEN], from_logits=False)
    assert negative_log_likelihood(both, [1]) == pytest.approx(math.log(4))


def test_labels_that_do_not_count_are_left_out():
    p = np.array([[0.5, 0.5], [1.0, 0.0]])
    assert negative_log_likelihood(p, [0, -100]) == pytest.approx(math.log(2))


def test_it_is_the_loss_that_a_trainer_evaluates():
    train = data.ArrayDataset(input_ids=ids(9, 5), labels=np.arange(9) % 3)
    model = bert("BertForSequenceClassification", num_labels=3)
    run = trainer(model, train, held=train)
    said = run.predict(train)
    found = negative_log_likelihood(mean_probabilities([said.predictions]), said.labels)
    assert found == pytest.approx(said.metrics["loss"], rel=1e-6)


@pytest.mark.parametrize(
    ("given", "error", "what"),
    [
        ([], ValueError, "there are no outputs"),
        ([EVEN, np.ones((2, 2))], ValueError, r"outputs are \(1, 2\), \(2, 2\): give \(N, C\)"),
        (EVEN, ValueError, r"outputs are \(2,\): give \(N, C\) of each model"),
        ([np.ones((0, 2))], ValueError, r"outputs are \(0, 2\)"),
        ([np.array([[1, 0]])], TypeError, "outputs are int64"),
        ([np.array([[np.inf, 0.0]])], ValueError, "outputs are not finite"),
        ([np.array([[np.nan, 0.0]])], ValueError, "outputs are not finite"),
    ],
    ids=["none", "shapes", "one array", "no rows", "integers", "inf", "NaN"],
)
@pytest.mark.parametrize("from_logits", [True, False])
def test_outputs_that_make_no_mean_are_refused(given, error, what, from_logits):
    with pytest.raises(error, match=what):
        mean_probabilities(given, from_logits=from_logits)


@pytest.mark.parametrize("wrong", [[[2.0, -1.0]], [[0.5, 0.4]], [[3.0, 1.0]]], ids=str)
def test_logits_in_the_place_of_probabilities_are_refused(wrong):
    with pytest.raises(ValueError, match=r"sum to 1, not .*from_logits=True"):
        mean_probabilities([EVEN, np.array(wrong)], from_logits=False)
    with pytest.raises(ValueError, match="rows of probabilities"):
        negative_log_likelihood(np.array(wrong), [0])


@pytest.mark.parametrize(
    ("labels", "error", "what"),
    [
        ([0, 1], ValueError, r"labels \(2,\), expected \(1,\)"),
        ([0.0], TypeError, "labels are float"),
        ([2], IndexError, "labels: 2 is outside 0 … 1"),
        ([-100], ValueError, "none of 1 labels counts"),
    ],
    ids=["shape", "floats", "class", "none"],
)
def test_labels_that_make_no_likelihood_are_refused(labels, error, what):
    with pytest.raises(error, match=what):
        negative_log_likelihood(EVEN, labels)
