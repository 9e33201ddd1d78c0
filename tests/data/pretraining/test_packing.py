"""Tests of packing: documents in blocks, the end of each, the remainder, and the memory of it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm import manual_seed
from tinygrad_llm.data import DataLoader, Subset
from tinygrad_llm.data.pretraining import PackedBlocks

DOCUMENTS = st.lists(st.lists(st.integers(0, 99), min_size=1, max_size=15), min_size=1, max_size=8)


@given(DOCUMENTS, st.integers(2, 12), st.sampled_from([None, 0, 99, 100]))
def test_the_blocks_joined_are_the_documents_joined(documents, size, end):
    stream = [id for d in documents for id in (*d, *([] if end is None else [end]))]
    full, rest = divmod(len(stream), size)
    if full:
        blocks = PackedBlocks(documents, size, end)
        assert len(blocks) == full
        assert [id for row in blocks for id in row["input_ids"].tolist()] == stream[: full * size]
        assert all(np.array_equal(row["input_ids"], row["labels"]) for row in blocks)
    kept = PackedBlocks(iter(documents), size, end, remainder="keep")
    assert len(kept) == full + (rest > 0)
    filler = [0 if end is None else end] * (-len(stream) % size)
    assert [id for row in kept for id in row["input_ids"].tolist()] == stream + filler
    labels = [id for row in kept for id in row["labels"].tolist()]
    assert labels == stream + [-100] * len(filler)


@given(DOCUMENTS, st.integers(2, 12), st.data())
def test_a_batch_is_its_rows_stacked(documents, size, data):
    blocks = PackedBlocks(documents, size, 7, remainder="keep")
    indices = data.draw(st.lists(st.integers(0, len(blocks) - 1), max_size=9))
    batch = blocks.take(np.array(indices, np.int64))
    assert batch.keys() == {"input_ids", "labels"}
    for name, array in batch.items():
        assert array.dtype == np.int64 and array.shape == (len(indices), size)
        for row, index in zip(array, indices):
            assert row.tolist() == blocks[index][name].tolist()


def test_each_place_learns_the_next_token():
    """A causal model that reads input_ids[:-1] is asked for labels[1:]: the next token, exactly."""
    stream = np.arange(1000)
    for row in PackedBlocks([stream[:400], stream[400:]], 16, None):
        assert np.array_equal(row["labels"][1:], row["input_ids"][:-1] + 1)


def test_a_loader_shuffles_blocks_and_parts_of_them():
    blocks = PackedBlocks([np.arange(60)], 6, None)
    manual_seed(0)
    first, second = (
        [row for b in DataLoader(blocks, 4, True) for row in b["input_ids"].tolist()]
        for _ in range(2)
    )
    assert first != second and sorted(first) == sorted(second)
    assert sorted(id for row in first for id in row) == list(range(60))
    part = DataLoader(Subset(blocks, [3, 1]), 2)
    assert [b["labels"].tolist() for b in part] == [[[*range(18, 24)], [*range(6, 12)]]]


@pytest.mark.parametrize(("largest", "bytes_each"), [(65_535, 2), (65_536, 4), (2**32 - 1, 4)])
def test_one_small_copy_is_kept(largest, bytes_each):
    document = np.arange(1000) % 50
    document[500] = largest
    blocks = PackedBlocks([np.arange(10), document], 10, 3, remainder="keep")
    assert blocks.tokens.nbytes == 1012 * bytes_each
    assert max(row["labels"].max() for row in blocks) == largest


def test_places_beyond_the_end_are_refused_and_negative_ones_count_from_it():
    blocks = PackedBlocks([range(9)], 3, None)
    assert blocks[-1]["input_ids"].tolist() == [6, 7, 8]
    for index in (3, -4):
        with pytest.raises(IndexError):
            blocks[index]


@pytest.mark.parametrize(
    ("documents", "size", "settings", "message"),
    [
        ([[1, 2]], 1, {}, "block_size is at least 2, not 1"),
        ([[1, 2]], 2, {"remainder": "pad"}, 'remainder is "drop" or "keep", not \'pad\''),
        ([[1], []], 2, {}, r"document 1 has shape \(0,\); give a vector of token ids, and leave"),
        ([[[1, 2]]], 2, {}, r"document 0 has shape \(1, 2\); give a vector of token ids, and"),
        ([], 2, {}, "there are no documents; give at least one"),
        ([[1, -2]], 2, {}, r"document 0 has the id -2; ids are from 0 to 2\*\*32 - 1"),
        ([[1, 2**32]], 2, {}, r"document 0 has the id 4294967296; ids are from 0 to"),
        ([[1]], 2, {"end_id": -1}, r"end_id has the id -1; ids are from 0 to"),
        ([[1], [2]], 5, {}, "all documents have 4 tokens, fewer than a block of 5; give more, a"),
    ],
)
def test_what_cannot_be_packed_is_one_clear_line(documents, size, settings, message):
    with pytest.raises(ValueError, match=rf"^PackedBlocks: {message}.*$"):
        PackedBlocks(documents, size, **{"end_id": 0, **settings})


def test_what_are_no_ids_is_refused():
    with pytest.raises(TypeError, match="document 0 has float64; give integers, a tokenizer's ids"):
        PackedBlocks([[0.5]], 2, 0)
    with pytest.raises(TypeError, match="document 1 has <U2; give integers"):
        PackedBlocks([[1], ["to", "be"]], 2, 0)
