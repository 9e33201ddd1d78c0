"""Tests of mini-batches."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm import Tensor, manual_seed
from tinygrad_llm.backend import random
from tinygrad_llm.data import minibatches

ROWS, SIZES, SEEDS = st.integers(0, 60), st.integers(1, 70), st.integers(0, 2**64)


@pytest.fixture(autouse=True)
def own_streams(monkeypatch):
    """The seeds of these tests are nobody else's."""
    monkeypatch.setattr(random, "_streams", {})
    monkeypatch.setattr(random, "_seed", 0)


def rows_of(batches):
    """The rows of all batches of one array, in order."""
    return [row for (batch,) in batches for row in batch.tolist()]


@given(ROWS, SIZES, st.booleans())
def test_every_row_comes_once_an_epoch(rows, size, shuffle):
    batches = list(minibatches(np.arange(rows), batch_size=size, shuffle=shuffle))
    full, rest = divmod(rows, size)
    assert [len(batch) for (batch,) in batches] == [size] * full + [rest] * (rest > 0)
    order = rows_of(batches)
    assert (sorted(order) if shuffle else order) == list(range(rows))


@given(ROWS, SIZES)
def test_drop_last_leaves_out_the_smaller_batch_alone(rows, size):
    manual_seed(0)
    every = rows_of(minibatches(np.arange(rows), batch_size=size))
    manual_seed(0)
    kept = list(minibatches(np.arange(rows), batch_size=size, drop_last=True))
    assert [len(batch) for (batch,) in kept] == [size] * (rows // size)
    assert rows_of(kept) == every[: rows - rows % size]


@given(ROWS, SIZES)
def test_arrays_stay_together(rows, size):
    x = np.arange(3 * rows, dtype=np.float32).reshape(rows, 3)
    seen = 0
    for images, labels in minibatches(x, np.arange(rows), batch_size=size):
        assert images.dtype == np.float32 and np.array_equal(images, x[labels])
        seen += len(labels)
    assert seen == rows


def epochs(seed, count, **options):
    manual_seed(seed)
    return [rows_of(minibatches(np.arange(40), batch_size=7, **options)) for _ in range(count)]


@given(SEEDS, SEEDS)
def test_the_seed_fixes_the_order_and_each_epoch_has_its_own(one, other):
    first, second = epochs(one, 2)
    assert epochs(one, 2) == [first, second]
    assert first != second
    assert (epochs(other, 1) == [first]) == (one == other)


def test_the_order_of_a_seed_stays_what_it_was():
    """The figures that the course states depend on it."""
    assert epochs(0, 1)[0][:7] == [2, 19, 38, 8, 24, 13, 28]


def test_streams_have_orders_of_their_own():
    assert epochs(0, 1, stream="train") != epochs(0, 1, stream="test")
    assert epochs(0, 1) == epochs(0, 1, stream="batches")


def test_the_order_is_drawn_at_the_call_and_only_to_shuffle():
    assert epochs(0, 3, shuffle=False) == [list(range(40))] * 3
    assert random.stream("batches").position == 0
    batches = minibatches(np.arange(5))
    assert random.stream("batches").position == 1
    with pytest.raises(ValueError, match="batch_size"):
        minibatches(np.arange(5), batch_size=0)
    assert random.stream("batches").position == 1
    manual_seed(1)
    late = rows_of(batches)
    manual_seed(0)
    assert late == rows_of(minibatches(np.arange(5)))


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_batch_is_a_copy(shuffle):
    given_array = np.arange(4)
    for (batch,) in minibatches(given_array, batch_size=2, shuffle=shuffle):
        batch[:] = -1
    assert given_array.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("arrays", "size", "message"),
    [
        ([], 1, "ArrayDataset: give arrays"),
        ([np.ones(3), np.ones((4, 3))], 1, r"ArrayDataset: shapes \(3,\), \(4, 3\); give"),
        ([np.ones(())], 1, r"ArrayDataset: shapes \(\); give arrays with the same number of rows"),
        ([np.ones(3)], 0, "minibatches: batch_size is at least 1, not 0"),
        ([np.ones(3)], -2, "minibatches: batch_size is at least 1, not -2"),
    ],
)
def test_what_cannot_be_batched_is_one_clear_line_at_the_call(arrays, size, message):
    with pytest.raises(ValueError, match=rf"^{message}.*$"):
        minibatches(*arrays, batch_size=size)


@pytest.mark.parametrize("value", [Tensor(np.ones(3)), [1.0, 2.0], 3])
def test_what_is_no_array_is_refused(value):
    with pytest.raises(TypeError, match=f"takes arrays, not {type(value).__name__}"):
        minibatches(np.ones(3), value)


def test_half_a_row_is_refused():
    with pytest.raises(TypeError, match="integer"):
        minibatches(np.ones(3), batch_size=1.5)
