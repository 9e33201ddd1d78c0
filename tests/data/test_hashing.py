"""Tests of the hash of a row: equal rows agree, others differ."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.data import row_hash

SINGLES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.characters())  # halves of surrogate pairs among them
    | st.binary()
)
ROWS = st.recursive(
    SINGLES,
    lambda row: st.lists(row, max_size=3).map(tuple) | st.dictionaries(st.text(), row, max_size=3),
    max_leaves=6,
)


def typed(row):
    """A form of a row that is equal where the rows are equal and of equal types."""
    if isinstance(row, tuple):
        return tuple, tuple(map(typed, row))
    if isinstance(row, dict):
        return dict, tuple(sorted((name, typed(value)) for name, value in row.items()))
    return type(row), row


@given(ROWS, ROWS)
def test_hashes_are_equal_exactly_where_rows_are(one, other):
    same = repr(typed(one)).replace("-0.0", "0.0") == repr(typed(other)).replace("-0.0", "0.0")
    assert (row_hash(one) == row_hash(other)) == same


@given(st.dictionaries(st.text(), ROWS, min_size=2, max_size=4))
def test_the_order_of_names_and_the_kind_of_sequence_do_not_count(row):
    assert row_hash(dict(reversed(row.items()))) == row_hash(row)
    assert row_hash(list(row.values())) == row_hash(tuple(row.values()))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (("a", ("b",)), (("a", "b"),)),
        ((), ""),
        ("1", 1),
        (1, 1.0),
        (1, True),
        (0, None),
        ("a", b"a"),
        ("a", "A"),
        ("é", "e\u0301"),
        ({"a": "b"}, ("a", "b")),
        ("\ud800", "\ud801"),
        (np.zeros(2), np.zeros(2, np.float32)),
        (np.zeros(2), np.zeros((2, 1))),
        (np.zeros(1), 0.0),
        (np.zeros(2), np.array([0.0, 1.0])),
        (np.array(["a", "bc"]), np.array(["ab", "c"])),
    ],
)
def test_rows_that_differ_a_little_differ(one, other):
    assert row_hash(one) != row_hash(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.float64(0.5), 0.5),
        (np.str_("a"), "a"),
        (np.int8(3), 3),
        (-0.0, 0.0),
        (float("nan"), -float("nan")),
        (np.array([0.0, np.nan]), np.array([-0.0, -np.nan])),
        (np.arange(6).reshape(2, 3).T, np.ascontiguousarray(np.arange(6).reshape(2, 3).T)),
        (np.arange(3, dtype="<i4"), np.arange(3, dtype=">i4")),
        (np.array(["a"], "U1"), np.array(["a"], "U9")),
    ],
)
def test_equal_values_in_other_forms_agree(one, other):
    assert row_hash(one) == row_hash(other)


def test_the_hash_is_the_same_everywhere():
    """Kept in files, so a new version of the code must not change it."""
    parts = [b"sequence of 2", b"text", "好".encode(), b"int", b"0x3"]
    joined = b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    assert row_hash(("好", 3)) == hashlib.sha256(joined).hexdigest()


@pytest.mark.parametrize("row", [object(), {1, 2}, 1j, (1, [object()])])
def test_what_is_no_content_is_refused(row):
    with pytest.raises(TypeError, match=r"^row_hash: \w+ is no content of a row; give"):
        row_hash(row)


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(TypeError, match="an array of object; give"):
        row_hash(np.array([None]))
    with pytest.raises(TypeError, match="the name 1 of a dict is no text"):
        row_hash({1: "a"})
