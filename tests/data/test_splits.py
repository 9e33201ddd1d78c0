"""Tests of stratified splits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.data import load_digits, stratified_split

SEEDS = st.integers(0, 2**64)


@st.composite
def problems(draw):
    """Labels in any order with at least two a class, and a fraction that leaves both parts rows."""
    sizes = draw(st.lists(st.integers(2, 40), min_size=1, max_size=8))
    fraction = draw(st.floats(0.01, 0.99))
    labels = np.random.default_rng(draw(SEEDS)).permutation(np.repeat(range(len(sizes)), sizes))
    total = round(len(labels) * fraction)
    if total in (0, len(labels)):
        fraction = 0.5
    return labels, fraction


@given(problems(), SEEDS)
def test_every_row_is_in_one_part(problem, seed):
    labels, fraction = problem
    train, test = stratified_split(labels, fraction, seed)
    assert train.dtype == test.dtype == np.int64
    assert sorted([*train, *test]) == list(range(len(labels)))


@given(problems(), SEEDS)
def test_parts_have_the_size_asked_for_and_classes_their_share(problem, seed):
    labels, fraction = problem
    _, test = stratified_split(labels, fraction, seed)
    assert len(test) == round(len(labels) * fraction)
    shares = np.bincount(labels) * fraction
    counts = np.bincount(labels[test], minlength=len(shares))
    assert np.all(np.abs(counts - shares) < 1.0 + 1e-9)
    rounded_up, rounded_down = counts > shares, counts < shares
    remainders = shares - np.floor(shares)
    if rounded_up.any() and rounded_down.any():
        assert remainders[rounded_up].min() >= remainders[rounded_down].max() - 1e-9


@given(problems(), SEEDS)
def test_a_seed_fixes_the_split(problem, seed):
    for part, again in zip(stratified_split(*problem, seed), stratified_split(*problem, seed)):
        assert np.array_equal(part, again)


@given(SEEDS, SEEDS)
def test_other_seeds_give_other_splits(one, other):
    labels = np.repeat([0, 1], 100)
    same = [
        np.array_equal(part, also)
        for part, also in zip(
            stratified_split(labels, 0.5, one), stratified_split(labels, 0.5, other)
        )
    ]
    assert same == [one == other] * 2


@given(SEEDS)
def test_both_parts_are_shuffled(seed):
    """Sorted labels come out mixed: runs of one class would teach a network one class at a time."""
    labels = np.repeat([0, 1], 200)
    for part in stratified_split(labels, 0.5, seed):
        changes = np.count_nonzero(np.diff(labels[part]))
        assert 50 < changes < 150  # 100 ± 7 by chance
        assert np.count_nonzero(np.diff(part) == 1) < 20


def test_every_row_is_in_the_test_part_equally_often():
    labels = np.array([0, 0, 0, 0, 1, 1, 1, 1, 1, 1])
    tests = [stratified_split(labels, 0.5, seed)[1] for seed in range(2000)]
    often = np.bincount(np.concatenate(tests)) / len(tests)
    assert np.all(np.abs(often - 0.5) < 5 * 0.5 / np.sqrt(len(tests)))


def test_labels_of_any_sortable_dtype_split_alike():
    labels = np.array([2, 0, 1, 0, 2, 1, 1, 0])
    words = np.array(["a", "b", "c"])[labels]
    for part, also in zip(
        stratified_split(labels, 0.5, 3), stratified_split(words.tolist(), 0.5, 3)
    ):
        assert np.array_equal(part, also)


def test_digits_split():
    _, labels = load_digits()
    train, test = stratified_split(labels, 0.2, seed=0)
    assert (len(train), len(test)) == (1438, 359)
    assert np.bincount(labels[test]).tolist() == [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]


@pytest.mark.parametrize(
    ("labels", "fraction", "message"),
    [
        ([], 0.5, "there are no labels"),
        ([[0, 0], [1, 1]], 0.5, r"labels have shape \(2, 2\)"),
        (3, 0.5, r"labels have shape \(\)"),
        ([0, 0, 1, 1], 0.0, "above 0 and below 1, not 0.0"),
        ([0, 0, 1, 1], 1.0, "above 0 and below 1, not 1.0"),
        ([0, 0, 1, 1], float("nan"), "above 0 and below 1, not nan"),
        ([0, 0, 1], 0.5, "class 1 has one row"),
        (["a", "a", "b"], 0.5, "class 'b' has one row"),
        ([0, 0, 1, 1], 0.1, "fraction 0.1 of 4 rows leaves one part empty"),
        ([0, 0, 1, 1], 0.9, "fraction 0.9 of 4 rows leaves one part empty"),
    ],
)
def test_what_cannot_be_split_is_one_clear_line(labels, fraction, message):
    with pytest.raises(ValueError, match=rf"^stratified_split: .*{message}.*$"):
        stratified_split(labels, fraction, seed=0)


def test_a_seed_is_an_integer():
    with pytest.raises(TypeError, match="integer"):
        stratified_split([0, 0, 1, 1], 0.5, seed=0.5)
