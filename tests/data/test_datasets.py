"""Tests of datasets: rows, batches at once, and parts of another dataset."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm import Tensor
from tinygrad_llm.data import ArrayDataset, DataLoader, Dataset, ListDataset, Subset, load_digits

X, Y = np.arange(12.0, dtype=np.float32).reshape(4, 3), np.array([0, 1, 0, 2])


def test_rows_and_batches_of_arrays_by_place_are_tuples():
    dataset = ArrayDataset(X, Y)
    assert len(dataset) == 4
    row, label = dataset[2]
    assert row.tolist() == [6.0, 7.0, 8.0] and label == 0
    rows, labels = dataset.take(np.array([3, 0, 3]))
    assert rows.dtype == np.float32 and np.array_equal(rows, X[[3, 0, 3]])
    assert labels.tolist() == [2, 0, 2]


def test_rows_and_batches_of_arrays_by_name_are_dicts():
    dataset = ArrayDataset(x=X, labels=Y)
    assert {name: value.tolist() for name, value in dataset[1].items()} == {
        "x": [3.0, 4.0, 5.0],
        "labels": 1,
    }
    batch = dataset.take(np.array([1, 3]))
    assert list(batch) == ["x", "labels"] and batch["labels"].tolist() == [1, 2]


def test_a_batch_is_a_copy_and_the_arrays_are_not():
    dataset = ArrayDataset(X)
    dataset.take(np.array([0, 1]))[0][:] = -1
    assert X[0].tolist() == [0.0, 1.0, 2.0]
    assert np.shares_memory(dataset[0][0], X)


@pytest.mark.parametrize(
    "dataset", [ArrayDataset(X), ListDataset("abcd"), Subset("abcde", [0] * 4)]
)
def test_every_dataset_has_a_length_ends_and_can_be_walked_through(dataset):
    assert isinstance(dataset, Dataset) and len(dataset) == len(list(dataset)) == 4
    with pytest.raises(IndexError):
        dataset[4]
    with pytest.raises(TypeError):
        dataset[1.0]


def test_a_list_dataset_keeps_rows_of_any_kind_as_they_are():
    rows = [{"input_ids": [1, 2]}, {"input_ids": [3]}]
    dataset = ListDataset(row for row in rows)
    assert [dataset[0], dataset[1]] == rows
    assert not hasattr(dataset, "take")


@given(st.lists(st.integers(0, 3)), st.data())
def test_a_subset_gives_the_rows_of_its_indices(indices, data):
    part = Subset(ArrayDataset(X, Y), indices)
    assert [row[1] for row in part] == Y[indices].tolist() if indices else len(part) == 0
    chosen = data.draw(st.lists(st.integers(0, len(indices) - 1)) if indices else st.just([]))
    rows, labels = part.take(np.array(chosen, dtype=np.int64))
    expected = np.array(indices, dtype=np.int64)[np.array(chosen, dtype=np.int64)]
    assert np.array_equal(rows, X[expected]) and np.array_equal(labels, Y[expected])


@pytest.mark.parametrize("dataset", [ArrayDataset(X), ListDataset([(row,) for row in X])])
def test_rows_without_labels_are_tuples_of_one_and_so_are_their_batches(dataset):
    (row,) = dataset[1]
    assert np.array_equal(row, X[1])
    batches = list(DataLoader(dataset, 3))
    assert [len(batch) for batch in batches] == [1, 1]
    assert np.array_equal(np.concatenate([x for (x,) in batches]), X)


def test_a_subset_of_a_subset_and_of_a_list():
    part = Subset(Subset(ArrayDataset(X, Y), np.array([3, 1, 0])), np.array([2, 0]))
    assert [label for _, label in part] == [0, 2]
    assert part.take(np.array([1]))[1].tolist() == [2]
    words = Subset(ListDataset("abcd"), [2, 2, 1])
    assert list(words) == ["c", "c", "b"] and not hasattr(words, "take")


def test_a_split_of_digits_is_two_subsets():
    images, labels = load_digits()
    part = Subset(ArrayDataset(images, labels), np.flatnonzero(labels == 7))
    assert len(part) == 179 and set(part.take(np.arange(179))[1].tolist()) == {7}


@pytest.mark.parametrize(
    ("arrays", "named", "message"),
    [
        ([], {}, "give arrays, all of them by place or all by name"),
        ([X], {"y": Y}, "give arrays, all of them by place or all by name"),
        ([X, Y[:3]], {}, r"shapes \(4, 3\), \(3,\); give arrays with the same number of rows"),
        ([np.ones(())], {}, r"shapes \(\); give"),
    ],
)
def test_what_are_no_rows_is_one_clear_line(arrays, named, message):
    with pytest.raises(ValueError, match=rf"^ArrayDataset: {message}.*$"):
        ArrayDataset(*arrays, **named)


@pytest.mark.parametrize("value", [Tensor(np.ones(4)), [1.0] * 4, "abcd"])
def test_what_is_no_array_is_refused(value):
    with pytest.raises(TypeError, match=f"takes arrays, not {type(value).__name__}; give"):
        ArrayDataset(X, value)


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        ([0, 4], ValueError, "index 4 is outside the dataset's rows 0 to 3"),
        ([0, -1], ValueError, "index -1 is outside the dataset's rows 0 to 3"),
        ([[0, 1]], ValueError, r"indices have shape \(1, 2\); give a vector"),
        ([0.0, 1.0], TypeError, "indices are float64; give integers"),
        ([True, False], TypeError, r"indices are bool; give integers \(np.flatnonzero of a mask\)"),
    ],
)
def test_what_are_no_indices_is_one_clear_line(indices, error, message):
    with pytest.raises(error, match=rf"^Subset: {message}.*$"):
        Subset(ArrayDataset(X), indices)
