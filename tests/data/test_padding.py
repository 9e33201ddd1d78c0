"""Tests of how rows become a batch: stacked or padded."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.data import DataLoader, ListDataset, Padding
from tinygrad_llm.data.padding import stack

LISTS = st.lists(st.lists(st.integers(1, 99), max_size=9), min_size=1, max_size=80)
A, B = {"input_ids": [5, 6, 7], "labels": [6, 7, 8]}, {"input_ids": [9], "labels": [10]}


def lists(batch):
    return {name: array.tolist() for name, array in batch.items()}


def test_rows_are_padded_to_the_longest_and_get_a_mask():
    assert lists(Padding()([A, B])) == {
        "input_ids": [[5, 6, 7], [9, 0, 0]],
        "labels": [[6, 7, 8], [10, -100, -100]],
        "attention_mask": [[1, 1, 1], [1, 0, 0]],
    }


def test_padding_on_the_left_to_a_multiple_with_other_values():
    padding = Padding({"input_ids": 3, "labels": -1}, multiple_of=4, side="left")
    assert lists(padding([A, B])) == {
        "input_ids": [[3, 5, 6, 7], [3, 3, 3, 9]],
        "labels": [[-1, 6, 7, 8], [-1, -1, -1, 10]],
        "attention_mask": [[0, 1, 1, 1], [0, 0, 0, 1]],
    }


@given(LISTS, st.integers(1, 8), st.sampled_from(["left", "right"]))
def test_what_the_mask_keeps_is_what_was_given(ids, multiple, side):
    batch = Padding(multiple_of=multiple, side=side)([{"input_ids": row} for row in ids])
    kept, mask = batch["input_ids"], batch["attention_mask"]
    longest = max(map(len, ids))
    assert kept.shape == mask.shape == (len(ids), -(-longest // multiple) * multiple)
    assert kept.dtype == mask.dtype == np.int64
    assert [row[here == 1].tolist() for row, here in zip(kept, mask)] == ids
    assert not kept[mask == 0].any()
    steps = np.diff(mask, axis=1)
    assert not (steps < 0).any() if side == "left" else not (steps > 0).any()


def test_a_mask_of_the_rows_is_kept_and_padded_with_nothing():
    rows = [{**A, "attention_mask": [1, 0, 1]}, {**B, "attention_mask": [1]}]
    assert Padding()(rows)["attention_mask"].tolist() == [[1, 0, 1], [1, 0, 0]]


def test_what_a_tokenizer_gives_needs_no_values():
    rows = [{**A, "token_type_ids": [0, 1, 1]}, {**B, "token_type_ids": [1]}]
    assert Padding()(rows)["token_type_ids"].tolist() == [[0, 1, 1], [1, 0, 0]]


def test_fields_have_lengths_of_their_own_as_in_translation():
    rows = [{"input_ids": [1, 2, 3, 4], "labels": [5]}, {"input_ids": [1], "labels": [5, 6]}]
    batch = Padding()(rows)
    assert batch["input_ids"].shape == (2, 4) and batch["labels"].shape == (2, 2)


def test_numbers_and_other_fields_are_stacked():
    rows = [{**A, "labels": 1, "weight": 0.5, "box": [1, 2]}, {**B, "labels": 0, "weight": 1.0}]
    rows[1]["box"] = [3, 4]
    batch = Padding()(rows)
    assert batch["labels"].tolist() == [1, 0] and batch["weight"].tolist() == [0.5, 1.0]
    assert batch["box"].tolist() == [[1, 2], [3, 4]]


def test_sequences_of_vectors_keep_their_dtype():
    rows = [{"x": np.ones((3, 2), np.float32)}, {"x": np.ones((1, 2), np.float32)}, {"x": []}]
    batch = Padding({"x": 0.25})(rows)["x"]
    assert batch.shape == (3, 3, 2) and batch.dtype == np.float32
    assert batch[1:, 1:].tolist() == [[[0.25, 0.25]] * 2] * 2
    nan = Padding({"x": float("nan")})(rows)["x"]
    assert np.isnan(nan).sum() == 10


def test_empty_rows_do_not_make_ids_floats():
    for rows in ([[], [1]], [[], []]):
        batch = Padding()([{"input_ids": row} for row in rows])
        assert batch["input_ids"].dtype == np.int64


def test_a_loader_pads_each_batch_by_itself():
    rows = ListDataset({"input_ids": [1] * n} for n in (1, 2, 7, 3))
    shapes = [b["input_ids"].shape for b in DataLoader(rows, 2, collate_fn=Padding())]
    assert shapes == [(2, 2), (2, 7)]


def test_rows_that_agree_are_stacked_in_their_form():
    images, labels = stack([(np.ones(2, np.float32), 3), (np.zeros(2, np.float32), 4)])
    assert images.tolist() == [[1.0, 1.0], [0.0, 0.0]] and images.dtype == np.float32
    assert labels.tolist() == [3, 4] and labels.dtype == np.int64
    assert lists(stack([{"a": 1, "b": [2]}, {"b": [4], "a": 3}])) == {"a": [1, 3], "b": [[2], [4]]}
    assert stack([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert stack(["to", "be"]).tolist() == ["to", "be"]


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [A, B],
            r"field 'input_ids' has shape \(3,\) in its first row and \(1,\) in row 1; give rows "
            r"of one shape, or collate_fn=Padding\(values=...\) with a value for it",
        ),
        ([(1, [2]), (1, 2)], r"field 1 has shape \(1,\) in its first row and \(\) in row 1"),
        ([[1], [1, 2]], r"field value has shape \(1,\) in its first row and \(2,\) in row 1"),
        (
            [A, {"input_ids": [1]}],
            r"its first row is a dict of \['input_ids', 'labels'\] and row 1 is a dict of "
            r"\['input_ids'\]; give",
        ),
        ([(1, 2), (1,)], "its first row is a tuple of 2 and row 1 is a tuple of 1; give"),
        ([(1, 2), A], "its first row is a tuple of 2 and row 1 is a dict of"),
        ([(1, 2), 3], "its first row is a tuple of 2 and row 1 is one value"),
    ],
)
def test_rows_that_do_not_agree_are_one_clear_line(rows, message):
    with pytest.raises(ValueError, match=rf"^a batch: {message}.*$"):
        next(iter(DataLoader(ListDataset(rows))))


@pytest.mark.parametrize(
    ("values", "rows", "message"),
    [
        (
            {"input_ids": 0},
            [A, B],
            "a batch: field 'labels' has shape .* give rows of one shape, or collate_fn=Padding",
        ),
        (None, [A, {"input_ids": [1]}], r"a batch: its first row is a dict .* row 1 is a dict"),
        ({"x": 0}, [{"x": [1]}, {"x": 2}], r"Padding: field 'x' has shapes \(1,\) and \(\); rows"),
        ({"x": 0}, [{"x": 2}, {"x": [1]}], r"Padding: field 'x' has shapes \(\) and \(1,\); rows"),
        ({"x": 0}, [{"x": [[1]]}, {"x": [[1, 2]]}], r"field 'x' has shapes \(1, 1\) and \(1, 2\)"),
        ({"x": 0.5}, [{"x": [1]}, {"x": [1, 2]}], "0.5 does not fit field 'x' of dtype int64"),
        ({"x": np.nan}, [{"x": [1]}], "nan does not fit field 'x' of dtype int64"),
        ({"x": -100}, [{"x": np.ones(2, np.uint8)}], "-100 does not fit field 'x' of dtype uint8"),
    ],
)
def test_what_cannot_be_padded_is_one_clear_line(values, rows, message):
    with pytest.raises(ValueError, match=rf"^.*{message}.*$"):
        Padding(values)(rows)


def test_settings_and_rows_of_another_kind_are_refused():
    with pytest.raises(ValueError, match=r"^Padding: multiple_of is at least 1, not 0$"):
        Padding(multiple_of=0)
    with pytest.raises(ValueError, match=r'^Padding: side is "right" or "left", not .middle.$'):
        Padding(side="middle")
    with pytest.raises(
        TypeError, match=r"^Padding: rows are dicts with names of fields, not tuple"
    ):
        Padding()([([1], 2)])
