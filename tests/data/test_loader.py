"""Tests of the DataLoader: what an epoch holds, what fixes it, and how it goes on after a stop."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_llm import manual_seed
from tinygrad_llm.backend import random
from tinygrad_llm.data import (
    ArrayDataset,
    DataLoader,
    ListDataset,
    Padding,
    Subset,
    minibatches,
    order,
)

SEEDS = st.integers(0, 2**64)
PREFETCH = st.integers(0, 3)


@pytest.fixture(autouse=True)
def own_streams(monkeypatch):
    """The seeds of these tests are nobody else's."""
    monkeypatch.setattr(random, "_streams", {})
    monkeypatch.setattr(random, "_seed", 0)


def length_of(row):
    """Between 1 and 13, without order."""
    return int(row[0]) * 7 % 13 + 1


def jitter(batch, generator):
    """The rows, and numbers that only the generator decides."""
    return batch[0], generator.integers(0, 2**60, len(batch[0]))


@st.composite
def settings(draw):
    """Settings of a loader over `rows` rows."""
    rows = draw(st.integers(1, 40))
    return {
        "dataset": ArrayDataset(np.arange(rows)),
        "batch_size": draw(st.integers(1, min(rows, 12))),
        "shuffle": draw(st.booleans()),
        "drop_last": draw(st.booleans()),
        "length": draw(st.sampled_from([None, length_of])),
        "transform": draw(st.sampled_from([None, jitter])),
    }


def plain(batch):
    """A batch as lists."""
    return [array.tolist() for array in batch]


def epochs(loader, count):
    """The batches of so many epochs, each as lists."""
    return [[plain(batch) for batch in loader] for _ in range(count)]


@given(settings(), PREFETCH)
def test_every_row_comes_once_an_epoch(kwargs, prefetch):
    loader = DataLoader(**kwargs, prefetch=prefetch)
    rows, size = len(kwargs["dataset"]), kwargs["batch_size"]
    full, rest = divmod(rows, size)
    sizes = [size] * full + [rest] * (rest > 0 and not kwargs["drop_last"])
    for batches in epochs(loader, 2):
        assert len(batches) == len(loader)
        assert [len(batch[0]) for batch in batches] == sizes
        seen = [row for batch in batches for row in batch[0]]
        assert len(set(seen)) == len(seen) == sum(sizes) and set(seen) <= set(range(rows))


@given(settings(), SEEDS, st.integers(1, 3))
def test_the_seed_fixes_the_batches_for_every_prefetch(kwargs, seed, prefetch):
    runs = []
    for ahead in (0, 0, prefetch):
        manual_seed(seed)
        runs.append(epochs(DataLoader(**kwargs, prefetch=ahead), 2))
    assert runs[0] == runs[1] == runs[2]


def test_seeds_streams_and_epochs_have_orders_of_their_own():
    def rows(seed, **kwargs):
        manual_seed(seed)
        return epochs(DataLoader(ArrayDataset(np.arange(40)), 7, shuffle=True, **kwargs), 2)

    first, second = rows(0)
    assert first != second and rows(0) == [first, second]
    assert rows(1)[0] != first and rows(0, stream="other")[0] != first
    assert rows(0, length=length_of)[0] != rows(1, length=length_of)[0]


@given(st.integers(1, 40), st.integers(1, 12), st.booleans())
def test_arrays_come_as_from_minibatches(rows, size, shuffle):
    x = np.random.default_rng(0).random((rows, 2), dtype=np.float32)
    manual_seed(5)
    expected = list(minibatches(x, np.arange(rows), batch_size=size, shuffle=shuffle))
    manual_seed(5)
    loader = DataLoader(ArrayDataset(x, np.arange(rows)), size, shuffle=shuffle)
    for batch, other in zip(loader, expected, strict=True):
        assert all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in zip(batch, other))


def test_chance_is_drawn_at_the_beginning_of_an_iteration_and_only_where_it_is_needed():
    dataset = ArrayDataset(np.arange(5))
    for kwargs in ({}, {"length": length_of}):
        epochs(DataLoader(dataset, 2, **kwargs), 2)
        assert random.state().streams == {}
    for number, kwargs in enumerate([{"shuffle": True}, {"transform": jitter}], 1):
        begun = iter(DataLoader(dataset, 2, **kwargs))
        assert random.stream("batches").position == number
        next(begun)
        assert random.stream("batches").position == number


def test_a_transform_has_a_generator_of_its_own_for_each_batch_and_epoch():
    loader = DataLoader(ArrayDataset(np.arange(6)), 2, transform=jitter)
    numbers = [n for batches in epochs(loader, 3) for _, jittered in batches for n in jittered]
    assert len(set(numbers)) == 18


def test_rows_of_lists_subsets_and_collates():
    words = ListDataset(["to", "be", "or"])
    assert [b.tolist() for b in DataLoader(words, 2)] == [["to", "be"], ["or"]]
    assert list(DataLoader(words, 2, collate_fn=tuple)) == [("to", "be"), ("or",)]
    part = Subset(ArrayDataset(x=np.arange(9)), [8, 6, 4])
    assert [b["x"].tolist() for b in DataLoader(part, 2)] == [[8, 6], [4]]
    assert [len(b) for b in DataLoader(part, 2, collate_fn=list)] == [2, 1]
    assert [b.tolist() for b in DataLoader([3, 1, 2], 2)] == [[3, 1], [2]]


def texts(rows=600):
    """Rows of token ids, their lengths 1 to about 60, most of them short."""
    lengths = 1 + np.random.default_rng(3).geometric(0.1, rows)
    return ListDataset({"input_ids": [number + 1] * n} for number, n in enumerate(lengths))


def share_of_padding(batches):
    masks = [batch["attention_mask"] for batch in batches]
    return 1 - sum(mask.sum() for mask in masks) / sum(mask.size for mask in masks)


def test_length_buckets_shrink_padding_and_lose_no_row():
    def share(**kwargs):
        batches = list(DataLoader(texts(), 32, shuffle=True, collate_fn=Padding(), **kwargs))
        firsts = [row[0] for batch in batches for row in batch["input_ids"].tolist()]
        assert sorted(firsts) == list(range(1, 601))
        return share_of_padding(batches)

    assert share() > 0.6
    assert share(length=lambda row: len(row["input_ids"])) < 0.2


def longest_of(loader):
    return [batch["input_ids"].shape[1] for batch in loader]


def test_buckets_come_in_a_random_order_or_the_longest_first():
    kwargs = {"collate_fn": Padding(), "length": lambda row: len(row["input_ids"])}
    ordered = longest_of(DataLoader(texts(), 32, **kwargs))
    assert ordered == sorted(ordered, reverse=True)
    loader = DataLoader(texts(), 32, shuffle=True, **kwargs)
    first, second = longest_of(loader), longest_of(loader)
    assert first != second
    for longest in (first, second):
        assert abs(np.corrcoef(longest, np.arange(len(longest)))[0, 1]) < 0.7


def test_rows_meet_others_in_the_next_epoch():
    loader = DataLoader(
        texts(), 32, True, collate_fn=list, length=lambda row: len(row["input_ids"])
    )
    one, other = ([{row["input_ids"][0] for row in batch} for batch in loader] for _ in range(2))
    assert all(len(batch & also) < 31 for batch in one for also in other)


def test_drop_last_with_buckets_drops_by_chance_and_not_by_length():
    rows = np.arange(1, 12)
    loader = DataLoader(
        ArrayDataset(rows), 4, shuffle=True, drop_last=True, length=lambda row: row[0]
    )
    left_out = [set(rows) - {n for (b,) in loader for n in b.tolist()} for _ in range(1000)]
    often = np.array([sum(n in each for each in left_out) for n in rows]) / 1000
    assert np.all(np.abs(often - 3 / 11) < 5 * np.sqrt(3 / 11 * 8 / 11 / 1000))


def test_each_bucket_may_be_the_smaller_one_that_comes_last():
    """Of 11 rows in length order, 3 + 4 + 4, 4 + 3 + 4 or 4 + 4 + 3, each as likely."""
    generator = np.random.default_rng(0)
    lengths = 1000 * np.arange(1, 12) ** 2  # so far apart that none of them change places
    last = [tuple(sorted(order.by_length(lengths, 4, False, generator)[-1])) for _ in range(900)]
    for rows in ((0, 1, 2), (4, 5, 6), (8, 9, 10)):
        assert abs(last.count(rows) / 900 - 1 / 3) < 5 * np.sqrt(1 / 3 * 2 / 3 / 900), rows


def test_lengths_are_read_once():
    read = []
    loader = DataLoader(
        ArrayDataset(np.arange(5)), 2, length=lambda row: read.append(row) or len(read)
    )
    epochs(loader, 3)
    assert len(read) == 5


def delivered(loader, count):
    """The first `count` batches that a loop over epochs gets, and the state at that moment."""
    got = []
    while len(got) < count:
        for batch in loader:
            got.append(plain(batch))
            if len(got) == count:
                break
    return got, json.loads(json.dumps([loader.state_dict(), random.state()]))


def in_a_new_process(seed):
    """The streams as they are before anything was drawn."""
    random._streams.clear()
    manual_seed(seed)


def restore(past):
    random.restore(random.State(past[0], past[1]))


@given(settings(), SEEDS, PREFETCH, PREFETCH, st.data())
def test_after_any_interruption_the_rest_comes_and_nothing_else(kwargs, seed, one, other, data):
    manual_seed(seed)
    whole = [batch for batches in epochs(DataLoader(**kwargs), 3) for batch in batches]
    stop = data.draw(st.integers(0, len(whole) - 1))
    in_a_new_process(seed)
    got, (state, streams) = delivered(DataLoader(**kwargs, prefetch=one), stop)
    assert got == whole[:stop]

    in_a_new_process(seed)
    loader = DataLoader(**kwargs, prefetch=other)
    when = data.draw(st.sampled_from(["never", "before", "after"]))
    if when == "before":
        restore(streams)
    loader.load_state_dict(state)
    if when == "after":
        restore(streams)
    assert loader.state_dict() == state
    rest, _ = delivered(loader, len(whole) - stop)
    assert rest == whole[stop:]


@given(settings(), SEEDS, PREFETCH)
def test_between_two_epochs_a_whole_new_one_comes(kwargs, seed, prefetch):
    manual_seed(seed)
    first, second = epochs(DataLoader(**kwargs), 2)
    in_a_new_process(seed)
    loader = DataLoader(**kwargs, prefetch=prefetch)
    assert epochs(loader, 1) == [first]
    state = loader.state_dict()
    assert state["delivered"] == len(loader)
    in_a_new_process(seed)
    loader = DataLoader(**kwargs, prefetch=prefetch)
    loader.load_state_dict(state)
    assert epochs(loader, 1) == [second]


def test_an_epoch_that_has_begun_and_delivered_nothing_is_the_same_epoch():
    dataset = ArrayDataset(np.arange(20))
    expected = epochs(DataLoader(dataset, 3, shuffle=True), 2)
    in_a_new_process(0)
    loader = DataLoader(dataset, 3, shuffle=True, prefetch=2)
    begun = iter(loader)
    state = loader.state_dict()
    assert (state["delivered"], state["offset"]) == (0, 0)
    del begun
    loader.load_state_dict(state)
    assert epochs(loader, 2) == expected
    assert random.stream("batches").position == 2


def test_the_state_counts_what_was_handed_over_and_not_what_was_made():
    made = []
    loader = DataLoader(
        ArrayDataset(np.arange(9)), 1, prefetch=3, transform=lambda b, _: made.append(b) or b
    )
    assert loader.state_dict()["delivered"] == 0
    for number, _ in enumerate(loader, 1):
        assert loader.state_dict()["delivered"] == number
    assert len(made) == 9


def test_a_loop_that_was_left_is_gone_on_with_on_request_alone():
    loader = DataLoader(ArrayDataset(np.arange(6)), 2)
    next(iter(loader))
    assert plain(next(iter(loader))) == [[0, 1]]
    loader.load_state_dict(loader.state_dict())
    assert plain(next(iter(loader))) == [[2, 3]]
    loader.load_state_dict(loader.state_dict())
    assert epochs(loader, 1)[0] == [[[4, 5]]]
    assert len(epochs(loader, 1)[0]) == 3
    loader.load_state_dict({**loader.state_dict(), "delivered": 1})
    assert [plain(next(iter(loader))) for _ in range(2)] == [[[2, 3]], [[0, 1]]]


def test_a_loaded_state_does_not_take_a_seed_back():
    """Another seed since the state was made: the next epoch is that seed's first."""
    dataset = ArrayDataset(np.arange(30))
    loader = DataLoader(dataset, 3, shuffle=True)
    next(iter(loader))
    state = loader.state_dict()
    manual_seed(1)
    loader.load_state_dict(state)
    assert random.stream("batches").position == 0
    random.stream("batches").next()
    manual_seed(0)
    random.stream("batches").position = 7
    loader.load_state_dict(state)
    assert random.stream("batches").position == 7


PROCESS = """
import json, sys
import numpy as np
from tinygrad_llm import manual_seed
from tinygrad_llm.data import order, ArrayDataset, DataLoader

def transform(batch, generator):
    return batch[0].tolist(), generator.integers(0, 2**60, len(batch[0])).tolist()

manual_seed(3)
loader = DataLoader(ArrayDataset(np.arange(23)), 4, True, transform=transform, prefetch=2)
state, stop = json.loads(sys.argv[1]), int(sys.argv[2])
if state:
    loader.load_state_dict(state)
got = []
while len(got) < stop:
    for batch in loader:
        got.append(batch)
        if len(got) == stop:
            break
print(json.dumps([got, loader.state_dict()]))
"""


def process(state, stop):
    """The batches of a process of its own, and its state at the end."""
    command = [sys.executable, "-c", PROCESS, json.dumps(state), str(stop)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return json.loads(done.stdout)


def test_another_process_goes_on():
    whole, _ = process(None, 12)
    first, state = process(None, 5)
    rest, _ = process(state, 7)
    assert first + rest == whole
