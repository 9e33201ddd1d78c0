"""Truncation, windows and padding of rows, by small cases; recorded ones are in test_pipeline."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm.tokenizers.encoding import COLUMNS, joined, outside
from tinygrad_llm.tokenizers.lengths import Padding, Truncation, pad, truncate, windows


def row(n, first=0):
    """n tokens with the ids first, first + 1, ..."""
    return joined([outside(first + i, f"t{first + i}", 0) for i in range(n)])


def kept(lengths, max_length, strategy, special=0):
    rows = [row(n) for n in lengths]
    found = truncate(rows, special, Truncation(max_length, strategy))
    return [len(windows[0]) for windows in found]


@pytest.mark.parametrize(
    ("lengths", "room", "expected"),
    [
        ([9], 4, [4]),
        ([3], 4, [3]),
        ([9, 2], 8, [6, 2]),
        ([2, 9], 8, [2, 6]),
        ([9, 8], 7, [4, 3]),
        ([8, 9], 7, [3, 4]),
        ([8, 8], 7, [3, 4]),
        ([5, 5], 0, [0, 0]),
        ([5, 0], 3, [3, 0]),
    ],
)
def test_the_longer_text_gives_way_first(lengths, room, expected):
    assert kept(lengths, room, "longest_first") == expected
    assert kept(lengths, room + 3, "longest_first", special=3) == expected


def test_one_text_alone_gives_way_where_that_is_asked():
    assert kept([9, 5], 8, "only_first") == [3, 5]
    assert kept([5, 9], 8, "only_second") == [5, 3]


def test_a_text_that_cannot_give_enough_is_an_error():
    with pytest.raises(ValueError, match="7 tokens must go, and this text has only 2"):
        kept([2, 9], 4, "only_first")
    with pytest.raises(ValueError, match="needs a second text"):
        kept([9], 4, "only_second")
    with pytest.raises(ValueError, match="no room for the 3 special tokens; give 3 or more"):
        kept([9], 2, "longest_first", special=3)


@given(
    st.integers(0, 40), st.integers(1, 12), st.integers(0, 11), st.sampled_from(["left", "right"])
)
def test_windows_cover_all_and_share_exactly_the_stride(n, length, stride, side):
    if n > length and stride >= length:
        with pytest.raises(ValueError, match=f"stride {stride} must be below the {length}"):
            windows(row(n), length, stride, side)
        return
    found = [window.ids for window in windows(row(n), length, stride, side)]
    if side == "left":
        found.reverse()
    assert all(len(ids) == length for ids in (found[:-1] if side == "right" else found[1:]))
    seen = found[0]
    for ids in found[1:]:
        assert seen[len(seen) - stride :] == ids[:stride] or stride == 0
        seen = seen + ids[stride:]
    assert seen == list(range(n))


def test_windows_of_no_length_leave_the_whole_as_a_window():
    assert [w.ids for w in windows(row(3), 0, 0, "right")] == [[], [0, 1, 2]]


@pytest.mark.parametrize(
    ("length", "multiple", "expected"), [(None, None, 5), (None, 4, 8), (7, None, 7), (7, 4, 8)]
)
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_brings_all_rows_to_one_length(length, multiple, expected, side):
    rows = [row(5), row(2), row(0)]
    padded = pad(rows, Padding(length, multiple, side, 99, "[PAD]", 1))
    for before, after in zip(rows, padded):
        missing = expected - len(before)
        assert len(after) == expected
        text = slice(missing, None) if side == "left" else slice(0, len(before))
        blank = slice(0, missing) if side == "left" else slice(len(before), None)
        assert after.ids[text] == before.ids
        assert after.ids[blank] == [99] * missing
        assert after.tokens[blank] == ["[PAD]"] * missing
        assert after.attention_mask[blank] == [0] * missing
        assert after.special_tokens_mask[blank] == [1] * missing
        assert after.type_ids[blank] == [1] * missing
        assert after.word_ids[blank] == after.sequence_ids[blank] == [None] * missing
        assert after.offsets[blank] == [(0, 0)] * missing
        assert {len(getattr(after, name)) for name in COLUMNS} == {expected}


def test_padding_never_cuts_and_pads_the_further_windows_too():
    long = row(6)
    long.overflowing = [row(1)]
    (padded,) = pad([long], Padding(4, None, "right", 0, "[PAD]"))
    assert len(padded) == 6
    assert padded.overflowing[0].ids == [0, 0, 0, 0]
    assert padded.overflowing[0].attention_mask == [1, 0, 0, 0]
    assert pad([], Padding(None, None, "right", 0, "[PAD]")) == []
