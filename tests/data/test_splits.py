"""Tests of splits: stratified in two and in three parts, and parts that share no row."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_llm.data import check_disjoint, load_digits, stratified_split, three_way_split

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


@pytest.mark.parametrize("split", [stratified_split, three_way_split])
@pytest.mark.parametrize("small", ["b", 7, ("x", 1)])
def test_a_small_class_among_labels_that_are_objects_is_named(split, small):
    """As the labels of a table of pandas are."""
    labels = np.empty(7, object)
    labels[:] = [type(small)(()) if isinstance(small, tuple) else type(small)()] * 6 + [small]
    with pytest.raises(ValueError, match=rf"class {re.escape(repr(small))} has "):
        split(labels, *([0.5] if split is stratified_split else []), seed=0)


@pytest.mark.parametrize("split", [stratified_split, three_way_split])
def test_labels_without_an_order_are_one_clear_line(split):
    labels = np.array(["a", "b", None, np.nan] * 3, object)
    message = rf"^{split.__name__}: labels of the types NoneType, float, str have no order; give"
    with pytest.raises(TypeError, match=message):
        split(labels, *([0.5] if split is stratified_split else []), seed=0)


def test_a_seed_is_an_integer():
    with pytest.raises(TypeError, match="integer"):
        stratified_split([0, 0, 1, 1], 0.5, seed=0.5)


FRACTIONS = st.tuples(*[st.integers(1, 20)] * 3).map(lambda f: tuple(n / sum(f) for n in f))


@st.composite
def large_enough(draw):
    """Labels in any order, and fractions that leave all three parts rows."""
    sizes = draw(st.lists(st.integers(3, 40), min_size=1, max_size=8))
    labels = np.random.default_rng(draw(SEEDS)).permutation(np.repeat(range(len(sizes)), sizes))
    fractions = draw(FRACTIONS)
    if min(fractions) * len(labels) < 2.0:
        fractions = (0.5, 0.25, 0.25)
        labels = np.tile(labels, 3)
    return labels, fractions


@given(large_enough(), SEEDS)
def test_three_parts_hold_every_row_once_and_classes_have_their_share(problem, seed):
    labels, fractions = problem
    split = three_way_split(labels, fractions, seed)
    assert all(part.dtype == np.int64 for part in split)
    assert sorted(np.concatenate(split)) == list(range(len(labels)))
    counts = np.stack([np.bincount(labels[part], minlength=labels.max() + 1) for part in split], 1)
    off = counts - np.outer(np.bincount(labels), fractions)
    assert np.abs(off).max() < 1.0 - 1e-6
    assert np.abs(off.sum(axis=0)).max() < 1.5


@given(large_enough(), SEEDS)
def test_a_seed_fixes_three_parts(problem, seed):
    for part, again in zip(three_way_split(*problem, seed), three_way_split(*problem, seed)):
        assert np.array_equal(part, again)


@given(SEEDS, SEEDS)
def test_other_seeds_give_three_other_parts(one, other):
    labels = np.repeat([0, 1], 100)
    parts = zip(three_way_split(labels, seed=one), three_way_split(labels, seed=other))
    assert [np.array_equal(part, also) for part, also in parts] == [one == other] * 3


@settings(max_examples=30)
@given(SEEDS)
def test_all_three_parts_are_shuffled(seed):
    labels = np.repeat([0, 1], 600)
    for part in three_way_split(labels, (0.4, 0.3, 0.3), seed):
        changes = np.count_nonzero(np.diff(labels[part]))
        assert abs(changes - len(part) / 2) < 5 * np.sqrt(len(part)) / 2
        assert np.count_nonzero(np.diff(part) == 1) < 20


def test_every_row_is_in_every_part_as_often_as_it_should():
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 1, 1, 1])
    splits = [three_way_split(labels, (0.6, 0.2, 0.2), seed) for seed in range(1000)]
    for fraction, parts in zip((0.6, 0.2, 0.2), zip(*splits)):
        often = np.bincount(np.concatenate(parts)) / len(splits)
        assert np.all(np.abs(often - fraction) < 5 * np.sqrt(fraction * (1 - fraction) / 1000))


def test_many_small_classes_leave_no_part_short():
    """A share of half a row each: rounded class by class, one part would take all the halves."""
    split = three_way_split(np.repeat(range(100), 5))
    assert [len(part) for part in split] == [400, 50, 50]


@st.composite
def repeated(draw):
    """Labels and contents: each content some times, always with the same label."""
    times = draw(
        st.lists(st.lists(st.integers(1, 5), min_size=3, max_size=12), min_size=1, max_size=4)
    )
    rows = [
        (label, f"{label}-{content}")
        for label, often in enumerate(times)
        for content, count in enumerate(often)
        for _ in range(count)
    ]
    order = np.random.default_rng(draw(SEEDS)).permutation(len(rows))
    return [rows[i] for i in order]


def contents_of(rows, split):
    """The contents in each part."""
    return [sorted(rows[i][1] for i in part) for part in split]


@settings(max_examples=60)
@given(repeated(), st.integers(0, 99), st.randoms())
def test_equal_contents_stay_together_in_any_order_of_rows(rows, seed, random):
    labels, contents = zip(*rows)
    try:
        split = three_way_split(labels, (0.4, 0.3, 0.3), seed, contents)
    except ValueError as error:
        assert "part empty" in str(error) and len(rows) < 30
        return
    assert sorted(np.concatenate(split)) == list(range(len(rows)))
    check_disjoint(*([contents[i] for i in part] for part in split))
    most = max(map(contents.count, contents))
    classes = np.array(labels)
    for part, fraction in zip(split, (0.4, 0.3, 0.3)):
        off = (
            np.bincount(classes[part], minlength=classes.max() + 1)
            - np.bincount(classes) * fraction
        )
        assert np.abs(off).max() < 2 * most
    mixed = random.sample(rows, len(rows))
    labels, contents = zip(*mixed)
    again = three_way_split(labels, (0.4, 0.3, 0.3), seed, contents)
    assert contents_of(mixed, again) == contents_of(rows, split)


@given(st.integers(0, 99))
def test_the_most_frequent_content_is_placed_first(seed):
    """Where there is room for it: the others then fill what is left exactly."""
    contents = [0] * 10 + list(range(1, 11))
    split = three_way_split(["a"] * 20, (0.5, 0.25, 0.25), seed, contents)
    assert sorted(split.train) == list(range(10))
    assert (len(split.validation), len(split.test)) == (5, 5)


def test_contents_with_two_labels_stay_together_too():
    labels = ["a", "b"] * 30
    contents = np.arange(60) // 2
    split = three_way_split(labels, (0.5, 0.25, 0.25), 0, contents)
    check_disjoint(*(contents[part] for part in split))
    assert [len(part) for part in split] == [30, 16, 14] or [len(p) for p in split] == [30, 14, 16]


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([], {}, "there are no labels"),
        ([[0]], {}, r"labels have shape \(1, 1\)"),
        ([0] * 9, {"fractions": (0.8, 0.2)}, r"fractions \(0.8, 0.2\) are not three above 0; give"),
        ([0] * 9, {"fractions": (1.0, 0.0, 0.0)}, "are not three above 0"),
        ([0] * 9, {"fractions": (1.1, -0.2, 0.1)}, "are not three above 0"),
        ([0] * 9, {"fractions": (0.8, 0.1, float("nan"))}, "are not three above 0"),
        ([0] * 9, {"fractions": (80, 10, 10)}, "have sum 100; make it 1"),
        ([0] * 9, {"contents": "ab"}, "9 labels have 2 contents; give one for each row"),
        (
            ["x"] * 9 + ["y"] * 2,
            {},
            "class 'y' has 2 different rows, too few for three .*; add rows",
        ),
        ([0] * 9, {"contents": "aaaaabbbb"}, "class 0 has 2 different rows"),
        ([0] * 3, {}, "3 rows leave the validation part empty; give more"),
    ],
)
def test_what_cannot_be_split_in_three_is_one_clear_line(labels, options, message):
    with pytest.raises(ValueError, match=rf"^three_way_split: .*{message}.*$"):
        three_way_split(labels, **options)


def test_a_seed_for_three_parts_is_an_integer():
    with pytest.raises(TypeError, match="integer"):
        three_way_split([0] * 30, seed=0.5)


def test_an_overlap_is_named_by_both_places():
    check_disjoint(["a", "a"], ["b"], [])
    with pytest.raises(
        ValueError,
        match=r"^check_disjoint: row 1 of part 2 is row 0 of part 0: 'a'; split with contents=",
    ):
        check_disjoint(["a", "c"], ["b"], ["d", "a", "b"])
    with pytest.raises(ValueError, match="row 0 of part 1 is row 2 of part 0"):
        check_disjoint(np.eye(3), np.eye(3)[2:])
