"""Tests of labels as numbers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_llm.functional as F
from tinygrad_llm.data import LabelEncoder, one_hot

LABELS = st.lists(st.text(), min_size=2, max_size=20).filter(lambda labels: len(set(labels)) > 1)


@given(LABELS, st.randoms())
def test_labels_come_back_and_ids_do_not_hang_on_the_order_of_rows(labels, random):
    encoder = LabelEncoder.fit(labels)
    ids = encoder.encode(labels)
    assert ids.dtype == np.int64 and set(ids.tolist()) == set(range(len(encoder)))
    assert encoder.decode(ids) == labels
    mixed = random.sample(labels, len(labels))
    assert LabelEncoder.fit(mixed).names == encoder.names == sorted(set(labels))


def test_names_keep_the_order_given_and_go_through_json():
    encoder = LabelEncoder(np.array(["neg", "pos", "meh"]))
    again = LabelEncoder(json.loads(json.dumps(encoder.names)))
    assert again.names == ["neg", "pos", "meh"]
    assert again.encode(["meh", "neg"]).tolist() == [2, 0]
    assert encoder.encode([]).tolist() == encoder.decode([]) == []
    assert repr(encoder) == "LabelEncoder(['neg', 'pos', 'meh'])"


def test_an_unseen_label_is_named_with_its_row_and_the_known_ones():
    with pytest.raises(
        ValueError,
        match=r"^LabelEncoder: label 'Pos' in row 2 is unknown; .*\(known are 'neg', 'pos'\)$",
    ):
        LabelEncoder(["neg", "pos"]).encode(["pos", "neg", "Pos", "x"])
    with pytest.raises(ValueError, match=r"known are '00', .*, '09', …\)$"):
        LabelEncoder([f"{i:02}" for i in range(50)]).encode(["x"])


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "a"]])
def test_one_class_is_nothing_to_learn(labels):
    with pytest.raises(
        ValueError, match=r"^LabelEncoder: the classes are \[.*\], so .*; give rows"
    ):
        LabelEncoder.fit(labels)


def test_names_are_there_once():
    with pytest.raises(ValueError, match="the name 'a' is there twice; give each once"):
        LabelEncoder(["a", "b", "a"])


@pytest.mark.parametrize("call", [LabelEncoder, LabelEncoder.fit, LabelEncoder(["a", "b"]).encode])
def test_labels_are_texts(call):
    with pytest.raises(TypeError, match=r"\w+ 3 in row 1 is of type int; give a text"):
        call(["a", 3])
    with pytest.raises(TypeError, match=r"takes a list of \w+, not one text; give \['ab'\]"):
        call("ab")


@given(st.integers(1, 9), st.integers(0, 20), st.integers(0, 99))
def test_one_hot_rows_have_one_one(classes, rows, seed):
    ids = np.random.default_rng(seed).integers(0, classes, rows)
    hot = one_hot(ids, classes)
    assert (hot.shape, hot.dtype) == ((rows, classes), np.float32)
    assert np.array_equal(hot.sum(axis=1), np.ones(rows)) and set(hot.ravel()) <= {0.0, 1.0}
    assert np.array_equal(hot.argmax(axis=1), ids)


@given(st.integers(2, 9), st.integers(1, 20), st.integers(0, 99))
def test_ids_and_one_hot_rows_have_the_same_cross_entropy(classes, rows, seed):
    generator = np.random.default_rng(seed)
    logits = generator.normal(0.0, 5.0, (rows, classes))
    ids = generator.integers(0, classes, rows)
    hot = one_hot(ids, classes).astype(np.float64)
    for reduction in ("mean", "sum", "none"):
        by_ids = F.cross_entropy(logits, ids, reduction=reduction).numpy()
        by_rows = F.cross_entropy(logits, hot, reduction=reduction).numpy()
        assert by_ids.dtype == np.float64
        assert np.abs(by_ids - by_rows).max() <= 1e-12 * max(1.0, np.abs(by_ids).max())


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([0, 2], ValueError, "id 2 in row 1 is no class; give ids from 0 to 1"),
        ([0, 1, -1], ValueError, "id -1 in row 2 is no class"),
        ([[0]], ValueError, r"ids have shape \(1, 1\); give one for each row"),
        (1, ValueError, r"ids have shape \(\); give one"),
        ([0.0], TypeError, "ids are float64; give integers"),
        ([True], TypeError, "ids are bool; give integers"),
    ],
)
def test_ids_are_classes(ids, error, message):
    with pytest.raises(error, match=f"^one_hot: {message}"):
        one_hot(ids, 2)
    with pytest.raises(error, match=f"^LabelEncoder: {message}"):
        LabelEncoder(["a", "b"]).decode(ids)


def test_there_is_at_least_one_column():
    with pytest.raises(ValueError, match=r"^one_hot: classes is at least 1, not 0$"):
        one_hot([], 0)
    with pytest.raises(TypeError, match="integer"):
        one_hot([0], 2.0)
