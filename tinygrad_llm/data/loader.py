"""The DataLoader: a dataset in batches, epoch after epoch, which interruptions do not change."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from numbers import Number
from threading import RLock, local
from typing import Any

import numpy as np

from tinygrad_llm.backend import is_array, random
from tinygrad_llm.backend.random import Draw
from tinygrad_llm.data import order
from tinygrad_llm.data.datasets import Dataset
from tinygrad_llm.data.padding import stack
from tinygrad_llm.data.prefetch import made_ahead

_LAST_DRAW = 2**64 - 1
"""The largest offset of a draw of a stream."""


class _OneAtATime(local):
    """Entered by one thread at a time, and by that one again: a dataset may go over a loader."""

    lock = RLock()
    depth = 0
    """How often this thread has entered and not left."""

    def __enter__(self) -> None:
        self.lock.acquire()
        self.depth += 1

    def __exit__(self, *_: object) -> None:
        self.depth -= 1
        self.lock.release()

    def renew(self) -> None:
        """In a forked process, which has none of the threads that may be inside."""
        type(self).lock = RLock()
        for _ in range(self.depth):
            self.lock.acquire()


_making = _OneAtATime()
"""Held by whichever loader makes a batch: two loaders may have parts of one dataset."""

if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_making.renew)


class DataLoader:
    """The rows of a dataset in batches; each `for batch in loader` is one epoch, every row once.

    dataset: has `len(dataset)`, at least 1, and `dataset[i]`, a row.
    batch_size: B. The last batch of an epoch has the rows that remain, or drop_last leaves it out.
    shuffle: a new order each epoch, from the random stream named `stream`: the seed fixes it.
    collate_fn: `collate_fn(rows) -> batch`; by default `dataset.take` where there is one, else
        `stack`. `Padding` is one for rows of different lengths.
    transform: `transform(batch, generator) -> batch`, for augmentation. The np.random.Generator
        depends on the epoch and the batch's number alone; take all chance from it.
    length: `length(row) -> int` makes batches of rows of like length, so that padding shrinks; the
        batches come in a random order with shuffle, longest rows first without. Lengths are read
        once, at the first epoch.
    prefetch: how many batches a background thread makes ahead; the batches are the same for every
        prefetch. It pays where making a batch takes long; arrays in memory are faster with 0. All
        loaders together make one batch at a time, so that no two threads read a dataset, be it in
        parts; transform, collate_fn and dataset must not use the random streams of the main
        thread, and a loader that they go over makes nothing ahead.

    `len(loader)` is the number of batches in an epoch. Chance is drawn when an iteration begins,
    and only where there is shuffle or a transform. A loop that was left early is not gone on with;
    `loader.load_state_dict(loader.state_dict())` does that.
    Raises ValueError for an empty dataset, batch_size < 1, prefetch < 0 and a drop_last that leaves
    nothing; TypeError for what is no dataset, such as a tuple or a dict of arrays, and during an
    epoch for a collate_fn or transform that returns None, or a list of numbers beside arrays.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 64,
        shuffle: bool = False,
        drop_last: bool = False,
        collate_fn: Callable[[list], Any] | None = None,
        transform: Callable[[Any, np.random.Generator], Any] | None = None,
        length: Callable[[Any], int] | None = None,
        prefetch: int = 0,
        stream: str = "batches",
    ):
        _check_dataset(dataset)
        _check_numbers(len(dataset), batch_size, drop_last, prefetch)
        self.dataset = dataset
        self.batch_size = operator.index(batch_size)
        self.shuffle = bool(shuffle)
        self.drop_last = bool(drop_last)
        self.collate_fn = collate_fn
        self.transform = transform
        self.length = length
        self.prefetch = prefetch
        self.stream = stream
        self._rows = len(dataset)
        self._lengths: np.ndarray | None = None
        self._progress = _Progress(None, 0)
        self._loaded = False

    def __len__(self) -> int:
        """Batches in an epoch."""
        full, rest = divmod(self._rows, self.batch_size)
        return full + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        """A new epoch, or the rest of the one whose state was loaded."""
        progress = self._progress = self._next_progress()
        make = partial(self._batch, self._order(progress.draw), progress.draw)
        return self._deliver(progress, make)

    def state_dict(self) -> dict[str, Any]:
        """How far the epoch is: integers, strings and booleans, ready for a JSON file.

        It counts the batches that an iteration has handed over, the one in the loop's body
        included, and not those made ahead.
        """
        draw, delivered = self._progress.draw, self._progress.delivered
        place = {"key": None, "offset": None} if draw is None else _written(draw)
        return {**place, "delivered": delivered, **self._settings()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Let the next iteration deliver the batches that were not delivered when `state` was made.

        Those of a whole epoch where that one was complete. The random stream moves on past the
        epoch's draw, if it is not there, so that the next epoch has an order of its own; restore
        the streams with `random.restore` as well, before or after this, for an identical run.
        Raises ValueError, changing nothing, for a state of a loader with another number of rows or
        other settings (prefetch may differ), and for one that is not a loader's.
        """
        draw = self._checked(state)
        self._progress = _Progress(draw, state["delivered"])
        self._loaded = True
        if draw is not None:
            source = random.stream(self.stream)
            if source.key == draw.key:
                source.position = max(source.position, draw.offset + 1)

    def _next_progress(self) -> _Progress:
        """The epoch that an iteration from here is about."""
        loaded, self._loaded = self._loaded, False
        past = self._progress
        if loaded and past.delivered < len(self) and (past.draw or not self._has_chance()):
            return past
        return _Progress(random.stream(self.stream).next() if self._has_chance() else None, 0)

    def _has_chance(self) -> bool:
        """Whether an epoch needs a draw."""
        return self.shuffle or self.transform is not None

    def _order(self, draw: Draw | None) -> list[np.ndarray]:
        """The row indices of each batch of an epoch."""
        generator = draw.generator() if draw is not None and self.shuffle else None
        if self.length is None:
            return order.plain(self._rows, self.batch_size, self.drop_last, generator)
        if self._lengths is None:
            with _making:
                self._lengths = np.array(
                    [operator.index(self.length(self.dataset[i])) for i in range(self._rows)]
                )
        return order.by_length(self._lengths, self.batch_size, self.drop_last, generator)

    def _deliver(self, progress: _Progress, make: Callable[[int], Any]) -> Iterator[Any]:
        """The epoch's batches from its progress on, each one counted as it is handed over."""
        numbers = range(progress.delivered, len(self))
        here = (make(number) for number in numbers)
        # Inside a batch that is being made, another thread would wait for that one without end.
        ahead = 0 if _making.depth else self.prefetch
        made = made_ahead(make, numbers, ahead) if ahead else here
        with closing(made):  # type: ignore[type-var]
            for batch in made:
                progress.delivered += 1
                yield batch

    def _batch(self, batches: list[np.ndarray], draw: Draw | None, number: int) -> Any:
        """Batch `number`, in whichever thread."""
        # A thread of an iteration that was left may still be at its last batch.
        with _making:
            batch = self._collated(batches[number])
            if self.transform is not None and draw is not None:
                batch = self.transform(batch, draw.part(number).generator())
                _check_batch("transform", batch)
            return batch

    def _collated(self, indices: np.ndarray) -> Any:
        """The rows at these indices as a batch."""
        take = getattr(self.dataset, "take", None)
        if self.collate_fn is None and take is not None:
            return take(indices)
        batch = (self.collate_fn or stack)([self.dataset[i] for i in indices.tolist()])
        if self.collate_fn is not None:
            _check_batch("collate_fn", batch)
        return batch

    def _settings(self) -> dict[str, Any]:
        """All that a saved state must agree with, for the same batches."""
        return {
            "rows": self._rows,
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
            "buckets": self.length is not None,
            "transform": self.transform is not None,
            "stream": self.stream,
        }

    def _checked(self, state: Mapping[str, Any]) -> Draw | None:
        """The draw of a state that fits this loader."""
        if not isinstance(state, Mapping):
            raise ValueError(
                f"DataLoader: a state is a dict, not {state!r:.60}; give what state_dict() gave"
            )
        if set(state) != set(self.state_dict()):
            raise ValueError(
                f"DataLoader: a state with {sorted(state)} is not a loader's; give what "
                "state_dict() gave"
            )
        for name, here in self._settings().items():
            if type(state[name]) is not type(here) or state[name] != here:
                raise ValueError(
                    f"DataLoader: {name} is {state[name]!r:.60} in the saved state and {here!r} "
                    "here; make the dataset and the loader as they were"
                )
        return _read_place(state, len(self), self._has_chance())


class _Progress:
    """One epoch: the draw that its chance comes from, and how many batches were handed over."""

    def __init__(self, draw: Draw | None, delivered: int):
        self.draw = draw
        self.delivered = delivered


def _written(draw: Draw) -> dict[str, Any]:
    """A draw for a JSON file: a key of 128 bits is more than a number holds there."""
    return {"key": hex(draw.key), "offset": draw.offset}


def _read_place(state: Mapping[str, Any], batches: int, chance: bool) -> Draw | None:
    """The draw of a state, where it is one that a loader can have written."""
    key, offset, delivered = state["key"], state["offset"], state["delivered"]
    _check_field("delivered", delivered, _is_count(delivered, batches), f"an int up to {batches}")
    begun = key is not None
    if begun:
        is_key = isinstance(key, str) and re.fullmatch("0x[0-9a-f]{1,32}", key) is not None
        _check_field("key", key, is_key, "a hexadecimal number of 128 bits, as a text")
        _check_field("offset", offset, _is_count(offset, _LAST_DRAW), "an int below 2**64")
    if begun != (offset is not None) or begun > chance:
        raise ValueError(f"DataLoader: {dict(state)} is no state of an epoch of {batches} batches")
    if chance and delivered and not begun:
        raise ValueError(f"DataLoader: the state has {delivered} batches delivered and no key")
    return Draw(int(key, 16), offset) if begun else None


def _is_count(value: Any, most: int) -> bool:
    """Whether a value is an integer from 0 to `most`."""
    return type(value) is int and 0 <= value <= most


def _check_field(name: str, value: Any, fits: bool, what: str) -> None:
    """Refuse a state whose field is damaged."""
    if not fits:
        raise ValueError(
            f"DataLoader: {name} is {value!r:.60} in the state, not {what}; "
            "give what state_dict() gave"
        )


def _check_batch(name: str, batch: Any) -> None:
    """Refuse what a collate_fn or transform made by mistake: nothing, or numbers in a list beside
    arrays, which no operation on arrays would take."""
    if batch is None:
        raise TypeError(f"DataLoader: {name} returned None; let it return the batch")
    if isinstance(batch, tuple):
        batch = dict(enumerate(batch))
    if not isinstance(batch, Mapping) or not any(map(is_array, batch.values())):
        return
    for field, value in batch.items():
        if isinstance(value, list) and value and isinstance(value[0], (Number, np.generic)):
            raise TypeError(
                f"DataLoader: {name} returned field {field!r} as a list of numbers beside arrays; "
                "make it an array with np.asarray"
            )


def _check_dataset(dataset: Any) -> None:
    """Refuse columns in the place of rows: their length is the number of columns."""
    columns = isinstance(dataset, (tuple, Mapping)) or hasattr(dataset, "shape")
    if columns or not isinstance(dataset, Dataset):
        kind = type(dataset).__name__
        raise TypeError(
            f"DataLoader: a dataset has len() and rows at dataset[i], unlike this {kind}; "
            "give ArrayDataset(*arrays) or ListDataset(rows)"
        )


def _check_numbers(rows: int, batch_size: int, drop_last: bool, prefetch: int) -> None:
    """Refuse numbers with which no batch would come."""
    if not rows:
        raise ValueError("DataLoader: the dataset is empty; give at least one row")
    if operator.index(batch_size) < 1:
        raise ValueError(f"DataLoader: batch_size is at least 1, not {batch_size}")
    if operator.index(prefetch) < 0:
        raise ValueError(f"DataLoader: prefetch is at least 0, not {prefetch}")
    if drop_last and batch_size > rows:
        raise ValueError(
            f"DataLoader: drop_last with batch_size {batch_size} leaves out all {rows} rows; "
            "give a smaller batch_size"
        )
