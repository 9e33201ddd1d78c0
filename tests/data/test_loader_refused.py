"""Tests of what the DataLoader refuses: settings, damaged states, and batches that are none."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from tinygrad_llm import Tensor
from tinygrad_llm.backend import random
from tinygrad_llm.data import ArrayDataset, DataLoader, ListDataset


@pytest.fixture(autouse=True)
def own_streams(monkeypatch):
    """The seeds of these tests are nobody else's."""
    monkeypatch.setattr(random, "_streams", {})
    monkeypatch.setattr(random, "_seed", 0)


DATASET = ArrayDataset(np.arange(6))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"dataset": ListDataset([])}, "the dataset is empty; give at least one row"),
        ({"batch_size": 0}, "batch_size is at least 1, not 0"),
        ({"batch_size": -3}, "batch_size is at least 1, not -3"),
        ({"prefetch": -1}, "prefetch is at least 0, not -1"),
        ({"batch_size": 7, "drop_last": True}, "drop_last with batch_size 7 leaves out all 6 rows"),
    ],
)
def test_settings_that_give_no_batch_are_one_clear_line(kwargs, message):
    with pytest.raises(ValueError, match=rf"^DataLoader: {message}.*$"):
        DataLoader(**{"dataset": DATASET, **kwargs})


@pytest.mark.parametrize(
    "value",
    [(np.ones(3), np.ones(3)), {"input_ids": [1]}, np.ones(3), Tensor(np.ones(3)), iter([1]), 3],
)
def test_columns_and_what_is_no_dataset_are_refused(value):
    with pytest.raises(TypeError, match=rf"unlike this {type(value).__name__}; give ArrayDataset"):
        DataLoader(value)


@pytest.mark.parametrize("kwargs", [{"batch_size": 1.5}, {"prefetch": 0.5}])
def test_half_a_batch_is_refused(kwargs):
    with pytest.raises(TypeError, match="integer"):
        DataLoader(DATASET, **kwargs)


def test_a_length_is_an_integer():
    with pytest.raises(TypeError, match="integer"):
        iter(DataLoader(DATASET, length=lambda row: 0.5))


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"dataset": ArrayDataset(np.arange(7))}, "rows is 6 in the saved state and 7 here; make"),
        ({"batch_size": 3}, "batch_size is 2 in the saved state and 3 here"),
        ({"shuffle": False}, "shuffle is True in the saved state and False here"),
        ({"drop_last": True}, "drop_last is False in the saved state and True here"),
        ({"length": lambda row: 1}, "buckets is False in the saved state and True here"),
        (
            {"transform": lambda batch, generator: batch},
            "transform is False in the saved state and True here",
        ),
        ({"stream": "x"}, "stream is 'batches' in the saved state and 'x' here"),
    ],
)
def test_a_state_of_other_settings_is_one_clear_line_and_changes_nothing(kwargs, message):
    saved = DataLoader(DATASET, 2, shuffle=True)
    next(iter(saved))
    loader = DataLoader(**{"dataset": DATASET, "batch_size": 2, "shuffle": True, **kwargs})
    before = loader.state_dict(), random.state()
    with pytest.raises(ValueError, match=rf"^DataLoader: {message}.*$"):
        loader.load_state_dict(saved.state_dict())
    assert (loader.state_dict(), random.state()) == before


def changed(state, **changes):
    return {name: value for name, value in {**state, **changes}.items() if value != "without"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (partial(changed, rows="without"), r"a state with \[.*\] is not a loader's; give what"),
        (partial(changed, more=1), r"a state with \[.*'more'.*\] is not a loader's"),
        (partial(changed, delivered=4), "delivered is 4 in the state, not an int up to 3; give"),
        (partial(changed, delivered=-1), "delivered is -1 in the state, not an int up to 3"),
        (partial(changed, delivered="3"), "delivered is '3' in the state, not an int"),
        (partial(changed, delivered=True), "delivered is True in the state, not an int"),
        (partial(changed, delivered=1.0), r"delivered is 1\.0 in the state, not an int"),
        (partial(changed, delivered=None), "delivered is None in the state, not an int"),
        (partial(changed, offset=2**70), "offset is 1180591620717411303424 in the .*below 2"),
        (partial(changed, offset=-1), "offset is -1 in the state, not an int below"),
        (partial(changed, offset="0"), "offset is '0' in the state, not an int below"),
        (partial(changed, offset=None), "offset is None in the state, not an int below"),
        (partial(changed, key="nonsense"), "key is 'nonsense' in the state, not a hexadecimal"),
        (partial(changed, key="-0x1"), "key is '-0x1' in the state, not a hexadecimal number of"),
        (partial(changed, key="0x" + "f" * 33), "key is '0xf{33}' in the state, not a hexadec"),
        (partial(changed, key=17), "key is 17 in the state, not a hexadecimal number"),
        (partial(changed, key=None), "{.*'key': None.*} is no state of an epoch of 3 batches"),
        (partial(changed, rows=6.0), r"rows is 6\.0 in the saved state and 6 here"),
        (partial(changed, shuffle=1), "shuffle is 1 in the saved state and True here"),
        (partial(changed, key=None, offset=None), "the state has 1 batches delivered and no key"),
    ],
)
def test_what_is_no_state_is_one_clear_line(change, message):
    loader = DataLoader(DATASET, 2, shuffle=True)
    next(iter(loader))
    before = loader.state_dict(), random.state()
    with pytest.raises(ValueError, match=rf"^DataLoader: {message}.*$"):
        loader.load_state_dict(change(loader.state_dict()))
    assert (loader.state_dict(), random.state()) == before


@pytest.mark.parametrize("state", [None, [1], "state", 3])
def test_a_state_is_a_dict(state):
    with pytest.raises(ValueError, match=r"^DataLoader: a state is a dict, not .*; give what"):
        DataLoader(DATASET, 2).load_state_dict(state)


def test_the_last_draw_of_a_stream_is_a_state_still():
    loader = DataLoader(DATASET, 2, shuffle=True)
    next(iter(loader))
    loader.load_state_dict({**loader.state_dict(), "offset": 2**64 - 1})
    assert len(list(loader)) == 2


@pytest.mark.parametrize("prefetch", [0, 2])
@pytest.mark.parametrize("name", ["transform", "collate_fn"])
def test_a_function_that_forgets_to_return_is_named(name, prefetch):
    loader = DataLoader(DATASET, 2, prefetch=prefetch, **{name: lambda *_: None})
    with pytest.raises(
        TypeError, match=rf"^DataLoader: {name} returned None; let it return the batch$"
    ):
        next(iter(loader))


@pytest.mark.parametrize("labels", [[0, 1], [0.5, 1.0], [True, False], [np.int64(0), np.int64(1)]])
@pytest.mark.parametrize("name", ["transform", "collate_fn"])
def test_labels_that_are_a_list_beside_arrays_are_named(name, labels):
    message = f"^DataLoader: {name} returned field {{}} as a list of numbers .* with np.asarray$"
    for batch, field in (((X, labels), "1"), ({"x": X, "labels": labels}, "'labels'")):
        loader = DataLoader(DATASET, 2, **{name: lambda *_, batch=batch: batch})
        with pytest.raises(TypeError, match=message.format(field)):
            next(iter(loader))


X = np.ones((2, 3))


@pytest.mark.parametrize(
    "batch", [(X, ["a", "b"]), {"x": X, "texts": ["a", "b"]}, ([1, 2], [3]), [1, 2], "ab", (X, [])]
)
def test_lists_that_may_be_meant_are_left_alone(batch):
    assert next(iter(DataLoader(DATASET, 2, collate_fn=lambda rows: batch))) is batch
