"""Tests of scalers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from tinygrad_llm import Tensor
from tinygrad_llm.data import MinMaxScaler, StandardScaler

SCALERS = pytest.mark.parametrize("scaler", [MinMaxScaler, StandardScaler])
VALUES = st.sampled_from([-3.0, 0.1, 1.5]) | st.floats(-1e6, 1e6, width=32)
ROWS = arrays(
    st.sampled_from([np.float32, np.float64]),
    array_shapes(min_dims=1, max_dims=2, max_side=6),
    elements=VALUES,
)


def constant(rows):
    """Which columns have one value only."""
    return rows.min(axis=0) == rows.max(axis=0)


@given(ROWS)
def test_min_max_brings_the_training_rows_to_0_to_1(rows):
    scaled = MinMaxScaler().fit(rows).transform(rows)
    assert (scaled.shape, scaled.dtype) == (rows.shape, rows.dtype)
    assert np.array_equal(scaled.min(axis=0), np.zeros(rows.shape[1:]))
    assert np.array_equal(scaled.max(axis=0), np.where(constant(rows), 0.0, 1.0))


@given(ROWS)
def test_standard_brings_the_training_rows_to_mean_0_and_variance_1(rows):
    scaled = StandardScaler().fit(rows.astype(np.float64)).transform(rows.astype(np.float64))
    # Digits of x that x − mean cannot have are lost: those of a small spread on a large value.
    spread = np.where(constant(rows), 1.0, np.ptp(rows.astype(np.float64), axis=0))
    lost = 1e-14 * np.abs(rows).max(axis=0) / spread
    assert np.all(np.abs(scaled.mean(axis=0)) <= 1e-12 + 10 * lost)
    off = np.abs(scaled.std(axis=0) - np.where(constant(rows), 0.0, 1.0))
    assert np.all(off <= 1e-12 + 10 * lost)
    assert np.all(scaled[..., constant(rows)] == 0.0)


def test_the_formulas():
    rows = np.array([[1.0, 10.0], [3.0, 10.0], [5.0, 10.0]])
    assert MinMaxScaler().fit(rows).transform(rows).tolist() == [[0, 0], [0.5, 0], [1, 0]]
    deviation = np.sqrt(8 / 3)
    expected = np.array([[-2, 0], [0, 0], [2, 0]]) / deviation
    np.testing.assert_allclose(StandardScaler().fit(rows).transform(rows), expected, atol=1e-15)


@SCALERS
@given(ROWS, st.data())
def test_the_inverse_gives_the_rows_back(scaler, rows, data):
    fitted = scaler().fit(rows.astype(np.float64))
    again = fitted.inverse_transform(fitted.transform(rows.astype(np.float64)))
    np.testing.assert_allclose(again, rows, rtol=1e-12, atol=1e-12 * np.abs(rows).max())


@SCALERS
def test_test_rows_change_nothing_and_use_the_training_statistics(scaler):
    train, test = np.array([[0.0, 1.0], [4.0, 3.0]]), np.array([[8.0, -1.0], [2.0, 9.0]])
    fitted = scaler().fit(train)
    before, copy = fitted.state, test.copy()
    scaled = fitted.transform(test)
    fitted.inverse_transform(test)
    assert all(np.array_equal(fitted.state[name], before[name]) for name in before)
    assert np.array_equal(test, copy)
    alone = np.concatenate([fitted.transform(row[None]) for row in test])
    assert np.array_equal(scaled, alone)
    if scaler is MinMaxScaler:
        assert scaled.tolist() == [[2.0, -1.0], [0.5, 4.0]]


@SCALERS
def test_a_constant_column_is_0_in_every_row_and_comes_back_as_its_constant(scaler):
    train = np.full((7, 2), [0.1, 1e300])
    fitted = scaler().fit(train)
    assert np.array_equal(fitted.transform(train), np.zeros((7, 2)))
    assert fitted.transform(np.array([[5.0, 5.0]])).tolist() == [[0.0, 0.0]]
    assert fitted.inverse_transform(np.array([[0.0, 3.0]])).tolist() == [[0.1, 1e300]]


@SCALERS
@pytest.mark.parametrize("size", [1e-200, 1e-20, 1e200])
def test_no_square_is_too_small_or_too_large(scaler, size):
    rows = np.array([-1.0, 0.0, 1.0]) * size
    scaled = scaler().fit(rows).transform(rows)
    expected = scaler().fit(rows / size).transform(rows / size)
    np.testing.assert_allclose(scaled, expected, rtol=1e-14, atol=1e-14)


@SCALERS
def test_the_state_makes_an_equal_scaler(scaler):
    rows = np.random.default_rng(0).normal(3.0, 2.0, (9, 4)).astype(np.float32)
    fitted = scaler().fit(rows)
    again = scaler({name: array.tolist() for name, array in fitted.state.items()})
    assert np.array_equal(again.transform(rows), fitted.transform(rows))
    fitted.state[next(iter(fitted.state))][:] = 99.0
    assert np.array_equal(again.transform(rows), fitted.transform(rows))


@SCALERS
def test_integers_become_float32_and_other_floats_stay(scaler):
    for dtype, answer in [(np.uint8, np.float32), (np.int64, np.float32), (np.float16, np.float16)]:
        rows = np.array([[0, 3], [200, 5]], dtype)
        fitted = scaler().fit(rows)
        assert fitted.transform(rows).dtype == answer
        back = fitted.inverse_transform(fitted.transform(rows))
        assert back.dtype == answer and back.tolist() == rows.tolist()


@SCALERS
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_named_by_its_place(scaler, bad):
    rows = np.ones((4, 3))
    fitted = scaler().fit(rows)
    rows[2, 1] = bad
    for call in (scaler().fit, fitted.transform, fitted.inverse_transform):
        with pytest.raises(ValueError, match=rf"Scaler: column 1, row 2 is {bad}; fill in"):
            call(rows)
    rows[3, 0] = bad
    with pytest.raises(ValueError, match=rf"column 1, row 2 is {bad} \(and 1 more\); fill in"):
        fitted.transform(rows)
    with pytest.raises(ValueError, match=rf"Scaler: row 1 is {bad}; fill in"):
        scaler().fit(np.array([0.0, bad]))


@SCALERS
def test_misuse_is_one_clear_line(scaler):
    name = scaler.__name__
    with pytest.raises(RuntimeError, match=rf"^{name} has learned nothing yet; call fit"):
        scaler().transform(np.ones((2, 2)))
    with pytest.raises(RuntimeError, match="has learned nothing yet"):
        _ = scaler().state
    with pytest.raises(ValueError, match=rf"^{name}: there are no rows; fit with at least one"):
        scaler().fit(np.ones((0, 2)))
    with pytest.raises(ValueError, match=r"shape \(1, 2, 3\); give rows"):
        scaler().fit(np.ones((1, 2, 3)))
    with pytest.raises(ValueError, match=r"rows of shape \(3,\), but .* \(2,\); give the same"):
        scaler().fit(np.ones((4, 2))).transform(np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"from -1e\+308 to 1e\+308 are too far apart"):
        scaler().fit(np.array([-1e308, 1e308]))
    for value in ([1.0, 2.0], Tensor(np.ones(3))):
        with pytest.raises(TypeError, match=f"takes arrays, not {type(value).__name__}"):
            scaler().fit(value)
    with pytest.raises(TypeError, match="takes numbers, not bool"):
        scaler().fit(np.array([True]))


@SCALERS
def test_a_state_must_fit(scaler):
    other = StandardScaler if scaler is MinMaxScaler else MinMaxScaler
    with pytest.raises(ValueError, match=f"the state has .*; give that of a {scaler.__name__}"):
        scaler(other().fit(np.ones((2, 2))).state)
    first, second = scaler().fit(np.ones((2, 2))).state
    with pytest.raises(ValueError, match=r"the state has shapes \(2,\) and \(3,\)"):
        scaler({first: np.ones(2), second: np.ones(3)})
    for bad in (np.nan, np.inf, -1.0):
        with pytest.raises(ValueError, match="the state holds NaN, infinity or a scale below 0"):
            scaler({first: np.ones(1), second: np.array([bad])})
