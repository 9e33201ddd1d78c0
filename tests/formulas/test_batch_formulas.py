"""Tests of the formulas of batches: F54-F56, F66, F68, F89; engine and Trainer have them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tinygrad_llm import Tensor, data, grad, models, optim, training
from tinygrad_llm import functional as F
from tinygrad_llm.backend import random
from tinygrad_llm.formulas import FORMS, relative_error
from tinygrad_llm.formulas.batches import (
    accumulated_gradient,
    batch_gradient,
    batch_variance,
    draw_samples,
    epoch_loss,
    equally_weighted,
    full_gradient,
)
from tinygrad_llm.formulas.numeric import flat

SEEDS = range(5)


@pytest.fixture(autouse=True)
def seeded():
    """Random streams of the test's own."""
    with random.replay(random.State(0, {})):
        yield


def network():
    """A small network in float64."""
    return models.MLP([4, 6, 3], "tanh").astype("float64")


def draw_rows(rng, rows):
    """Inputs (rows, 4) and labels (rows,) of three classes."""
    return rng.normal(size=(rows, 4)), rng.integers(0, 3, size=rows)


def gradient(net, x, labels):
    """The engine's gradient of the mean cross-entropy in all parameters, as one vector."""
    parameters = list(net.parameters())
    return flat(*(g.numpy() for g in grad(F.cross_entropy(net(Tensor(x)), labels), parameters)))


def slopes_of_rows(net, x, labels):
    """The same for each row by itself, (N, D)."""
    return np.array([gradient(net, x[i : i + 1], labels[i : i + 1]) for i in range(len(x))])


@pytest.mark.formula("F54", "F55", "F56")
@pytest.mark.parametrize("seed", SEEDS)
def test_f54_f56_three_batches_of_two_are_the_whole(hold, seed):
    for identifier in ("F54", "F55", "F56"):
        hold(identifier)
    samples = draw_samples(np.random.default_rng(seed), 6)
    slopes, parts = samples.slopes(), np.arange(6).reshape(3, 2)
    whole = FORMS["F54"].corrected(slopes)
    assert relative_error(samples.numeric_slope(), whole) < 1e-8
    by_ones = np.mean([FORMS["F55"].corrected(slopes, i) for i in range(6)], axis=0)
    by_twos = np.mean([FORMS["F56"].corrected(slopes, part) for part in parts], axis=0)
    assert relative_error(whole, by_ones) < 1e-15
    assert relative_error(whole, by_twos) < 1e-15


@pytest.mark.formula("F56")
@pytest.mark.parametrize("seed", SEEDS)
def test_f56_a_smaller_last_batch_counts_by_its_size(seed):
    slopes = draw_samples(np.random.default_rng(seed), 6).slopes()
    means = np.array([batch_gradient(slopes, part) for part in (np.arange(4), np.arange(4, 6))])
    sizes, whole = np.array([4.0, 2.0]), full_gradient(slopes)
    assert relative_error(whole, accumulated_gradient(means, sizes)) < 1e-15
    assert relative_error(whole, equally_weighted(means, sizes)) > 0.1


@pytest.mark.formula("F66")
@pytest.mark.parametrize("seed", SEEDS)
def test_f66_a_sum_is_as_many_times_too_long_as_there_are_micro_batches(hold, seed):
    hold("F66")
    slopes = draw_samples(np.random.default_rng(seed), 6).slopes()
    means, counts = slopes.reshape(3, 2, 3).mean(axis=1), np.full(3, 2.0)
    whole = full_gradient(slopes)
    assert np.allclose(FORMS["F66"].mistake(means, counts) / whole, 3.0, rtol=1e-9)
    assert relative_error(whole, FORMS["F66"].corrected(means, counts)) < 1e-15


@pytest.mark.formula("F68")
def test_f68_the_length_of_a_pair_is_two(hold):
    hold("F68")
    losses, sizes = np.full(7, 0.69), np.array([16.0] * 6 + [4.0])
    dataset = (np.zeros((100, 8)), np.zeros(100))
    assert round(float(FORMS["F68"].printed(losses, sizes, dataset)), 2) == 2.42
    assert math.isclose(FORMS["F68"].corrected(losses, sizes, dataset), 0.69)


@pytest.mark.formula("F89")
def test_f89_four_times_the_batch_half_the_noise(hold):
    hold("F89")
    slopes = draw_samples(np.random.default_rng(0), 8).slopes()
    one, four = (FORMS["F89"].corrected(slopes, B, True) for B in (1, 4))
    assert np.allclose(one / four, 4.0, rtol=1e-12)
    assert np.array_equal(FORMS["F89"].corrected(slopes, 8, False), np.zeros(3))
    assert np.all(FORMS["F89"].mistake(slopes, 8, False) > 0.0)


@pytest.mark.formula("F54", "F55")
@pytest.mark.parametrize("seed", SEEDS)
def test_s12_s13_mean_over_single_samples_is_the_full_gradient_of_the_engine(seed):
    net, (x, labels) = network(), draw_rows(np.random.default_rng(seed), 9)
    slopes = slopes_of_rows(net, x, labels)
    assert relative_error(gradient(net, x, labels), full_gradient(slopes)) < 1e-12


@pytest.mark.formula("F55", "F56")
@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("batch_size", [1, 3, 4])
def test_s13_s14_an_epoch_of_the_loader_is_the_full_gradient(seed, batch_size):
    """Ten rows in batches of 1, 3 and 4, of which the last is ragged, each counted by its size."""
    net, rows = network(), draw_rows(np.random.default_rng(seed), 10)
    loader = data.DataLoader(data.ArrayDataset(*rows), batch_size, shuffle=True)
    batches = list(loader)
    means = np.array([gradient(net, *batch) for batch in batches])
    sizes = np.array([float(len(labels)) for _, labels in batches])
    whole = gradient(net, *rows)
    assert relative_error(whole, accumulated_gradient(means, sizes)) < 1e-12
    if batch_size > 1:
        assert sizes[-1] < batch_size
        assert relative_error(whole, equally_weighted(means, sizes)) > 1e-3


def test_s14_the_loss_falls_over_mini_batches_with_a_ragged_last():
    net, (x, _) = network(), draw_rows(np.random.default_rng(0), 70)
    labels = np.argmax(x[:, :3], axis=1)
    loader = data.DataLoader(data.ArrayDataset(x, labels), batch_size=16, shuffle=True)
    moving, losses = optim.SGD(net.parameters(), lr=0.2), []
    for _ in range(20):
        losses.append(F.cross_entropy(net(Tensor(x)), labels).item())
        for rows, classes in loader:
            moving.zero_grad()
            F.cross_entropy(net(Tensor(rows)), classes).backward()
            moving.step()
    assert np.all(np.diff(losses) < 0.02)
    assert losses[-1] < 0.5 * losses[0]


def trained(rows, **settings):
    """The way that one plain step of the Trainer goes, divided by its length: the gradient."""
    net = network()
    before = flat(*(parameter.numpy() for parameter in net.parameters()))
    arguments = training.TrainingArguments(
        max_steps=1,
        learning_rate=0.5,
        optim="sgd",
        lr_scheduler_type="constant",
        max_grad_norm=None,
        disable_tqdm=True,
        **settings,
    )
    expected = gradient(net, *rows)
    training.Trainer(net, arguments, rows).train()
    after = flat(*(parameter.numpy() for parameter in net.parameters()))
    return expected, (before - after) / 0.5


@pytest.mark.formula("F66")
@pytest.mark.parametrize("seed", SEEDS)
def test_f66_the_trainer_accumulates_unequal_micro_batches_to_the_whole(seed):
    """Seven rows as 3 + 3 + 1, two of them without a target."""
    x, labels = draw_rows(np.random.default_rng(seed), 7)
    labels[:2] = -100
    whole, found = trained(
        (x, labels), per_device_train_batch_size=3, gradient_accumulation_steps=3
    )
    assert relative_error(whole, found) < 1e-12


@pytest.mark.formula("F68")
def test_f68_the_trainer_reports_the_mean_loss_of_a_row():
    """100 rows in batches of 16, as in the article; the last batch has 4."""
    net, (x, labels) = network(), draw_rows(np.random.default_rng(0), 100)
    arguments = training.TrainingArguments(per_device_eval_batch_size=16, disable_tqdm=True)
    found = training.Trainer(net, arguments, eval_dataset=(x, labels)).evaluate()["eval_loss"]
    parts = [slice(start, start + 16) for start in range(0, 100, 16)]
    losses = [F.cross_entropy(net(Tensor(x[part])), labels[part]).item() for part in parts]
    sizes = [float(len(labels[part])) for part in parts]
    expected = epoch_loss(np.array(losses), np.array(sizes), (x, labels))
    assert math.isclose(found, expected, rel_tol=1e-12)
    assert math.isclose(found, F.cross_entropy(net(Tensor(x)), labels).item(), rel_tol=1e-12)


def drawn_batches(rng, count, N, B, replacement):
    """`count` batches of B of the numbers below N, (count, B)."""
    if replacement:
        return rng.integers(0, N, size=(count, B))
    return np.argsort(rng.random((count, N)), axis=1)[:, :B]


def measured_variance(slopes, batches):
    """Mean over the parameters of the variance of a batch's gradient about the full one."""
    return np.mean((slopes[batches].mean(axis=1) - slopes.mean(axis=0)) ** 2)


@pytest.mark.formula("F89")
@pytest.mark.parametrize("B", [1, 2, 4, 8, 16, 24])
@pytest.mark.parametrize("replacement", [True, False])
def test_s159_variance_of_the_engines_gradient_falls_with_the_batch(B, replacement):
    net, (x, labels) = network(), draw_rows(np.random.default_rng(1), 32)
    slopes = slopes_of_rows(net, x, labels)
    batches = drawn_batches(np.random.default_rng(B), 4000, 32, B, replacement)
    expected = batch_variance(slopes, B, replacement).mean()
    assert math.isclose(measured_variance(slopes, batches), expected, rel_tol=0.05)
    if not replacement and B == 24:
        assert expected < 0.3 * batch_variance(slopes, B, True).mean()


@pytest.mark.formula("F89")
def test_s159_batches_of_the_loader_are_drawn_without_replacement():
    net, (x, labels) = network(), draw_rows(np.random.default_rng(1), 32)
    slopes = slopes_of_rows(net, x, labels)
    loader = data.DataLoader(data.ArrayDataset(np.arange(32)), batch_size=16, shuffle=True)
    batches = np.array([rows for _ in range(2000) for (rows,) in loader])
    found = measured_variance(slopes, batches)
    assert math.isclose(found, batch_variance(slopes, 16, False).mean(), rel_tol=0.05)
    assert found < 0.6 * batch_variance(slopes, 16, True).mean()
