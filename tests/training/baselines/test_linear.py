"""Tests of linear models: sparse rows, L-BFGS, the two losses, and the choice of the penalty."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.data import one_hot
from tinygrad_llm.training.baselines import lbfgs, linear
from tinygrad_llm.training.baselines.sparse import SparseRows

SEEDS = st.integers(0, 10_000)


def sparse(dense: np.ndarray) -> SparseRows:
    """The same rows, with their entries in a drawn order."""
    order = np.random.default_rng(0).permutation(np.count_nonzero(dense))
    rows, columns = (place[order] for place in np.nonzero(dense))
    return SparseRows(rows, columns, dense[rows, columns], dense.shape)


def slopes(function, x: np.ndarray, step: float = 1e-5) -> np.ndarray:
    """Central differences."""
    found = np.zeros(x.size)
    for i, unit in enumerate(np.eye(x.size) * step):
        change = unit.reshape(x.shape)
        found[i] = (function(x + change) - function(x - change)) / (2 * step)
    return found.reshape(x.shape)


# Sparse rows


@given(SEEDS, st.integers(0, 6), st.integers(0, 5), st.integers(1, 3))
def test_sparse_rows_are_a_matrix(seed, rows, columns, outputs):
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(rows, columns)) * rng.integers(2, size=(rows, columns))
    ours, right = sparse(dense), rng.normal(size=(columns, outputs))
    np.testing.assert_allclose(ours @ right, dense @ right, atol=1e-12)
    left = rng.normal(size=(rows, outputs))
    np.testing.assert_allclose(ours.T @ left, dense.T @ left, atol=1e-12)
    chosen = rng.permutation(rows)[: rows // 2]
    np.testing.assert_allclose(ours[chosen] @ right, dense[chosen] @ right, atol=1e-12)
    assert ours[chosen].shape == (len(chosen), columns) and ours.T.shape == (columns, rows)
    assert np.array_equal(ours.filled(), dense.any(axis=1))


# L-BFGS


@given(SEEDS)
def test_least_finds_the_middle_of_a_long_valley(seed):
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.normal(size=(6, 6)))
    hessian, middle = axes @ np.diag(10.0 ** np.linspace(-1, 3, 6)) @ axes.T, rng.normal(size=6)

    def valley(x):
        slope = hessian @ (x.reshape(-1) - middle)
        return 0.5 * slope @ (x.reshape(-1) - middle), slope.reshape(x.shape)

    found = lbfgs.least(valley, np.zeros((2, 3)), 100)
    # The slope is at most TOLERANCE, and 0.1 the least curvature.
    np.testing.assert_allclose(found.reshape(-1), middle, atol=3e-4)
    assert np.abs(valley(found)[1]).max() <= lbfgs.TOLERANCE


@given(SEEDS, st.integers(1, 4))
def test_the_estimate_takes_the_last_change_of_slope_to_its_step(seed, count):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(5, 5))
    hessian = root @ root.T + np.eye(5)
    past = [(s, hessian @ s) for s in rng.normal(size=(count, 5))]
    found = lbfgs._times_inverse_hessian(past[-1][1], past)
    np.testing.assert_allclose(found, past[-1][0], atol=1e-9)
    a, b = rng.normal(size=(2, 5))  # the estimate is symmetric, and positive
    left = a @ lbfgs._times_inverse_hessian(b, past)
    assert left == pytest.approx(b @ lbfgs._times_inverse_hessian(a, past))
    assert a @ lbfgs._times_inverse_hessian(a, past) > 0.0


def test_where_no_step_went_the_curvature_is_that_of_the_last_one():
    x, y, _ = np.eye(3)
    past = [(x, 4.0 * x), (y, 5.0 * y)]
    found = lbfgs._times_inverse_hessian(np.array([4.0, 5.0, 3.0]), past)
    np.testing.assert_allclose(found, [1.0, 1.0, 3.0 / 5.0])


def test_least_stays_where_it_is_flat_and_stops_after_so_many_steps():
    asked = []

    def bowl(x):
        asked.append(x)
        return 0.5 * float(x @ x) + float(np.cosh(x).sum()), x + np.sinh(x)

    assert lbfgs.least(bowl, np.zeros(2), 9).tolist() == [0.0, 0.0] and len(asked) == 1
    value = bowl(np.full(2, 3.0))[0]
    assert lbfgs.least(bowl, np.full(2, 3.0), 0).tolist() == [3.0, 3.0]
    first = lbfgs.least(bowl, np.full(2, 3.0), 1)
    assert 0.0 < np.abs(first).max() < 3.0 and bowl(first)[0] < value
    assert np.abs(bowl(first)[1]).max() > lbfgs.TOLERANCE


def test_least_ends_where_nothing_lower_is_seen():
    # The slope says that it falls, and it does not: as where rounding hides it.
    assert lbfgs.least(lambda x: (1.0, np.ones(1)), np.zeros(1), 5).tolist() == [0.0]


def test_least_refuses_a_function_that_is_not_finite():
    with pytest.raises(ValueError, match="nan at the start; look for NaN"):
        lbfgs.least(lambda x: (np.nan, x), np.zeros(1), 5)


# The losses, and what is least


@given(SEEDS, st.integers(1, 5), st.integers(1, 4))
def test_the_gradients_of_the_losses(seed, rows, outputs):
    rng = np.random.default_rng(seed)
    scores, numbers = rng.normal(size=(2, rows, outputs))
    targets = {linear.cross_entropy: rng.dirichlet(np.ones(outputs), rows)}
    for loss, target in (targets | {linear.half_squares: numbers}).items():
        value, slope = loss(scores, target)
        expected = slopes(lambda s, loss=loss, target=target: loss(s, target)[0], scores)
        np.testing.assert_allclose(slope, expected, atol=1e-8)
        assert value >= 0.0 and slope.shape == scores.shape


def test_the_losses_by_hand_and_with_large_scores():
    target = one_hot([0, 1], 2)
    assert linear.cross_entropy(np.zeros((2, 2)), target)[0] == pytest.approx(np.log(2))
    assert linear.cross_entropy(1e4 * target, target)[0] == 0.0
    assert linear.cross_entropy(-1e4 * target, target)[0] == 1e4
    assert linear.half_squares(np.array([[3.0], [1.0]]), np.array([[1.0], [1.0]]))[0] == 1.0


@pytest.fixture
def clouds():
    """Three clouds of points that overlap (90, 4), and which each is of."""
    rng = np.random.default_rng(3)
    y = np.repeat(np.arange(3), 30)
    return rng.normal(size=(90, 4)) + 1.5 * np.eye(3, 4)[y], y


@pytest.mark.parametrize("make", [np.asarray, sparse], ids=["dense", "sparse"])
@pytest.mark.parametrize("loss", [linear.cross_entropy, linear.half_squares])
def test_every_penalty_has_the_least_of_its_own_objective(clouds, make, loss):
    x, y = clouds
    target = one_hot(y, 3)
    for penalty in (0.03, 0.3):

        def objective(both, penalty=penalty):
            value, _ = loss(x @ both[:4] + both[4], target)
            return value + 0.5 * penalty * (both[:4] ** 2).sum()

        weight, bias = linear.minimize(make(x), target, loss, penalty)
        found = np.concatenate([weight, bias[None]])
        # The objective is convex: where it is flat it is least.
        assert np.abs(slopes(objective, found, 1e-4)).max() < 1.1 * lbfgs.TOLERANCE
        assert objective(found) < objective(np.zeros((5, 3))) - 0.01
        again = linear.minimize(make(x), target, loss, penalty, (weight, bias), steps=0)
        assert np.array_equal(again[0], weight) and np.array_equal(again[1], bias)


def test_rows_in_float32_are_multiplied_so_and_learn_the_same(clouds):
    x, y = clouds
    target = one_hot(y, 3)
    narrow = x.astype(np.float32)
    wide = linear.minimize(x, target, linear.cross_entropy, 0.1)
    found = linear.minimize(narrow, target, linear.cross_entropy, 0.1)
    assert found[0].dtype == np.float64
    np.testing.assert_allclose(found[0], wide[0], atol=1e-3)


# The choice of the penalty


@pytest.mark.parametrize("rows", [90, 300])
def test_fit_takes_the_largest_of_the_best_penalties_on_rows_held_out(monkeypatch, rows):
    x = np.eye(3, dtype=np.float32)[np.arange(rows) % 3]
    asked, good = [], dict(zip(linear.PENALTIES, (False, True, True, False)))

    def stub(x, target, loss, penalty, start=None):
        asked.append((len(x), penalty, start is not None))
        return (1.0 if good[penalty] else -1.0) * np.eye(3), np.zeros(3)

    monkeypatch.setattr(linear, "minimize", stub)
    found = linear.fit_classes(x, np.arange(rows) % 3, 3)
    assert found.penalty == linear.PENALTIES[2] and np.array_equal(found.weight, np.eye(3))
    tried = [(rows * 4 // 5, penalty, i > 0) for i, penalty in enumerate(linear.PENALTIES[::-1])]
    assert asked == [*tried * (5 if rows == 90 else 1), (rows, linear.PENALTIES[2], False)]


def test_every_row_is_held_out_once_where_there_are_few():
    for rows in (2, 3, 7, 200):
        folds = list(linear._folds(rows, 1))
        held = np.concatenate([each for _, each in folds])
        assert np.array_equal(np.sort(held), np.arange(rows))
        for learned, others in folds:
            assert len(learned) and len(learned) + len(others) == rows
            assert not np.isin(learned, others).any()
    ((learned, held),) = linear._folds(1000, 1)
    assert (len(learned), len(held)) == (800, 200)
    assert not np.array_equal(held, next(linear._folds(1000, 2))[1]), "the seed draws them"
    assert not list(linear._folds(1, 1))


def test_numbers_take_the_penalty_with_the_least_squared_error(monkeypatch):
    y = np.arange(20.0)
    x = ((y - y.mean()) / y.std())[:, None]
    weights = dict(zip(linear.PENALTIES, (2.0, -1.0, 1.2, 3.0)))  # 1 would be right

    def stub(x, target, loss, penalty, start=None):
        return np.array([[weights[penalty]]]), np.zeros(1)

    monkeypatch.setattr(linear, "minimize", stub)
    assert linear.fit_numbers(x, y).penalty == linear.PENALTIES[2]


def test_fit_learns_and_the_same_seed_gives_the_same(clouds):
    x, y = clouds
    a, b = linear.fit_classes(x, y, 3, seed=5), linear.fit_classes(x, y, 3, seed=5)
    assert (a.predict(x) == y).mean() > 0.7
    assert np.array_equal(a.weight, b.weight) and a.penalty == b.penalty


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e6])
def test_ridge_is_the_solution_of_its_equations(scale):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    y = scale * (x @ [1.0, -2.0, 0.5] + 7.0 + 0.3 * rng.normal(size=60))
    penalties = np.array([0.1])
    found = linear.fit_numbers(x, y, penalties)
    centred = x - x.mean(axis=0)
    expected = np.linalg.solve(
        centred.T @ centred / 60 + 0.1 * np.eye(3), centred.T @ (y - y.mean()) / 60
    )
    np.testing.assert_allclose(found.weight[:, 0], expected, rtol=1e-3)
    np.testing.assert_allclose(
        found.scores(x)[:, 0], centred @ expected + y.mean(), rtol=1e-3, atol=1e-3 * scale
    )


def test_numbers_that_are_all_alike_are_told():
    found = linear.fit_numbers(np.eye(4), np.full(4, 0.1))
    np.testing.assert_allclose(found.scores(np.eye(4)), 0.1, atol=1e-15)
